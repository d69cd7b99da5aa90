// Topics of rikki in a page: WebSockets that come back by themselves, and go on where they were.
// What there is, with types: rikki.d.ts beside this file.
// @ts-self-types="./rikki.d.ts"

const [CONNECTING, OPEN, CLOSING, CLOSED] = [0, 1, 2, 3];
const EVENTS = ["open", "message", "gap", "presence", "error", "close"];

// A connection that has lasted so long has proved itself, in milliseconds.
const PROVED = 5000;

// The server means it: what comes back is closed again.
const isFinal = code =>
  code === 1008 || code === 1009 || (code >= 3500 && code < 4000) || (code >= 4500 && code < 5000);

// What a timer takes.
const LONGEST = 2 ** 31 - 1;

const fault = (name, text) => new DOMException(text, name);

export class Topic extends EventTarget {
  static CONNECTING = CONNECTING;
  static OPEN = OPEN;
  static CLOSING = CLOSING;
  static CLOSED = CLOSED;

  #url;
  #options;
  #position = null;
  #readyState = CLOSED;
  #attempt = null;      // aborts what it waits for; null while there is neither a connection nor one on its way
  #socket = null;       // of the attempt
  #timer = 0;           // bounds an attempt, proves a connection, or ends a wait: one of them at a time
  #failed = 0;          // attempts since a connection has proved itself
  #queue = [];          // what is to be sent by the next connection
  #queued = 0;          // how much that is
  #watch = null;        // aborts listening to the page
  #comesBack = false;   // when what is closing has closed

  constructor(url, { token, queue = 0, minDelay = 500, maxDelay = 20000, timeout = 10000 } = {}) {
    super();
    for (const [name, value] of Object.entries({ queue, minDelay, maxDelay, timeout })) {
      if (!(value >= 0)) throw new RangeError(`${name} is a number, and not below 0`);
    }
    const base = globalThis.document?.baseURI ?? globalThis.location?.href;
    this.#url = new URL(url, base);
    this.#url.protocol = this.#url.protocol.replace("http", "ws");
    this.#url.hash = "";
    if (!/^wss?:$/.test(this.#url.protocol)) throw fault("SyntaxError", "a topic is at http: or https:");
    this.#options = { token, queue, minDelay, maxDelay, timeout: Math.min(timeout, LONGEST) };
    for (const type of EVENTS) {
      this[`on${type}`] = null;
      this.addEventListener(type, event => this[`on${type}`]?.(event));
    }
    this.connect();
  }

  get url() {
    return this.#url.href;
  }

  get readyState() {
    return this.#readyState;
  }

  get position() {
    return this.#position;
  }

  get bufferedAmount() {
    return this.#queued + (this.#socket?.bufferedAmount ?? 0);
  }

  connect() {
    if (this.#readyState === CLOSING) this.#comesBack = true;
    if (this.#attempt) return;
    if (this.#readyState === CLOSED) this.#failed = 0;
    this.#readyState = CONNECTING;
    this.#listen();
    this.#begin();
  }

  close(code = 1000, reason = "") {
    if (code !== 1000 && !(code >= 3000 && code < 5000)) {
      throw fault("InvalidAccessError", "a page closes with 1000, or with 3000 to 4999");
    }
    this.#comesBack = false;
    if (this.#readyState >= CLOSING) return;
    const socket = this.#socket;
    socket?.close(code, reason);
    this.#readyState = CLOSING;
    clearTimeout(this.#timer);
    this.#reject(code);
    if (socket) {
      socket.onmessage = null;
    } else {
      this.#attempt?.abort();
      this.#attempt = new AbortController();
      // What comes of a call is told after it.
      queueMicrotask(() => this.#end({ code, reason }));
    }
  }

  async send(data) {
    const isBinary = data instanceof Blob || data instanceof ArrayBuffer || ArrayBuffer.isView(data);
    if (!isBinary) data = String(data);
    if (this.#readyState === OPEN && this.#socket.readyState === OPEN) return this.#socket.send(data);
    if (this.#readyState >= CLOSING) throw fault("InvalidStateError", "the topic is closed");
    const { queue } = this.#options;
    if (!queue) throw fault("InvalidStateError", "there is no connection, and `queue` is 0");
    // Bytes may change before they are sent. What is empty has a place too.
    const copy = new Blob([data]);
    const size = Math.max(copy.size, 1);
    if (this.#queued + size > queue) throw fault("QuotaExceededError", `more than ${queue} bytes wait to be sent`);
    this.#queued += size;
    return new Promise((resolve, reject) => this.#queue.push({ data: isBinary ? copy : data, resolve, reject }));
  }

  /** Hears when the page is away, and when it is back. */
  #listen() {
    if (this.#watch) return;
    this.#watch = new AbortController();
    const { signal } = this.#watch;
    const on = (target, type, handle) => target?.addEventListener?.(type, handle, { signal });
    const { document } = globalThis;
    const back = ({ type }) => {
      if (!this.#attempt && !(type === "visibilitychange" && document.hidden)) this.#begin();
    };
    const away = ({ type }) => {
      if (this.#attempt && this.#readyState < CLOSING) this.#end({ reason: type });
    };
    // A page with a connection is not kept for when its reader comes back.
    for (const type of ["offline", "pagehide"]) on(globalThis, type, away);
    for (const type of ["online", "pageshow"]) on(globalThis, type, back);
    for (const type of ["visibilitychange", "resume"]) on(document, type, back);
  }

  /** Connects, in place of waiting. */
  async #begin() {
    clearTimeout(this.#timer);
    const attempt = (this.#attempt = new AbortController());
    this.#timer = setTimeout(() => this.#fail("timeout"), this.#options.timeout);
    let token;
    try {
      token = await this.#options.token?.(attempt.signal);
    } catch (error) {
      // Who has made this topic listens when that is done.
      await null;
      if (attempt === this.#attempt) this.#fail("no token", error);
      return;
    }
    if (attempt === this.#attempt) this.#open(token);
  }

  #open(token) {
    const url = new URL(this.#url);
    const query = url.searchParams;
    query.set("envelope", "json");
    if (this.#position) {
      query.delete("last");
      query.set("since", this.#position);
    }
    if (token) query.set("token", token);
    let socket;
    try {
      socket = new WebSocket(url);
    } catch (error) {
      // Its text may have the URL, and that the token.
      return this.#fail(error.name);
    }
    this.#socket = socket;
    socket.onmessage = ({ data }) => this.#receive(data);
    socket.onclose = ({ code, reason, wasClean }) => {
      if (wasClean || this.#readyState === CLOSING) this.#end({ code, reason, wasClean });
      else this.#fail(reason, undefined, code);
    };
  }

  #receive(text) {
    try {
      const said = JSON.parse(text);
      if (said.gap) return this.#tell("gap", { missed: said.gap.missed });
      if (said.presence) return this.#tell("presence", said.presence);
      const { epoch, offset, recovered = null } = said.subscribed ?? said.position ?? said;
      if (typeof epoch !== "string") throw fault("DataError", "this is no message of a topic");
      this.#position = `${epoch}:${offset}`;
      if (said.subscribed) return this.#opened(recovered);
      if (said.position) return;
      const data = said.data ?? Uint8Array.from(atob(said.base64), byte => byte.charCodeAt(0)).buffer;
      this.#tell("message", { data, time: said.time, lastEventId: this.#position });
    } catch (error) {
      this.#fail("no topic", error);
    }
  }

  /** The topic has said where it begins. */
  #opened(recovered) {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => (this.#failed = 0), PROVED);
    this.#readyState = OPEN;
    const queue = this.#queue;
    [this.#queue, this.#queued] = [[], 0];
    for (const { data, resolve } of queue) resolve(this.#socket.send(data));
    this.#tell("open", { recovered });
    if (recovered === false) this.#tell("gap", { missed: null });
  }

  #fail(reason, error = new Error(reason || "the connection was lost, or could not be made"), code = 1006) {
    this.#end({ reason, code }, error);
  }

  /** The attempt has ended, or its connection: waits, or does not come back. */
  #end({ code = 1006, reason = "", wasClean = false }, error) {
    const { minDelay, maxDelay } = this.#options;
    clearTimeout(this.#timer);
    const socket = this.#socket;
    if (socket) {
      socket.onmessage = socket.onclose = null;
      socket.close();
    }
    this.#attempt.abort();
    this.#attempt = this.#socket = null;
    let retry = null;
    if (this.#comesBack) {
      retry = this.#failed = 0;
    } else if (this.#readyState !== CLOSING && !isFinal(code)) {
      const window = Math.min(maxDelay, Math.max(minDelay, 1) * 2 ** ++this.#failed);
      retry = Math.min(minDelay + Math.random() * Math.max(window - minDelay, 0), LONGEST);
    }
    this.#comesBack = false;
    this.#readyState = retry === null ? CLOSED : CONNECTING;
    if (retry === null) {
      this.#reject(code);
      this.#watch.abort();
      this.#watch = null;
    } else {
      this.#timer = setTimeout(() => this.#begin(), retry);
    }
    if (error) this.#tell("error", { error });
    this.#tell("close", { code, reason, wasClean, retry });
  }

  #reject(code) {
    const queue = this.#queue;
    [this.#queue, this.#queued] = [[], 0];
    for (const { reject } of queue) reject(fault("AbortError", `the topic was closed with ${code} before it was sent`));
  }

  #tell(type, fields) {
    this.dispatchEvent(Object.assign(new Event(type), fields));
  }
}
