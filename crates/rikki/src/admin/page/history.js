// What was read, for as long as it is shown: the last five minutes. Times are those of this page, lengths of time the server's.

const SPAN = 300_000;
const MINUTE = 60_000;
/** Between readings that make a rate: a server that is asked sooner may tell the same again. */
const LEAST = 250;
/** For clocks that stand still. */
const MOST_SAMPLES = 400;

const samples = [];
let latest = null;
/** One more each time that the counters of the server begin anew. */
let epoch = 0;
/** What there was of each endpoint and slow WebSocket a moment ago. */
let before = new Map();
/** By how much each of them has grown in a second. */
let growth = new Map();

const COUNTERS = ["received_messages", "received_bytes", "sent_messages", "sent_bytes"];

/** Milliseconds between two readings; `null` where the server has been another one in between. */
function between(then, now) {
  const [first, second] = [then, now].map(status => ({ now: number(status.now_ms), up: number(status.uptime_ms) }));
  const isOlder = second.up >= first.up && Math.abs(second.now - second.up - first.now + first.up) < 2000;
  const hasGrown = COUNTERS.every(name => number(now.websockets?.[name]) >= number(then.websockets?.[name]));
  return isOlder && hasGrown ? second.up - first.up || second.now - first.now : null;
}

function rate(now, then, elapsed) {
  if (elapsed === null || then === undefined) return null;
  return now < then ? null : (now - then) * 1000 / elapsed;
}

const sum = counted => counted.reduce((total, { count }) => total + number(count), 0);

/** The counters that are told by reason, by a name of each. */
function reasons(status) {
  const counts = new Map();
  for (const { reason, count } of list(status.refusals)) counts.set(`refused ${reason}`, number(count));
  for (const { reason, count } of list(status.failures)) counts.set(`failed ${reason}`, number(count));
  for (const { code, by, count } of list(status.websockets?.closes)) counts.set(`closed ${code} ${by}`, number(count));
  return counts;
}

const endpointKey = endpoint => `${endpoint.transport} ${endpoint.endpoint}`;

/** One more reading. Says whether it is of a server that was started since the one before. */
function take(status, at) {
  const elapsed = latest === null ? null : between(latest, status);
  if (elapsed !== null && elapsed < LEAST) return false;
  const isAnew = latest !== null && elapsed === null;
  if (isAnew) epoch++;
  const previous = isAnew ? undefined : samples.at(-1)?.totals;
  const websockets = status.websockets ?? {};
  const lags = list(status.workers).map(lag);
  const totals = Object.fromEntries(COUNTERS.map(name => [name, number(websockets[name])]));
  Object.assign(totals, { refused: sum(list(status.refusals)), failed: sum(list(status.failures)) });
  const sample = { at, clock: Date.now(), epoch, totals, reasons: reasons(status), lags };
  for (const name of Object.keys(totals)) sample[name] = rate(totals[name], previous?.[name], elapsed);
  sample.websockets = number(websockets.open);
  sample.connections = number(status.connections?.open);
  sample.queued = number(websockets.queued_bytes);
  sample.lag = lags.length > 0 ? Math.max(...lags) : null;
  sample.lagMost = list(status.workers).reduce((most, worker) => Math.max(most, number(worker.lag_max_ms), lag(worker)), 0);
  samples.push(sample);
  forget(at);
  grow(websockets, elapsed);
  latest = status;
  return isAnew;
}

/** One that is silent is late by as long as that. */
function lag(worker) {
  return worker.stalled ? Math.max(number(worker.lag_ms), number(worker.seen_ms_ago)) : number(worker.lag_ms);
}

function forget(at) {
  while (samples.length > MOST_SAMPLES || (samples.length > 0 && samples[0].at < at - SPAN)) samples.shift();
  for (const sample of samples) if (sample.at < at - MINUTE) sample.reasons = null;
}

function grow(websockets, elapsed) {
  const now = new Map();
  for (const endpoint of list(websockets.endpoints)) now.set(endpointKey(endpoint), endpoint);
  for (const websocket of list(websockets.slowest)) now.set(websocket.id, websocket);
  growth = new Map();
  for (const [key, item] of now) {
    const then = before.get(key);
    growth.set(key, Object.fromEntries(COUNTERS.map(name => [name, rate(number(item[name]), then?.[name], elapsed)])));
  }
  before = now;
}

/** How often something was counted within the last minute, as far as this page has seen it. */
function lastMinute(name) {
  const first = samples.find(sample => sample.reasons !== null && sample.epoch === epoch);
  return Math.max(0, (samples.at(-1)?.reasons?.get(name) ?? 0) - (first?.reasons.get(name) ?? 0));
}
