// What is sent: text, or bytes that are written as text, as hex or taken from a file; once or many times.

const MAX_HISTORY = 100;          // messages that Up brings back
const MAX_BUFFERED = 1 << 20;     // bytes in the browser's own queue, beyond which repeating waits
const AT_ONCE = 100;              // messages between which the page gets no turn

const history = [];
let recalled = 0;                 // which of them is shown, or their number
let draft = "";

/** The bytes that pairs of hex digits stand for, apart or not: `00 ff`, `0x00, 0xff`, `00:ff`, `00ff`. */
function fromHex(text) {
  const digits = text.replace(/0x/gi, " ").replace(/[\s,:]+/g, " ").trim();
  for (const part of digits.split(" ").filter(Boolean)) {
    if (/[^0-9a-f]/i.test(part)) throw new Error(`"${part.match(/[^0-9a-f]/i)[0]}" is no hex digit`);
    if (part.length % 2) throw new Error(`"${part.slice(0, 20)}" has an odd number of hex digits`);
  }
  return Uint8Array.from(digits.match(/[0-9a-f]{2}/gi) ?? [], pair => parseInt(pair, 16)).buffer;
}

/** What the fields say, as a string or an ArrayBuffer. */
async function composed() {
  const text = $("message").value;
  switch ($("format").value) {
    case "utf8": return encoder.encode(text).buffer;
    case "hex": return fromHex(text);
    case "file": {
      const [file] = $("file").files;
      if (!file) throw new Error("no file is chosen");
      return file.arrayBuffer();
    }
    default: return text;
  }
}

async function send() {
  const [target, times] = [socket, Number($("times").value)];
  const isOpen = () => target === socket && target?.readyState === WebSocket.OPEN;
  if (!isOpen()) {
    log("error", "Not connected: nothing was sent");
    return;
  }
  if (!Number.isInteger(times) || times < 1 || times > 100000) {
    log("error", "Times is a number from 1 to 100000");
    return;
  }
  let data;
  try {
    data = await composed();
  } catch (error) {
    log("error", `Nothing was sent: ${error.message}`);
    return;
  }
  keep();
  for (let sent = 0; sent < times && isOpen(); sent++) {
    if (target instanceof EventSource) {
      await publish(target, data);
      continue;
    }
    while (target.bufferedAmount > MAX_BUFFERED && isOpen()) await turn();
    if (!isOpen()) break;
    awaitEcho(data);
    target.send(data);
    logMessage("sent", data);
    if (sent % AT_ONCE === AT_ONCE - 1) await turn();
  }
}

/** Lets the browser draw, and messages come. */
function turn() {
  return new Promise(resolve => setTimeout(resolve));
}

/** Keeps what was sent for Up. Enter sends it again, typing replaces it. */
function keep() {
  const text = $("message").value;
  if (text !== "" && text !== history.at(-1)) history.push(text);
  if (history.length > MAX_HISTORY) history.shift();
  recalled = history.length;
  $("message").select();
}

/** Shows an older or a newer message; false if there is none. */
function recall(step) {
  const field = $("message");
  if (recalled === history.length) draft = field.value;
  let next = recalled + step;
  // What was just sent is there already.
  if (step < 0 && history[next] === field.value) next -= 1;
  if (next < 0 || next > history.length) return false;
  recalled = next;
  field.value = history[next] ?? draft;
  field.setSelectionRange(step < 0 ? 0 : field.value.length, step < 0 ? 0 : field.value.length);
  return true;
}

/** The URL of this page that fills in what its fields say, and does nothing else. */
function link() {
  const asked = wanted();
  const query = new URLSearchParams({ url: asked.url });
  if (asked.subprotocols.length) query.set("subprotocols", asked.subprotocols.join(","));
  if (asked.events) query.set("transport", "events");
  if ($("message").value) query.set("send", $("message").value);
  if (/^(utf8|hex)$/.test($("format").value)) query.set("format", $("format").value);
  return `${location.origin}${location.pathname}?${query}`;
}

/** Fills in what a link says. Connecting and sending wait for whoever reads it. */
function fillFields() {
  const query = new URLSearchParams(location.search);
  $("url").value = query.get("url") ?? remembered() ?? origin + $("url").dataset.websocket;
  $("subprotocol").value = query.get("subprotocols") ?? "";
  $("message").value = query.get("send") ?? "";
  if (query.get("transport") === "events" && $("topics").options.length > 0) $("transport").value = "events";
  if (/^(utf8|hex)$/.test(query.get("format"))) $("format").value = query.get("format");
}

$("compose").onsubmit = event => {
  event.preventDefault();
  send();
};
$("message").onkeydown = event => {
  const { key, shiftKey, isComposing } = event;
  if (isComposing) return;   // while an input method composes, a key only accepts its proposal
  const { value, selectionStart, selectionEnd } = $("message");
  const isFirstLine = !value.slice(0, selectionStart).includes("\n");
  const isLastLine = !value.slice(selectionEnd).includes("\n");
  if (key === "Enter" && !shiftKey) {
    event.preventDefault();
    send();
  } else if (key === "ArrowUp" && isFirstLine && recall(-1)) {
    event.preventDefault();
  } else if (key === "ArrowDown" && isLastLine && recalled < history.length && recall(1)) {
    event.preventDefault();
  }
};
// What is changed is a draft, and no message of before.
$("message").oninput = () => recalled = history.length;
$("format").onchange = () => {
  const isFile = $("format").value === "file";
  $("file").hidden = !isFile;
  $("message").hidden = isFile;
  $("message").placeholder = $("format").value === "hex" ? "68 65 6c 6c 6f" : "";
};
$("link").onclick = () => copy(link(), "Link");

// The server has put its topics there, if it has any.
for (const topic of $("topics").options) topic.value = origin + topic.value;
for (const part of document.querySelectorAll(".topic")) part.hidden = $("topics").options.length === 0;
fillFields();
advise();
if (matchMedia("(min-width: 56rem) and (min-height: 40rem)").matches) showOptions(true);
