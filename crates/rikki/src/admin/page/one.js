// One WebSocket, for as long as it is open, and what was last known of it afterwards.

/** The WebSocket that is looked at: its id, what was read last, and since when it is over. */
let one = null;

const ONE_FACTS = [
  ["Address", item => plain(item.peer ?? "not known", 60)],
  ["Endpoint", item => `${plain(item.endpoint)} by ${plain(item.transport, 20)}`],
  ["Subprotocol", item => item.subprotocol === undefined ? "none" : plain(item.subprotocol, 100)],
  ["Open for", item => duration(item.age_ms)],
  ["Queued", item => bytes(number(item.queued_bytes))],
  ["Waiting for the peer", item => item.waiting_ms === undefined ? "no" : `for ${duration(item.waiting_ms)}`],
  ["Received", item => `${count(number(item.received_messages))} messages, ${bytes(number(item.received_bytes))}`],
  ["Received a second", (_, rates) => `${perSecond(rates.received_messages)} messages, ${bytes(rates.received_bytes)}`],
  ["Sent", item => `${count(number(item.sent_messages))} messages, ${bytes(number(item.sent_bytes))}`],
  ["Sent a second", (_, rates) => `${perSecond(rates.sent_messages)} messages, ${bytes(rates.sent_bytes)}`],
  ["Compressed to", item => item.compression ? ratio(item.compression) : "nothing was compressed"],
];

function makeOne() {
  for (const [name] of ONE_FACTS) byId("one-facts").append(make("div", {}, make("dt", {}, name), make("dd", {}, make("bdi"))));
  byId("one-close").addEventListener("click", closeOne);
  addEventListener("keydown", event => { if (event.key === "Escape" && one !== null) closeOne(); });
  copies(byId("one-copy"), byId("one-command"));
  const form = make("form", { autocomplete: "off" }, make("label", { for: "id" }, "Id, as the log has it"),
    make("input", { id: "id", inputmode: "numeric", pattern: "[0-9]{1,20}", required: "", size: "9" }), make("button", {}, "Show"));
  form.addEventListener("submit", event => {
    event.preventDefault();
    openOne(byId("id").value.trim());
  });
  TABLES.find(({ id }) => id === "slowest").noted.replaceWith(form);
}

function openOne(id) {
  one = { id: String(id), opener: document.activeElement, item: null, rates: {}, state: "asking" };
  byId("one").hidden = false;
  write(byId("one-title"), `WebSocket ${one.id}`);
  write(byId("one-command"), `rikki admin close ${one.id}`);
  drawOne();
  byId("one-title").focus();
  if (isPaused) askOne().catch(() => endOne("No answer.")).then(drawOne);
  else poll();
}

function closeOne() {
  const { opener } = one;
  one = null;
  byId("one").hidden = true;
  (opener?.isConnected ? opener : byId("id")).focus();
}

/** It is no longer there: ids come again only after a restart. */
function endOne(state) {
  if (one !== null && !one.isOver) Object.assign(one, { state, isOver: true, rates: {} });
}

/** Reads it again. */
async function askOne() {
  const asked = one;
  if (asked === null || asked.isOver) return;
  const response = await ask(`status/connections/${encodeURIComponent(asked.id)}`);
  const item = response.status === 200 ? await response.json() : null;
  if (asked !== one || asked.isOver) return;
  if (response.status === 404) {
    endOne(asked.item === null ? "No WebSocket that is open has this id." : `Closed, as seen at ${clock(Date.now())}. This is what was last known.`);
  } else if (item === null) {
    asked.state = `The answer was ${response.status}.`;
  } else {
    const elapsed = asked.item === null ? null : number(item.age_ms) - number(asked.item.age_ms);
    if (elapsed !== 0) asked.rates = Object.fromEntries(COUNTERS.map(name => [name, rate(number(item[name]), asked.item?.[name], elapsed)]));
    asked.item = item;
    asked.state = item.closing === undefined ? "Open" : `Is being closed with ${number(item.closing)}`;
  }
}

function drawOne() {
  if (one === null) return;
  announce("one-state", failures > 0 && !one.isOver ? "No answer. This is what was last known." : one.state);
  byId("one").dataset.over = one.isOver === true;
  byId("one-facts").hidden = one.item === null;
  byId("one-command").parentElement.hidden = one.item === null || one.isOver === true;
  if (one.item === null) return;
  ONE_FACTS.forEach(([, of], index) => write(byId("one-facts").children[index].lastChild.firstChild, of(one.item, one.rates)));
}
