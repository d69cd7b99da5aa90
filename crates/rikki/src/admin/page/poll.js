// Asks once a second, one question at a time, and less often where nobody looks or nobody answers.

const PERIOD = 1000;
const HIDDEN_PERIOD = 10_000;
const MOST_WAIT = 10_000;
/** For an answer as a whole. */
const DEADLINE = 5000;

/** The page may be below another path, with or without a slash behind it. */
const BASE = location.pathname.endsWith("/") ? location.pathname : `${location.pathname}/`;

let timer;
let isAsking = false;
let isPaused = false;
let failures = 0;
let why = "";
let answered = null;
let next = 0;
let version = null;
/** When the server was seen to have been started again, for as long as the plots show it. */
let restarted = null;

function ask(path) {
  return fetch(BASE + path, { cache: "no-store", credentials: "same-origin", signal: AbortSignal.timeout(DEADLINE) });
}

async function read() {
  const response = await ask("status");
  if (!response.ok) throw new Error(`the answer was ${response.status}`);
  const status = await response.json();
  if (status === null || typeof status !== "object" || !("now_ms" in status)) throw new Error("the answer was no status");
  if (take(status, performance.now())) {
    endOne("The server has been started again since. This is what was last known.");
    restarted = { at: performance.now(), clock: Date.now() - number(status.uptime_ms) };
  }
  version ??= status.version;
  answered = Date.now();
}

async function poll() {
  if (isAsking || isPaused) return;
  clearTimeout(timer);
  isAsking = true;
  const began = performance.now();
  try {
    await read();
    failures = 0;
    await askOne().catch(() => {});
  } catch (error) {
    failures++;
    why = error.name === "TimeoutError" ? `nothing came within ${DEADLINE / 1000} s`
      : error instanceof TypeError ? "it cannot be reached" : plain(error.message, 80);
  }
  isAsking = false;
  const period = document.hidden ? HIDDEN_PERIOD : PERIOD - (performance.now() - began);
  schedule(failures === 0 ? period : Math.min(MOST_WAIT, PERIOD * 2 ** (failures - 1)));
  draw();
}

function schedule(wait) {
  next = performance.now() + Math.max(0, wait);
  timer = setTimeout(poll, Math.max(0, wait));
}

const STATES = { serving: "Serving", draining: "Draining", starting: "Starting" };

function drawHead(status) {
  const isAway = failures > 0;
  const known = STATES[status?.state] ?? "Asking";
  document.body.dataset.state = isAway ? "away" : status?.state in STATES ? status.state : "waiting";
  announce("state", isAway ? "No answer" : isPaused ? `${known}, paused` : known);
  const since = answered === null ? "" : ` since ${clock(answered)}`;
  const stale = latest === null ? "" : " What is below is from then.";
  announce("trouble", isAway ? `No answer${since}: ${why}.${isPaused ? "" : " This page goes on asking."}${stale}` : trouble(status));
  write(byId("fresh"), isAway && !isPaused ? `asks again in ${Math.max(0, Math.ceil((next - performance.now()) / 1000))} s`
    : answered === null ? "" : `read at ${clock(answered)}`);
  document.title = `${isAway ? "no answer" : status ? `${count(number(status.websockets?.open))} WebSockets` : "asking"} - rikki`;
  if (!status) return;
  write(byId("facts"), [plain(status.version, 30), `up ${duration(status.uptime_ms)}`, `generation ${count(number(status.generation))}`].join(" · "));
}

function trouble(status) {
  if (status?.state === "draining") return "Draining: nobody else is let in, and the server ends when those who are here have gone.";
  if (version !== null && status?.version !== version) return "The server has another version than this page: load it again.";
  return "";
}

function drawCommands(status) {
  const endpoints = new Map();
  for (const { endpoint, draining } of list(status.websockets?.endpoints).slice(0, 20)) endpoints.set(String(endpoint), draining);
  const lines = ["rikki admin reload", "rikki admin log debug",
    ...Array.from(endpoints, ([endpoint, isDraining]) => `rikki admin ${isDraining ? "undrain" : "drain"} ${quoted(endpoint)}`), "rikki admin drain"];
  const shown = Array.from(byId("lines").children, item => item.firstChild.textContent);
  if (lines.join("\n") === shown.join("\n")) return;
  byId("lines").replaceChildren(...lines.map(line => {
    const [code, button] = [make("code", {}, line), make("button", { type: "button" }, "Copy")];
    copies(button, code);
    return make("li", { class: "line" }, code, button);
  }));
}

function draw() {
  drawHead(latest);
  const isRecent = restarted !== null && performance.now() - restarted.at < SPAN;
  announce("restarted", isRecent ? `The server was started again at ${clock(restarted.clock)}: its counters began anew.` : "");
  if (document.hidden) return;
  drawPlots();
  drawOne();
  if (latest === null) return;
  for (const table of TABLES) drawTable(table, latest);
  drawCommands(latest);
}

byId("plots").append(...PLOTS.map(makePlot));
TABLES.forEach(makeTable);
makeOne();
byId("json").href = `${BASE}status`;
byId("pause").addEventListener("click", () => {
  isPaused = !isPaused;
  byId("pause").setAttribute("aria-pressed", String(isPaused));
  clearTimeout(timer);
  if (isPaused) draw();
  else poll();
});
document.addEventListener("visibilitychange", () => { if (!document.hidden) poll(); });
addEventListener("online", poll);
// The plots move on, and so does what is said of when it asks again.
setInterval(() => {
  if (failures === 0 || document.hidden) return;
  drawHead(latest);
  if (!isPaused) drawPlots();
}, PERIOD);
poll();
