"use strict";

// The log: what has happened is kept here, and put into the page once a frame, so that thousands a second can come.

const MAX_KEPT = 1000;      // rows; older ones are dropped
const MAX_PREVIEW = 4096;   // characters or bytes shown of one message
const ROWS_A_FRAME = 100;   // rows that are made at once
const MAX_WAITING = 20000;  // messages whose echo is waited for, for its latency
const MAX_SKIPPED = 100;    // of those, how many may have had none when another one's comes
const MAX_INDENT = 40;      // spaces before a line of JSON

const $ = id => document.getElementById(id);
const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { ignoreBOM: true });

let kept = [];              // entries, the oldest first
let shown = [];             // those of them, and dropped ones, that are in the page
let held = null;            // what was kept when the page was paused, and is looked at until it goes on
let dropped = 0;
let fresh = 0;              // how many of those kept, at the end, have not been looked at
let drawing = false;
let following = true;       // until whoever reads scrolls back
let counters = noCounters();
let awaited = [];           // what was sent, and when: echoes come in that order

function noCounters() {
  return { sent: 0, sentBytes: 0, received: 0, receivedBytes: 0, echoes: 0, last: 0, total: 0, most: 0 };
}

/** Adds one row; every value becomes a text node. */
function log(direction, payload, more = {}) {
  kept.push({ time: new Date(), direction, payload, type: "", size: "", latency: "", id: "", link: "", ...more });
  fresh = Math.min(fresh + 1, MAX_KEPT);
  if (kept.length > 2 * MAX_KEPT) trim();
  draw();
}

function trim() {
  const most = Math.max(kept.length - MAX_KEPT, 0);
  dropped += most;
  kept = kept.slice(most);
}

/** Logs a message that was sent or received: a string or an ArrayBuffer. */
function logMessage(direction, data, id = "") {
  const isText = typeof data === "string";
  const size = isText ? encoder.encode(data).length : data.byteLength;
  counters[direction] += 1;
  counters[`${direction}Bytes`] += size;
  const latency = direction === "received" ? echoed(data) : "";
  // A part of a string may keep all of it: this is a copy.
  const whole = isText ? decoder.decode(encoder.encode(data.slice(0, MAX_PREVIEW))) : hexDump(data);
  const left = (isText ? data.length : size) - MAX_PREVIEW;
  const payload = left > 0 ? `${whole}\n… ${left} more ${isText ? "characters" : "bytes"}` : whole;
  log(direction, payload, { type: isText ? "text" : "binary", size: `${size} B`, latency, id, json: isText && left <= 0 });
}

/** Notes a message whose echo may come; large ones are not kept for that. */
function awaitEcho(data) {
  if (awaited.length < MAX_WAITING && (data.length ?? data.byteLength) <= 65536) awaited.push({ data, at: performance.now() });
}

/** How long the echo has taken, if this is one: what was sent before it has had none. */
function echoed(data) {
  const end = Math.min(echoed.at + MAX_SKIPPED, awaited.length);
  let at = echoed.at;
  while (at < end && !same(awaited[at].data, data)) at += 1;
  if (at >= end) return "";
  const next = awaited[at];
  echoed.at = at + 1;
  if (echoed.at >= 1000) {
    awaited = awaited.slice(echoed.at);
    echoed.at = 0;
  }
  const took = performance.now() - next.at;
  counters.echoes += 1;
  counters.total += took;
  counters.last = took;
  counters.most = Math.max(counters.most, took);
  return `${took.toFixed(1)} ms`;
}
echoed.at = 0;

function forgetEchoes() {
  awaited = [];
  echoed.at = 0;
}

function same(a, b) {
  if (typeof a === "string" || typeof b === "string") return a === b;
  const [left, right] = [new Uint8Array(a), new Uint8Array(b)];
  return left.length === right.length && left.every((byte, index) => byte === right[index]);
}

/** Offset, hex and ASCII; 8 bytes a line where 16 do not fit. */
function hexDump(buffer) {
  const width = matchMedia("(min-width: 64rem)").matches ? 16 : 8;
  const bytes = new Uint8Array(buffer, 0, Math.min(buffer.byteLength, MAX_PREVIEW));
  const lines = [];
  for (let at = 0; at < bytes.length; at += width) {
    const line = Array.from(bytes.subarray(at, at + width));
    const hex = line.map(byte => byte.toString(16).padStart(2, "0")).join(" ");
    const ascii = line.map(byte => byte >= 0x20 && byte < 0x7f ? String.fromCharCode(byte) : ".").join("");
    lines.push(`${at.toString(16).padStart(3, "0")}  ${hex.padEnd(width * 3 - 1)}  ${ascii}`);
  }
  return lines.join("\n");
}

/** JSON with each member on a line of its own. Its numbers and strings stay as they came: parsing would change some. */
function indented(text) {
  try {
    if (typeof JSON.parse(text) !== "object") return text;
  } catch {
    return text;
  }
  let depth = 0;
  const line = () => `\n${" ".repeat(Math.min(2 * depth, MAX_INDENT))}`;
  // Strings are matched whole, so that nothing inside of them is taken for structure.
  return text.replace(/"(?:[^"\\]|\\.)*"|\s+|[{[]\s*[}\]]|[{}[\],:]/g, token => {
    if (token[0] === "\"") return token;
    if (token.trim() === "") return "";
    if (token.length > 1) return token[0] + token.at(-1);
    if (token === ":") return ": ";
    if (token === ",") return token + line();
    depth += "{[".includes(token) ? 1 : -1;
    return "{[".includes(token) ? token + line() : line() + token;
  });
}

/** Local time of day with milliseconds. */
function clock(now) {
  const part = (value, width = 2) => String(value).padStart(width, "0");
  return `${part(now.getHours())}:${part(now.getMinutes())}:${part(now.getSeconds())}.${part(now.getMilliseconds(), 3)}`;
}

/** Whether a row has what is looked for. */
function isWanted(entry) {
  const wanted = $("filter").value.toLowerCase();
  return wanted === "" || `${entry.direction} ${entry.type} ${entry.payload} ${entry.id}`.toLowerCase().includes(wanted);
}

function rowOf(entry) {
  const row = document.createElement("div");
  row.dataset.direction = entry.direction;
  row.dataset.type = entry.type;
  for (const name of ["direction", "type", "size", "latency", "payload", "id"]) {
    const cell = document.createElement("span");
    cell.className = name;
    cell.textContent = entry[name];
    row.append(cell);
  }
  const time = document.createElement("span");
  time.className = "time";
  time.textContent = clock(entry.time);
  row.prepend(time);
  const payload = row.querySelector(".payload");
  if (entry.json && $("pretty").checked) payload.textContent = indented(entry.payload);
  if (entry.link) {
    const link = document.createElement("a");
    link.href = link.textContent = entry.link;
    link.target = "_blank";
    link.rel = "noreferrer";
    payload.append(" ", link);
  }
  entry.row = row;
  return row;
}

/** Has the page follow in the next frame; one that nobody sees has none, and follows later. */
function draw() {
  if (drawing) return;
  drawing = true;
  requestAnimationFrame(() => {
    drawing = false;
    if (held) fillIn();
    else follow();
    tell();
  });
}

/** Shows what has come, and lets go of what is not kept any more. The newest stays in view, unless one reads back. */
function follow() {
  trim();
  const list = $("log");
  let come = fresh === 0 ? [] : kept.slice(-fresh).filter(isWanted);
  fresh = 0;
  if (come.length > ROWS_A_FRAME && following) {
    // Nobody can read them: what there is time for later is filled in then.
    shown = [];
    list.replaceChildren();
    come = come.slice(-ROWS_A_FRAME);
  }
  const surplus = Math.max(shown.length + come.length - MAX_KEPT, 0);
  for (const entry of shown.splice(0, surplus)) entry.row.remove();
  shown.push(...come);
  list.append(...come.map(rowOf));
  if (come.length < ROWS_A_FRAME) fillIn();
  toEnd();
}

/** Puts some more of what is looked at before what is shown, if there is any. */
function fillIn() {
  const all = held ?? kept;
  const first = shown.length === 0 ? all.length : all.indexOf(shown[0]);
  const most = Math.min(ROWS_A_FRAME, MAX_KEPT - shown.length);
  const older = most === 0 || first <= 0 ? [] : all.slice(0, first).filter(isWanted).slice(-most);
  if (older.length === 0) return;
  shown.unshift(...older);
  $("log").prepend(...older.map(rowOf));
  draw();
}

function toEnd() {
  if (following) $("log").scrollTop = $("log").scrollHeight;
}

/** Shows all of what is looked at anew: another part of it, or in another form. */
function redraw() {
  trim();
  [shown, following] = [[], true];
  if (!held) fresh = 0;
  $("log").replaceChildren();
  fillIn();
  toEnd();
  tell();
}

/** Says how much is kept and dropped, and what was counted. */
function tell() {
  const number = value => value.toLocaleString("en");
  const left = Math.min(kept.length, MAX_KEPT);
  const facts = [`${number(left)} kept, ${number(dropped + kept.length - left)} dropped`];
  if (held) facts.push(`paused, ${number(fresh)}${fresh === MAX_KEPT ? " or more" : ""} new`);
  if ($("filter").value !== "") facts.push(`${number((held ?? kept).filter(isWanted).length)} found`);
  const { sent, sentBytes, received, receivedBytes, echoes, last, total, most } = counters;
  const has = sent + received > 0;
  const milliseconds = value => `${value.toFixed(1)} ms`;
  $("kept").textContent = facts.join(", ");
  $("counters").textContent = has ? `Sent ${number(sent)} (${number(sentBytes)} B), received ${number(received)} (${number(receivedBytes)} B)` : "";
  $("latency").textContent = echoes ? `Echo ${milliseconds(last)}, mean ${milliseconds(total / echoes)}, most ${milliseconds(most)}` : "";
}

/** The log as text: what is looked at, a line for each row, or more where a payload has them. */
function asText() {
  const cells = entry => [entry.time.toISOString(), entry.direction, entry.type, entry.size, entry.latency, entry.payload, entry.link];
  return (held ?? kept).slice(-MAX_KEPT).filter(isWanted).map(entry => `${cells(entry).filter(Boolean).join("\t")}\n`).join("");
}

function clear() {
  [kept, shown, held, fresh, dropped, counters] = [[], [], held && [], 0, 0, noCounters()];
  $("log").replaceChildren();
  tell();
}

/** Puts a text where it can be pasted from; but on https:// and localhost only the old way is left for that. */
async function copy(text, what) {
  try {
    if (navigator.clipboard) await navigator.clipboard.writeText(text);
    else copySelected(text);
    log("info", `${what} copied`);
  } catch (error) {
    log("error", `${what} not copied: ${error.message}`);
  }
}

function copySelected(text) {
  const [field, focused] = [document.createElement("textarea"), document.activeElement];
  field.value = text;
  document.body.append(field);
  field.select();
  const isCopied = document.execCommand("copy");
  field.remove();
  focused?.focus();
  if (!isCopied) throw new Error("the browser does not allow it");
}

$("log").onscroll = () => {
  const { scrollHeight, scrollTop, clientHeight } = $("log");
  following = scrollHeight - scrollTop - clientHeight < 24;
};
new ResizeObserver(toEnd).observe($("log"));
$("clear").onclick = clear;
$("pause").onclick = () => {
  if (!held) follow();
  held = held ? null : kept.slice();
  $("pause").setAttribute("aria-pressed", held !== null);
  $("pause").textContent = held ? "Resume" : "Pause";
  if (held) draw();
  else redraw();
};
$("filter").oninput = redraw;
$("pretty").onchange = redraw;
$("copy").onclick = () => copy(asText(), "Log");
$("save").onclick = () => {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([asText()], { type: "text/plain" }));
  link.download = `websocket-${new Date().toISOString().slice(0, 19).replaceAll(":", "-")}.log`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60000);
};
tell();
