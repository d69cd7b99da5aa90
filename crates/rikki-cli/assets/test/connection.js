// The connection: a WebSocket, or events with POST; what went wrong with it, and how it comes back.

// The registered names: https://www.iana.org/assignments/websocket/websocket.xhtml#close-code-number
const CLOSE_CODES = {
  1000: "Normal Closure", 1001: "Going Away", 1002: "Protocol error", 1003: "Unsupported Data", 1005: "No Status Rcvd",
  1006: "Abnormal Closure", 1007: "Invalid frame payload data", 1008: "Policy Violation", 1009: "Message Too Big",
  1010: "Mandatory Ext.", 1011: "Internal Error", 1012: "Service Restart", 1013: "Try Again Later", 1014: "Bad Gateway",
  1015: "TLS handshake",
};

// Coming back is waited for between nothing and twice as long each time, in milliseconds.
const FIRST_WAIT = 500;
const LONGEST_WAIT = 30000;

const MAX_REFUSAL = 4096;   // bytes of a refusal's text that are read
const REFUSAL_TIME = 5000;  // milliseconds that it is waited for

const origin = `${location.protocol === "https:" ? "wss" : "ws"}://${location.host || "localhost:8000"}`;
let socket = null;          // or an EventSource
let connection = "";        // what it was asked for with
let attempts = 0;           // since it was open
let timer = 0;

/** Shows one of Connecting, Connected, Closing, Waiting and Closed. */
function show(state) {
  document.body.dataset.state = state;
  const protocol = state === "Connected" && socket.protocol ? `, subprotocol: ${socket.protocol}` : "";
  $("state-name").textContent = state + protocol;
  $("connect").textContent = state === "Closed" ? "Connect" : "Disconnect";
  // Whoever is filling them in goes on.
  if (state === "Connected" && !$("options").contains(document.activeElement)) showOptions(false);
}

function showOptions(open) {
  $("options").hidden = !open;
  $("more").setAttribute("aria-expanded", open);
}

/** What the fields ask for. */
function wanted() {
  return { url: $("url").value.trim(), events: $("transport").value === "events", subprotocols: $("subprotocol").value.split(",").map(name => name.trim()).filter(Boolean) };
}

/** Without TLS a page that has come with it may not connect, but to this computer. */
function advise() {
  const isMixed = location.protocol === "https:" && /^(ws|http):(?!\/\/(localhost|127(\.\d+){3}|\[::1\])([:/?]|$))/i.test($("url").value.trim());
  $("advice").textContent = isMixed ? "A page from https:// may not open ws://: write wss://, or open this page by http://" : "";
}

/** Connects to what the fields ask for, or again to what was `lost`. */
function connect(lost) {
  const asked = lost ?? wanted();
  if (!asked.url) {   // it would be taken for the URL of this page
    log("error", "The URL is empty: write it as ws://HOST[:PORT]/PATH");
    return;
  }
  let opened;
  try {
    opened = asked.events ? new EventSource(asked.url.replace(/^ws(?=s?:)/i, "http")) : new WebSocket(asked.url, asked.subprotocols);
  } catch (error) {   // a bad URL, a bad or repeated subprotocol, or ws:// from an https:// page
    log("error", $("advice").textContent || error.message);
    return;
  }
  clearTimeout(timer);
  if (isActive()) socket.close(1000);
  socket = opened;
  connection = JSON.stringify(asked);
  opened.binaryType = "arraybuffer";
  if (!lost) attempts = 0;
  forgetEchoes();
  show("Connecting");
  log("info", `Connecting to ${opened.url}`);
  // What comes next is a message: on the button, Enter would disconnect.
  if (!lost && $("connection").contains(document.activeElement)) $("message").focus();

  let wasOpen = false;
  opened.onopen = () => {
    wasOpen = true;
    attempts = 0;
    if (opened === socket) show("Connected");
    remember(asked.url);
    log("info", asked.events ? "Connected (server-sent events)" : `Connected (subprotocol: ${opened.protocol || "none"}, extensions: ${opened.extensions || "none"})`);
  };
  if (asked.events) return listen(opened, asked);
  opened.onmessage = event => logMessage("received", event.data);
  opened.onclose = event => {
    const name = CLOSE_CODES[event.code] ? ` (${CLOSE_CODES[event.code]})` : "";
    const reason = event.reason ? `, reason: ${event.reason}` : ", no reason";
    log("info", `Closed with code ${event.code}${name}${reason}, ${event.wasClean ? "clean" : "not clean"}`);
    if (opened !== socket) return;   // another one has taken its place
    const isWanted = document.body.dataset.state === "Closing";
    if (!wasOpen && !isWanted) explain("Connection failed", asked);
    if (!isWanted && $("reconnect").checked && mayComeBack(event.code)) comeBack(asked);
    else show("Closed");
  };
}

/** Whether a close does not say that coming back would end the same way, or that this was all. */
function mayComeBack(code) {
  return !([1000, 1002, 1003, 1007, 1008, 1009, 1010].includes(code) || (code >= 3500 && code < 4000) || code >= 4500);
}

/** Connects again after a time of chance, so that many do not come back at the same moment. */
function comeBack(lost) {
  const wait = Math.random() * Math.min(FIRST_WAIT * 2 ** attempts, LONGEST_WAIT);
  attempts += 1;
  show("Waiting");
  log("info", `Connecting again in ${(wait / 1000).toFixed(1)} s, attempt ${attempts}`);
  timer = setTimeout(connect, wait, lost);
}

/** Events have names and ids, and come again by themselves when the connection is lost. */
function listen(events, asked) {
  let [wasOpen, isExplained] = [false, false];
  events.addEventListener("open", () => [wasOpen, isExplained] = [true, false]);
  events.onmessage = event => logMessage("received", event.data, event.lastEventId);
  events.addEventListener("binary", event => {
    try {
      logMessage("received", Uint8Array.from(atob(event.data), byte => byte.charCodeAt(0)).buffer, event.lastEventId);
    } catch {
      log("error", `binary, and no base64: ${event.data.slice(0, MAX_PREVIEW)}`);
    }
  });
  for (const name of ["subscribed", "gap", "presence"]) {
    events.addEventListener(name, event => log("info", `${name}: ${event.data}`));
  }
  events.onerror = () => {
    const isOver = events.readyState === EventSource.CLOSED;
    if (isOver) explain("Refused", asked);
    else if (wasOpen) log("error", "Connection lost, coming back");
    else if (!isExplained) explain("Not connected yet", asked);
    [wasOpen, isExplained] = [false, !wasOpen];
    if (events !== socket) return;
    if (isOver) socket = null;
    show(isOver ? "Closed" : "Connecting");
  };
}

/** Browsers hide from a page why it could not connect. Of the page's own host it may ask by HTTP. */
async function explain(what, asked) {
  const [why, link] = await reason(asked);
  // Where there is a connection again it comes too late.
  if (document.body.dataset.state !== "Connected") log("error", `${what}: ${why}`, { link });
}

/** Why a connection has failed, and a link where it ends in one. */
async function reason(asked) {
  const url = new URL(asked.url, location.href);
  if (url.hostname !== location.hostname) return ["browsers hide the reason from pages, look into the developer console"];
  const secure = /^(wss|https):$/.test(url.protocol);
  const own = secure ? "https" : "http";
  // With its port, since without one each scheme has another. The rest of the URL is for nobody who has only to answer,
  // and must not be sent without TLS.
  const root = scheme => `${scheme}://${url.hostname}:${url.port || (secure ? 443 : 80)}/`;
  const isHere = scheme => new URL(root(scheme)).origin === location.origin;
  const whole = `${own}://${url.host}${url.pathname}${url.search}`;
  const more = [`the server there speaks HTTP: the path may be wrong, or pages of ${location.origin} not allowed. It says more at`, whole];
  const noTls = "this port speaks no TLS: write ws:// in place of wss://";
  if (secure && isHere("http")) return [noTls];
  const answer = isHere(own) ? await ask(whole) : null;
  if (answer) return answer.status ? [judged(answer, url, asked)] : more;
  // First, since many a port of TLS has an answer to those who come without.
  if (await ask(root("https"))) return secure ? more : ["this port speaks TLS: write wss:// in place of ws://"];
  const isHttp = await ask(root("http"));
  if (secure) {
    const why = isHttp ? noTls : "nothing there speaks TLS";
    return [`${why}, or its certificate is not trusted yet. Open this link, accept the certificate, and connect again:`, root("https")];
  }
  return isHttp ? more : [`nothing answers at ${url.host}, unless it speaks TLS with a certificate that is not trusted yet`];
}

/** What a refusal tells of a connection. */
function judged({ status, text }, url, asked) {
  const said = text ? `: ${text}` : "";
  const others = [...$("topics").options].map(topic => new URL(topic.value).pathname);
  const known = [$("url").dataset.websocket, ...others].filter(path => path !== url.pathname).join(", ");
  if (status === 404) return `wrong path, the server has nothing at ${url.pathname} (404)${known ? `; try ${known}` : ""}`;
  if (status < 300) return `wrong path, ${url.pathname} answers HTTP (${status}) and has no ${asked.events ? "events" : "WebSocket"}${known ? `; try ${known}` : ""}`;
  if (status === 426 && asked.subprotocols.length > 0) return "there is a WebSocket, and it may speak none of these subprotocols";
  return `the server answers ${status}${said}`;
}

/** The status of an answer and the beginning of its text; no status from another origin, and nothing if none comes. */
async function ask(url) {
  const control = new AbortController();
  const late = setTimeout(() => control.abort(), REFUSAL_TIME);
  const isOwn = new URL(url).origin === location.origin;
  try {
    // Without CORS a redirect has to be followed: https://fetch.spec.whatwg.org/#main-fetch
    const mode = isOwn ? { mode: "same-origin", redirect: "manual" } : { mode: "no-cors" };
    const answer = await fetch(url, { cache: "no-store", signal: control.signal, ...mode });
    return { status: answer.status, text: isOwn && !answer.ok ? await beginning(answer) : "" };
  } catch {
    return null;
  } finally {
    clearTimeout(late);
    control.abort();   // the rest of it, which may have no end
  }
}

/** As much of a text as there is, when it ends, is long enough or is cut. */
async function beginning(answer) {
  if (!answer.body || !/^text\/plain/.test(answer.headers.get("content-type") ?? "")) return "";
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  while (text.length < MAX_REFUSAL) {
    const { value, done } = await reader.read().catch(() => ({ done: true }));
    if (done) break;
    text += value;
  }
  reader.cancel().catch(() => {});
  return text.slice(0, MAX_REFUSAL).trim();
}

/** Publishes by POST; what is published comes back as an event, maybe before the answer. */
async function publish(events, data) {
  logMessage("sent", data);
  try {
    const type = typeof data === "string" ? "text/plain" : "application/octet-stream";
    const answer = await fetch(events.url, { method: "POST", headers: { "content-type": type }, body: data });
    if (!answer.ok) log("error", `Not published, ${answer.status}: ${await beginning(answer)}`);
  } catch (error) {
    log("error", `Not published: ${error.message}`);
  }
}

/** Whether there is a connection, or will be. */
function isActive() {
  return socket?.readyState === WebSocket.CONNECTING || socket?.readyState === WebSocket.OPEN;
}

function disconnect() {
  if (document.body.dataset.state === "Waiting") {
    clearTimeout(timer);
    log("info", "Not connecting again");
    return show("Closed");
  }
  if (!(socket instanceof EventSource)) {
    try {   // a code that pages may not send, or a reason of more than 123 bytes
      socket.close(Number($("close-code").value), $("close-reason").value);
    } catch (error) {
      return log("error", error.message);
    }
    return show("Closing");
  }
  socket.close();
  socket = null;   // which ends without a word
  log("info", "Closed");
  show("Closed");
}

/** The URL that was last connected to is there again the next time, where the browser lets pages keep anything. */
function remember(url) {
  try {
    localStorage.setItem("url", url);
  } catch {}
}

function remembered() {
  try {
    return localStorage.getItem("url");
  } catch {
    return null;
  }
}

$("connection").onsubmit = event => {
  event.preventDefault();
  const state = document.body.dataset.state;
  if (state === "Closed") connect();
  else if (state !== "Closing") disconnect();
};
for (const id of ["url", "subprotocol"]) {
  $(id).onkeydown = event => {
    // Enter in a field asks for what the field says, and never disconnects for nothing.
    if (event.key !== "Enter" || event.isComposing) return;
    event.preventDefault();
    if (!isActive() || JSON.stringify(wanted()) !== connection) connect();
  };
}
for (const id of ["close-code", "close-reason"]) {
  $(id).onkeydown = event => {
    if (event.key === "Enter") event.preventDefault();   // that is for the button
  };
}
$("url").oninput = advise;
$("more").onclick = () => showOptions($("options").hidden);
