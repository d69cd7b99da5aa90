// The tables. A row stays the same element for as long as it is there, so that what has the focus or is selected stays.

/** Of tables whose length is not bounded. */
const MOST_ROWS = 100;

const CODES = {
  1000: "normal", 1001: "going away", 1002: "protocol error", 1003: "unsupported data", 1005: "no code", 1006: "broken off",
  1007: "not UTF-8", 1008: "policy", 1009: "too big", 1010: "extension missing", 1011: "internal error", 1012: "restart",
  1013: "try again later", 1014: "bad gateway", "3xxx": "of libraries", "4xxx": "of applications",
};

const REASONS = {
  "max-connections": "no place left", "max-per-address": "too many of one address", "proxy-header": "no PROXY header",
  network: "network not allowed", "http2-memory": "no memory for HTTP/2", "request-rate": "too many requests",
  "request-head": "bad request", slow: "too slow", host: "Host not allowed", origin: "Origin not allowed",
  handshake: "bad handshake", violation: "protocol violated", limit: "message too large", rate: "too many messages",
  memory: "no memory left", timeout: "no sign of life", overflow: "queue full", panic: "callback panicked", error: "I/O error",
};

const share = ({ used, most }) => number(most) > 0 ? Math.min(1, number(used) / most) : 0;
const grown = (key, name) => growth.get(key)?.[name] ?? null;
const happened = items => items.filter(({ count }) => number(count) > 0).sort((one, other) => other.count - one.count);
const ofMinute = name => { const recent = lastMinute(name); return recent > 0 ? `+${count(recent)}` : ""; };
/** What there is of some kinds, such as "handshakes of 1.3 40". */
function counted(what, kinds) {
  const some = Object.entries(kinds ?? {}).filter(([, value]) => number(value) > 0);
  return some.length === 0 ? "" : `${what} ${some.map(([name, value]) => `${plain(name, 20)} ${count(value)}`).join(", ")}`;
}

const budget = ({ name, mount }) => mount === undefined ? plain(name) : `${plain(name)} of ${plain(mount, 80)}`;

/** In `cells`, `name` is what a stranger may have chosen, and `figure` is a number. */
const TABLES = [
  { id: "endpoints", title: "Endpoints", place: "wide", key: endpointKey,
    note: status => counted("connections by", status.connections?.by_transport),
    empty: "No WebSocket has been asked for yet. Each endpoint will be here, with how many are open and what they send.",
    items: status => list(status.websockets?.endpoints),
    cells: [
      ["endpoint", "name", item => plain(item.endpoint) + (item.draining ? " (draining)" : "")],
      ["transport", "", item => plain(item.transport, 20)],
      ["open", "figure", item => count(number(item.open))],
      ["opened", "figure", item => count(number(item.opened))],
      ["received/s", "figure", item => `${perSecond(grown(endpointKey(item), "received_messages"))} · ${bytes(grown(endpointKey(item), "received_bytes"))}`],
      ["sent/s", "figure", item => `${perSecond(grown(endpointKey(item), "sent_messages"))} · ${bytes(grown(endpointKey(item), "sent_bytes"))}`],
      ["dropped", "figure", item => count(number(item.dropped_messages))],
      ["compressed to", "figure", item => ratio(item.compression)],
    ] },
  { id: "slowest", title: "Slowest readers", place: "wide", key: item => String(item.id), steady: true,
    empty: "Nothing waits to be written. WebSockets whose peers read too slowly will be here, the most behind first.",
    items: status => list(status.websockets?.slowest),
    cells: [
      ["id", "open", item => String(item.id)],
      ["address", "name", item => plain(item.peer ?? "–", 60)],
      ["endpoint", "name", item => plain(item.endpoint)],
      ["queued", "figure", item => bytes(number(item.queued_bytes))],
      ["waiting", "figure", item => item.waiting_ms === undefined ? "–" : duration(item.waiting_ms)],
      ["sent/s", "figure", item => bytes(grown(item.id, "sent_bytes"))],
      ["age", "figure", item => duration(item.age_ms)],
    ] },
  { id: "patterns", title: "Topics", place: "wide", key: item => item.pattern,
    note: status => status.topics ? `topics ${count(number(status.topics.topics))}, subscriptions ${count(number(status.topics.subscribers))}` : "",
    empty: "No topics are served. Each pattern of theirs would be here, with its subscriptions and messages.",
    items: status => list(status.topics?.patterns),
    cells: [
      ["pattern", "name", item => plain(item.pattern)],
      ["topics", "figure", item => count(number(item.topics))],
      ["subscribers", "figure", item => count(number(item.subscribers))],
      ["published", "figure", item => count(number(item.published))],
      ["delivered", "figure", item => count(number(item.delivered))],
      ["missed", "figure", item => count(number(item.missed) + number(item.skipped))],
      ["closed", "figure", item => count(number(item.closed))],
      ["kept", "figure", item => bytes(number(item.ring_bytes))],
    ] },
  { id: "largest", title: "Largest topics", place: "wide", key: item => item.name,
    empty: "No topic has a subscriber. Those with most of them will be here.",
    items: status => list(status.topics?.largest),
    cells: [
      ["topic", "name", item => plain(item.name)],
      ["subscribers", "figure", item => count(number(item.subscribers))],
      ["messages kept", "figure", item => count(number(item.messages))],
      ["bytes kept", "figure", item => bytes(number(item.bytes))],
    ] },
  { id: "brokers", title: "Broker", place: "wide", key: item => item.stream, isOptional: true,
    empty: "",
    items: status => list(status.brokers),
    cells: [
      ["stream", "name", item => plain(item.stream)],
      ["state", "name", item => item.connected ? "connected" : `away: ${plain(item.why_not)}`],
      ["lag", "figure", item => milliseconds(number(item.lag_ms))],
      ["topics", "figure", item => count(number(item.topics))],
      ["unknown", "figure", item => count(number(item.unknown))],
      ["refused", "figure", item => count(number(item.refused))],
      ["gaps", "figure", item => count(number(item.gaps))],
    ] },
  { id: "warnings", title: "Recent warnings", place: "wide", key: item => `${item.time_ms} ${item.target} ${item.text}`, class: "log",
    empty: "Nothing to warn of. The latest warnings and errors of the log will be here.",
    items: status => list(status.warnings),
    cells: [
      ["time", "", item => clock(number(item.time_ms))],
      ["level", "level", item => plain(item.level, 10)],
      ["about", "name", item => plain(item.target, 60)],
      ["text", "name", item => plain(item.text, 500)],
    ] },
  { id: "memory", title: "Memory by budget", place: "narrow", key: budget,
    empty: "No budgets are told of.",
    items: status => list(status.memory),
    cells: [
      ["budget", "name", budget],
      ["share", "share", share],
      ["used", "figure", item => `${bytes(number(item.used))} of ${bytes(number(item.most))}`],
    ] },
  { id: "places", title: "Places", place: "narrow", key: budget,
    empty: "No bounds are told of.",
    items: status => list(status.places),
    cells: [
      ["bound", "name", budget],
      ["share", "share", share],
      ["used", "figure", item => `${count(number(item.used))} of ${count(number(item.most))}`],
    ] },
  { id: "workers", title: "Event loops", place: "narrow", key: item => String(item.worker), class: "log",
    empty: "No worker has been heard of yet.",
    items: status => list(status.workers),
    cells: [
      ["worker", "", item => String(number(item.worker))],
      ["state", "level", item => item.stalled ? `silent for ${duration(item.seen_ms_ago)}` : "fine"],
      ["lag", "figure", item => milliseconds(number(item.lag_ms))],
      ["most in 20 s", "figure", item => milliseconds(number(item.lag_max_ms))],
    ] },
  { id: "closes", title: "Closed WebSockets", place: "narrow", key: item => `${item.code} ${item.by}`,
    empty: "None has been closed yet. Codes will be here, with who closed.",
    items: status => happened(list(status.websockets?.closes)),
    cells: [
      ["code", "name", item => [plain(item.code, 10), CODES[item.code]].filter(Boolean).join(" ")],
      ["by", "", item => plain(item.by, 20)],
      ["last minute", "figure", item => ofMinute(`closed ${item.code} ${item.by}`)],
      ["in all", "figure", item => count(number(item.count))],
    ] },
  ...[["refusals", "Refused", "refused", "Nobody has been refused. Connections, requests and upgrades that are will be here, by reason."],
    ["failures", "Ended by a fault", "failed", "No WebSocket has been ended by a fault. Those that are will be here, by reason."]].map(
    ([id, title, name, empty]) => ({ id, title, place: "narrow", key: item => item.reason, empty,
      items: status => happened(list(status[id])),
      cells: [
        ["reason", "name", item => REASONS[item.reason] ?? plain(item.reason, 40)],
        ["last minute", "figure", item => ofMinute(`${name} ${item.reason}`)],
        ["in all", "figure", item => count(number(item.count))],
      ] })),
  { id: "certificates", title: "TLS", place: "narrow", key: item => item.name, isOptional: true,
    note: status => [counted("handshakes of", status.tls?.handshakes),
      counted("failed:", Object.fromEntries(list(status.tls?.failures).map(({ reason, count }) => [reason, count])))].filter(Boolean).join(", "),
    empty: "No certificate is in use.",
    items: status => list(status.tls?.certificates),
    cells: [
      ["certificate", "name", item => plain(item.name, 80)],
      ["valid until", "figure", item => date(number(item.not_after_ms))],
    ] },
];

function makeTable(table) {
  const { id, title, cells } = table;
  const heading = make("h2", { id: `${id}-title` }, title);
  table.noted = make("span", { class: "note" });
  table.head = make("tr", { role: "row" }, ...cells.map(([name, kind]) => make("th", { role: "columnheader", scope: "col", class: kind }, name)));
  table.body = make("tbody", { role: "rowgroup" });
  table.whole = make("table", { id, role: "table", class: table.class ?? "", "aria-labelledby": `${id}-title` },
    make("thead", { role: "rowgroup" }, table.head), table.body);
  table.none = make("p", { class: "empty" }, "Nothing is known yet.");
  table.rows = new Map();
  const scroller = make("div", { class: `scroller ${table.class ?? ""}` }, table.whole);
  if (table.class) for (const [name, value] of [["tabindex", "0"], ["role", "group"], ["aria-labelledby", `${id}-title`]]) scroller.setAttribute(name, value);
  table.whole.hidden = true;
  table.card = make("section", { class: "card", "aria-labelledby": `${id}-title` }, make("div", { class: "bar" }, heading, table.noted), scroller, table.none);
  table.card.hidden = table.isOptional === true;
  byId(table.place).append(table.card);
}

function makeRow(table, item) {
  const cells = table.cells.map(([name, kind]) => {
    const inner = kind === "open" ? make("button", { type: "button", class: "open" }) : make(kind === "name" ? "bdi" : "span");
    if (kind === "open") inner.addEventListener("click", () => openOne(item.id));
    if (kind === "share") inner.append(make("i"));
    return make("td", { role: "cell", class: kind, "data-label": name }, inner);
  });
  return make("tr", { role: "row" }, ...cells);
}

function fillRow(table, row, item) {
  table.cells.forEach(([, kind, of], index) => {
    const inner = row.children[index].firstChild;
    const value = of(item);
    if (kind === "share") {
      inner.firstChild.style.width = `${value * 100}%`;
      inner.dataset.full = value >= 0.9 ? "very" : value >= 0.7 ? "rather" : "";
    } else {
      write(inner, value);
    }
    if (kind === "level") row.dataset.level = value.startsWith("silent") ? "error" : value;
  });
}

/** The rows in their order; where somebody is about to take one, those that are there stay where they are. */
function drawTable(table, status) {
  const all = table.items(status);
  const items = all.slice(0, MOST_ROWS).map(item => [table.key(item), item]);
  if (table.steady && table.body.matches(":hover, :focus-within")) {
    const order = new Map(Array.from(table.rows.keys(), (key, index) => [key, index]));
    items.sort(([one], [other]) => (order.get(one) ?? Infinity) - (order.get(other) ?? Infinity));
  }
  const focused = document.activeElement;
  const keys = new Set(items.map(([key]) => key));
  for (const [key, row] of table.rows) if (!keys.has(key)) row.remove();
  const rows = new Map();
  for (const [key, item] of items) {
    if (rows.has(key)) continue;
    const next = table.body.children[rows.size] ?? null;
    const row = table.rows.get(key) ?? makeRow(table, item);
    fillRow(table, row, item);
    rows.set(key, row);
    if (next !== row) table.body.insertBefore(row, next);
  }
  table.rows = rows;
  // What is moved loses it.
  if (focused !== document.activeElement && table.body.contains(focused)) focused.focus({ preventScroll: true });
  table.whole.hidden = items.length === 0;
  table.none.hidden = items.length > 0;
  write(table.none, table.empty);
  const more = all.length > MOST_ROWS ? `${all.length - MOST_ROWS} more at /status` : "";
  write(table.noted, [table.note?.(status), more].filter(Boolean).join(", "));
  if (table.isOptional) table.card.hidden = items.length === 0 && table.noted.textContent === "";
}
