// `/rikki.js` alone, with sockets, timers, chance and a page of ours: `RIKKI_JS` is where it lies. Nothing is waited for.

import assert from "node:assert/strict";
import { getEventListeners, setMaxListeners } from "node:events";
import { readFileSync } from "node:fs";
import { beforeEach, test } from "node:test";
import { gzipSync } from "node:zlib";

const source = readFileSync(process.env.RIKKI_JS);
const { Topic } = await import(`data:text/javascript;base64,${source.toString("base64")}`);

const settled = () => new Promise(setImmediate);

let sockets, timers, now, page;

class FakeSocket {
  readyState = 0;
  bufferedAmount = 0;
  sent = [];
  closed = null;

  constructor(url) {
    this.url = new URL(url);
    sockets.push(this);
  }

  send(data) {
    assert.equal(this.readyState, 1);
    this.sent.push(data);
  }

  close(code, reason) {
    this.closed ??= [code, reason];
    this.readyState = Math.max(this.readyState, 2);
  }

  /** The handshake is done, and the topic begins. */
  begin(subscribed = { epoch: "e", offset: 0 }) {
    this.readyState = 1;
    this.say({ subscribed });
  }

  say(said) {
    this.onmessage?.({ data: JSON.stringify(said) });
  }

  end(code, wasClean = code !== 1006) {
    this.readyState = 3;
    this.onclose?.({ code, reason: "", wasClean });
  }

  get isAlive() {
    return this.readyState < 2;
  }
}

/** Lets time pass, in milliseconds. */
async function pass(ms) {
  await settled();
  const until = now + ms;
  for (;;) {
    const due = [...timers].filter(([, timer]) => timer.at <= until).sort(([, a], [, b]) => a.at - b.at)[0];
    if (!due) break;
    timers.delete(due[0]);
    now = due[1].at;
    due[1].run();
    await settled();
  }
  now = until;
}

beforeEach(() => {
  [sockets, timers, now] = [[], new Map(), 0];
  globalThis.WebSocket = FakeSocket;
  let last = 0;
  globalThis.setTimeout = (run, ms) => (timers.set(++last, { run, at: now + ms }), last);
  globalThis.clearTimeout = id => timers.delete(id);
  Math.random = () => 0.5;
  page = new EventTarget();
  setMaxListeners(0, page);
  globalThis.addEventListener = page.addEventListener.bind(page);
  globalThis.document = Object.assign(new EventTarget(), { baseURI: "https://example.org/here/", hidden: false });
  setMaxListeners(0, document);
});

/** A topic, and what it has told. */
function topic(url = "/chat", options) {
  const topic = new Topic(url, options);
  topic.log = [];
  for (const type of ["open", "message", "gap", "presence", "error", "close"]) {
    topic.addEventListener(type, event => topic.log.push({ ...event, type }));
  }
  topic.types = () => topic.log.splice(0).map(({ type }) => type).join(" ");
  return topic;
}

async function opened(url, options) {
  const it = topic(url, options);
  await settled();
  sockets.at(-1).begin();
  it.log.length = 0;
  return it;
}

const alive = () => sockets.filter(socket => socket.isAlive).length;

test("it is small", () => {
  assert.ok(gzipSync(source, { level: 9 }).length <= 4096, `${gzipSync(source, { level: 9 }).length} bytes`);
});

test("waits are random, and longer each time up to a bound", async () => {
  const waits = async (random, options, rounds = 10) => {
    Math.random = () => random;
    const it = topic("/chat", options);
    const waits = [];
    for (let failed = 0; failed < rounds; failed += 1) {
      await settled();
      sockets.at(-1).end(1006);
      waits.push(it.log.at(-1).retry);
      await pass(it.log.at(-1).retry);
    }
    it.close();
    assert.equal(Math.max(...waits), waits.at(-1));
    return waits.slice(0, 8);
  };
  assert.deepEqual(await waits(0), [500, 500, 500, 500, 500, 500, 500, 500]);
  assert.deepEqual(await waits(1), [1000, 2000, 4000, 8000, 16000, 20000, 20000, 20000]);
  assert.deepEqual(await waits(0.5), [750, 1250, 2250, 4250, 8250, 10250, 10250, 10250]);
  assert.deepEqual(await waits(1, { minDelay: 0, maxDelay: 8 }, 1100), [2, 4, 8, 8, 8, 8, 8, 8]);
  assert.deepEqual(await waits(1, { minDelay: 50, maxDelay: 10 }), [50, 50, 50, 50, 50, 50, 50, 50]);
  const undefinedIsDefault = await waits(1, { minDelay: undefined, maxDelay: 3000 });
  assert.deepEqual(undefinedIsDefault, [1000, 2000, 3000, 3000, 3000, 3000, 3000, 3000]);
  // A timer takes what is longer for nothing.
  const unbounded = await waits(1, { minDelay: 1e9, maxDelay: Infinity });
  assert.deepEqual(unbounded, [2e9, ...Array(7).fill(2 ** 31 - 1)]);
});

test("five seconds prove a connection", async () => {
  Math.random = () => 1;
  const it = topic();
  const lasting = async ms => {
    await settled();
    sockets.at(-1).begin();
    await pass(ms);
    sockets.at(-1).end(1006);
    const { retry } = it.log.at(-1);
    await pass(retry);
    return retry;
  };
  assert.equal(await lasting(0), 1000);
  assert.equal(await lasting(4999), 2000);
  assert.equal(await lasting(4999), 4000);
  assert.equal(await lasting(5000), 1000);
  assert.equal(await lasting(4999), 2000);
  // Who is asked to connect anew begins anew.
  it.close();
  sockets.at(-1).end(1006);
  it.connect();
  assert.equal(await lasting(0), 1000);
});

test("it stops where the server means it", async () => {
  for (const [code, stops] of [
    [1000, false], [1001, false], [1005, false], [1006, false], [1008, true], [1009, true], [1011, false],
    [1012, false], [1013, false], [3000, false], [3499, false], [3500, true], [3999, true], [4000, false],
    [4499, false], [4500, true], [4999, true], [5000, false],
  ]) {
    const it = await opened();
    const count = sockets.length;
    sockets.at(-1).end(code);
    const { retry, ...close } = it.log.at(-1);
    assert.equal(close.code, code);
    assert.equal(retry === null, stops, code);
    assert.equal(it.readyState, stops ? 3 : 0, code);
    await pass(60_000);
    assert.equal(sockets.length > count, !stops, code);
    if (stops) {
      for (const type of ["online", "pageshow"]) page.dispatchEvent(new Event(type));
      await pass(60_000);
      assert.equal(sockets.length, count, `${code}: it came back`);
    }
    it.close();
  }
});

test("connect makes one connection, whenever it is called", async () => {
  let answer;
  const it = topic("/chat", { token: () => new Promise(resolve => (answer = resolve)) });
  const connect = async () => {
    for (let i = 0; i < 3; i += 1) it.connect();
    await settled();
    assert.ok(alive() <= 1, `${alive()} are alive`);
    return sockets.length;
  };
  assert.equal(await connect(), 0);
  answer("t");
  assert.equal(await connect(), 1);
  sockets[0].begin();
  assert.equal(await connect(), 1);
  sockets[0].end(1006);
  await connect();
  answer("t");
  assert.equal(getEventListeners(page, "online").length, 1);
  // It did not wait, and what it waited for does not come on top.
  assert.equal(await connect(), 2);
  await pass(9_000);
  assert.equal(sockets.length, 2);
  sockets[1].begin();
  it.close();
  assert.equal(it.readyState, 2);
  assert.equal(await connect(), 2);
  sockets[1].end(1000);
  await pass(0);
  answer("t");
  assert.equal(await connect(), 3);
  it.close();
  it.connect();
  it.close();
  assert.deepEqual(sockets[2].closed, [1000, ""]);
  sockets[2].end(1000);
  await pass(60_000);
  assert.equal(it.readyState, 3);
  assert.equal(sockets.length, 3);
  assert.equal(getEventListeners(page, "online").length, 0);
  it.connect();
  await settled();
  answer("t");
  assert.equal(await connect(), 4);
});

test("it goes on where it was", async () => {
  const it = topic("/rooms/a?last=10&presence=true#top");
  await settled();
  assert.equal(sockets[0].url.href, "wss://example.org/rooms/a?last=10&presence=true&envelope=json");
  sockets[0].begin({ epoch: "a", offset: 3 });
  assert.equal(it.position, "a:3");
  sockets[0].say({ epoch: "a", offset: 5, time: 7, data: "x" });
  sockets[0].say({ presence: { count: 2, joined: [], left: [], complete: true } });
  sockets[0].say({ gap: { missed: 4 } });
  sockets[0].end(1006);
  await pass(1000);
  assert.equal(sockets[1].url.search, "?presence=true&envelope=json&since=a%3A5");
  sockets[1].begin({ epoch: "a", offset: 5, recovered: true });
  sockets[1].say({ epoch: "a", offset: 6, time: 8, base64: "AP8=" });
  sockets[1].end(1001);
  await pass(2000);
  sockets[2].begin({ epoch: "b", offset: 0, recovered: false });
  const bare = it.log.map(({ type, recovered, data, lastEventId, missed, count }) =>
    [type, recovered ?? data ?? missed ?? count, lastEventId].filter(part => part !== undefined));
  assert.deepEqual(bare, [
    ["open"], ["message", "x", "a:5"], ["presence", 2], ["gap", 4], ["error"], ["close"],
    ["open", true], ["message", new Uint8Array([0, 255]).buffer, "a:6"], ["close"],
    ["open", false], ["gap"],
  ]);
  assert.equal(it.position, "b:0");
  assert.equal(it.url, "wss://example.org/rooms/a?last=10&presence=true");
});

test("where nothing comes it moves on, and tells nothing", async () => {
  const it = await opened();
  sockets.at(-1).say({ epoch: "e", offset: 5, time: 7, data: "x" });
  sockets.at(-1).say({ position: { epoch: "e", offset: 90 } });
  assert.equal(it.position, "e:90");
  assert.equal(it.types(), "message");
  sockets.at(-1).end(1006);
  await pass(1000);
  assert.equal(sockets.at(-1).url.searchParams.get("since"), "e:90");
});

test("what is no message of a topic ends the connection, and is told", async () => {
  for (const text of ["", "hello", "null", "1", "[]", "{}", '{"offset":1}', '{"epoch":"e","offset":1}', '{"position":{"offset":1}}', '{"epoch":"e","offset":1,"base64":"*"}', new Blob(["{}"])]) {
    const it = await opened();
    sockets.at(-1).onmessage({ data: text });
    assert.equal(it.types(), "error close", text);
    assert.equal(alive(), 0);
    it.close();
    await settled();
  }
});

test("what makes no sense is refused at once", () => {
  for (const options of [{ queue: -1 }, { minDelay: NaN }, { maxDelay: "long" }, { timeout: -1 }]) {
    assert.throws(() => topic("/chat", options), RangeError);
  }
  for (const url of ["ftp://example.org/chat", "data:,chat", "http://", "wss://exa mple/"]) {
    assert.throws(() => topic(url));
  }
  assert.equal(topic("http://example.org/chat").url, "ws://example.org/chat");
  assert.equal(topic(new URL("wss://example.org/chat")).url, "wss://example.org/chat");
  assert.equal(topic("chat").url, "wss://example.org/here/chat");
  assert.equal(topic("//other.example/chat").url, "wss://other.example/chat");
});

test("an attempt is bounded", async () => {
  const hangs = topic("/chat", { token: () => new Promise(() => {}) });
  const mute = topic("/chat", { timeout: 3000 });
  await pass(2999);
  sockets[0].readyState = 1;
  assert.equal(mute.types(), "");
  await pass(1);
  assert.equal(mute.types(), "error close");
  assert.equal(sockets[0].isAlive, false);
  await pass(6999);
  assert.equal(hangs.types(), "");
  await pass(1);
  assert.equal(hangs.types(), "error close");
  await pass(1000);
  assert.equal(hangs.readyState, 0);
  for (const it of [hangs, mute]) it.close();
  await settled();
  const patient = topic("/chat", { timeout: Infinity });
  await pass(1e9);
  assert.equal(patient.types(), "");
});

test("a token is asked for each time, and told to nobody", async () => {
  const said = [];
  for (const name of ["log", "info", "warn", "error", "debug"]) console[name] = (...all) => said.push(all);
  let count = 0;
  const signals = [];
  // Also one that throws at once is told to those who have come to listen since.
  const throws = topic("/chat", { token: () => assert.fail("no") });
  await settled();
  assert.equal(throws.types(), "error close");
  throws.close();
  const it = topic("/chat", {
    token: async signal => {
      signals.push(signal);
      count += 1;
      if (count === 2) throw new Error("who are you?");
      return count === 4 ? null : `secret${count}`;
    },
  });
  await settled();
  assert.equal(sockets[0].url.search, "?envelope=json&token=secret1");
  sockets[0].end(1006);
  await pass(750);
  assert.deepEqual([sockets.length, it.log.at(-2).error.message], [1, "who are you?"]);
  assert.equal(typeof it.log.at(-1).retry, "number");
  await pass(2000);
  assert.equal(sockets[1].url.searchParams.get("token"), "secret3");
  sockets[1].end(1006);
  await pass(4000);
  assert.equal(sockets[2].url.search, "?envelope=json");
  globalThis.WebSocket = class {
    constructor(url) {
      throw new DOMException(`${url} is bad`, "SecurityError");
    }
  };
  sockets[2].end(1006);
  await pass(8000);
  assert.equal(it.log.at(-2).error.message, "SecurityError");
  it.close();
  await settled();
  const told = JSON.stringify([it.log.map(event => [event, `${event.error}`]), it.url, said]);
  assert.ok(!told.includes("secret"), told);
  assert.ok(signals.every(signal => signal.aborted));
});

test("what is sent while away rejects, or waits up to a bound", async () => {
  const none = topic();
  await assert.rejects(none.send("x"), { name: "InvalidStateError" });
  const it = topic("/chat", { queue: 6 });
  const bytes = new Uint8Array([1, 2]);
  const sends = [it.send("\u00e9"), it.send(bytes), it.send("")];
  bytes[0] = 9;
  assert.equal(it.bufferedAmount, 5);
  await assert.rejects(it.send("12"), { name: "QuotaExceededError" });
  await assert.rejects(it.send("1234567"), { name: "QuotaExceededError" });
  sends.push(it.send(4));
  await assert.rejects(it.send(""), { name: "QuotaExceededError" });
  await settled();
  const socket = sockets.at(-1);
  it.onopen = () => it.send("behind");
  socket.begin();
  await Promise.all(sends);
  const [first, second, ...rest] = socket.sent;
  assert.equal(first, "\u00e9");
  assert.deepEqual(new Uint8Array(await second.arrayBuffer()), new Uint8Array([1, 2]));
  assert.deepEqual(rest, ["", "4", "behind"]);
  assert.equal(it.bufferedAmount, 0);
  // Not bounded there: the browser takes it.
  await it.send("x".repeat(100));
  // It has heard the Close, and the page not yet.
  socket.readyState = 2;
  const last = [it.send("a"), it.send("b")];
  socket.end(1008);
  for (const send of last) await assert.rejects(send, { name: "AbortError" });
  await assert.rejects(it.send("c"), { name: "InvalidStateError" });
  assert.equal(it.bufferedAmount, 0);
});

test("what waits outlasts attempts, and ends with the topic", async () => {
  const it = topic("/chat", { queue: 100 });
  const [sent, lost] = [it.send("1"), it.send("2")];
  await settled();
  sockets[0].end(1006);
  await pass(1000);
  sockets[1].begin();
  await Promise.all([sent, lost]);
  sockets[1].end(1006);
  const late = it.send("3");
  it.close(4000);
  await assert.rejects(late, /closed with 4000/);
});

test("the page is away and back", async () => {
  const it = await opened();
  page.dispatchEvent(new Event("online"));
  assert.equal(it.types(), "");
  for (const [away, back] of [["offline", "online"], ["pagehide", "pageshow"]]) {
    const old = sockets.at(-1);
    page.dispatchEvent(new Event(away));
    assert.equal(it.types(), "close");
    assert.equal(alive(), 0);
    // What still comes of the old one is nothing to it.
    old.say({ epoch: "e", offset: 1, time: 1, data: "x" });
    old.end(1006);
    await assert.rejects(it.send("x"));
    page.dispatchEvent(new Event(away));
    assert.equal(it.types(), "");
    // Hidden or not: the network is back.
    document.hidden = true;
    page.dispatchEvent(new Event(back));
    page.dispatchEvent(new Event(back));
    await settled();
    assert.equal(alive(), 1);
    sockets.at(-1).begin({ epoch: "e", offset: 0, recovered: true });
    assert.equal(it.types(), "open");
  }
  for (const type of ["visibilitychange", "resume"]) {
    sockets.at(-1).end(1006);
    document.hidden = true;
    document.dispatchEvent(new Event("visibilitychange"));
    await settled();
    assert.equal(alive(), 0);
    document.hidden = false;
    document.dispatchEvent(new Event(type));
    await settled();
    assert.equal(alive(), 1);
    sockets.at(-1).begin();
  }
  it.close();
  page.dispatchEvent(new Event("offline"));
  assert.equal(it.readyState, 2);
});

test("it closes from wherever it is", async () => {
  // While it asks for a token, whose answer comes too late.
  const asks = topic("/chat", { token: () => "t" });
  asks.close(4000, "bye");
  assert.deepEqual([asks.readyState, asks.types()], [2, ""]);
  await settled();
  const [{ code, reason, retry }] = asks.log;
  assert.deepEqual([code, reason, retry, asks.types(), sockets.length], [4000, "bye", null, "close", 0]);
  assert.equal(asks.readyState, 3);
  // The same where the function hears of it, as that of `fetch` does.
  let heard;
  const asked = new Promise(resolve => (heard = resolve));
  const fetches = topic("/chat", {
    queue: 10,
    token: signal => {
      heard({ signal });
      return new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason)));
    },
  });
  const sent = fetches.send("x");
  const { signal } = await asked;
  fetches.close();
  assert.ok(signal.aborted);
  fetches.connect();
  await assert.rejects(sent, { name: "AbortError" });
  await settled();
  assert.equal(fetches.types(), "close");
  fetches.close();
  await pass(60_000);
  assert.deepEqual([fetches.types(), sockets.length], ["close", 0]);
  // While it connects, which the browser gives up.
  const connects = topic();
  await settled();
  connects.close();
  assert.deepEqual(sockets[0].closed, [1000, ""]);
  assert.equal(connects.readyState, 2);
  sockets[0].end(1006);
  assert.equal(connects.types(), "close");
  // While it waits.
  const waits = await opened();
  sockets.at(-1).end(1006);
  waits.types();
  waits.close();
  waits.close();
  await settled();
  assert.equal(waits.types(), "close");
  // While it is open, and what comes then is nothing to it.
  const open = await opened();
  const socket = sockets.at(-1);
  const { onmessage } = socket;
  open.close(3000);
  assert.equal(socket.onmessage, null);
  assert.throws(() => open.close(1001), { name: "InvalidAccessError" });
  assert.throws(() => open.close(5000), { name: "InvalidAccessError" });
  socket.end(3000);
  assert.equal(open.types(), "close");
  assert.notEqual(onmessage, null);
  await pass(60_000);
  assert.deepEqual([alive(), timers.size], [0, 0]);
});

test("a handler may close, and connect again, at any event", async () => {
  for (const type of ["open", "message", "gap", "error", "close"]) {
    const it = topic();
    const acts = () => {
      it.removeEventListener(type, acts);
      it.close();
      it.connect();
    };
    it.addEventListener(type, acts);
    for (let round = 0; round < 3; round += 1) {
      await pass(1000);
      const socket = sockets.at(-1);
      assert.ok(alive() <= 1, type);
      if (!socket.isAlive) {
        socket.end(1000);
        continue;
      }
      socket.begin({ epoch: "e", offset: 0, recovered: false });
      socket.say({ epoch: "e", offset: 1, time: 1, data: "x" });
      socket.end(1006);
    }
    page.dispatchEvent(new Event("online"));
    await settled();
    assert.equal(alive(), 1, type);
    it.close();
    sockets.at(-1).end(1000);
    await settled();
    assert.equal(it.readyState, 3, type);
    assert.equal(it.log.at(-1).retry, null, type);
  }
});
