// Plots of the last one, two or five minutes, as far as this page has seen them. A time can be pointed at, in all of them at once.

const WIDTH = 300;
const HEIGHT = 100;
/** What is further apart has nothing in between. */
const GAP = 15_000;

const PLOTS = [
  { title: "Connections", show: count, least: 10,
    lines: [["WebSockets", sample => sample.websockets], ["all", sample => sample.connections]] },
  { title: "Messages a second", show: perSecond, least: 10,
    lines: [["received", sample => sample.received_messages], ["sent", sample => sample.sent_messages]] },
  { title: "Bytes a second", show: bytes, least: 1024, binary: true,
    lines: [["received", sample => sample.received_bytes], ["sent", sample => sample.sent_bytes]] },
  { title: "Event-loop lag", show: milliseconds, least: 10, each: sample => sample.lags,
    lines: [["worst now", sample => sample.lag], ["in 20 s", sample => sample.lagMost]] },
  { title: "Waiting to be sent", show: bytes, least: 1024, binary: true,
    lines: [["queued", sample => sample.queued]] },
  { title: "Refusals and faults", show: value => `${perSecond(value)}/s`, least: 1,
    lines: [["refused", sample => sample.refused], ["faults", sample => sample.failed]] },
];

/** For how long there is something to show. */
let span = MINUTE;

/** How long ago the time is that is pointed at, in milliseconds. */
let pointed = null;

const SVG = "http://www.w3.org/2000/svg";

function svgPath(svg, name) {
  const path = document.createElementNS(SVG, "path");
  path.setAttribute("class", name);
  svg.append(path);
  return path;
}

function makePlot(plot, index) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", `0 0 ${WIDTH} ${HEIGHT}`);
  svg.setAttribute("preserveAspectRatio", "none");
  svg.setAttribute("aria-hidden", "true");
  svgPath(svg, "grid").setAttribute("d", `M0 0.5H${WIDTH}M0 ${HEIGHT / 2}H${WIDTH}M0 ${HEIGHT - 0.5}H${WIDTH}M60 0V100M120 0V100M180 0V100M240 0V100`);
  plot.fill = svgPath(svg, "fill");
  plot.thin = svgPath(svg, "thin");
  plot.paths = plot.lines.map((_, line) => svgPath(svg, `line line-${line}`));
  plot.cursor = svgPath(svg, "cursor");
  plot.values = plot.lines.map(() => make("b"));
  const legend = plot.lines.map(([name], line) => make("span", { class: `key key-${line}` }, `${name} `, plot.values[line]));
  plot.most = make("span", { class: "most", "aria-hidden": "true" });
  plot.when = make("span", { class: "when" });
  const heading = make("h2", { id: `plot-${index}` }, plot.title);
  plot.slider = make("div", { class: "plot", role: "slider", tabindex: "0", "aria-labelledby": `plot-${index}`,
    "aria-valuemax": "0", "aria-orientation": "horizontal" }, svg, plot.most);
  plot.slider.addEventListener("pointermove", event => {
    const box = plot.slider.getBoundingClientRect();
    pointAt((box.right - event.clientX) / box.width * span);
  });
  plot.slider.addEventListener("pointerleave", () => pointAt(null));
  plot.slider.addEventListener("blur", () => pointAt(null));
  plot.slider.addEventListener("keydown", event => pressed(event));
  return make("section", { class: "card", "aria-labelledby": `plot-${index}` },
    make("div", { class: "bar" }, heading, plot.when), make("p", { class: "legend" }, ...legend), plot.slider);
}

function pointAt(ago) {
  pointed = ago === null ? null : Math.min(span, Math.max(0, ago));
  drawPlots();
}

function pressed(event) {
  const step = { ArrowLeft: 1000, ArrowDown: 1000, ArrowRight: -1000, ArrowUp: -1000, PageDown: 60_000, PageUp: -60_000 }[event.key];
  if (step !== undefined) pointAt((pointed ?? 0) + step);
  else if (event.key === "Home") pointAt(span);
  else if (event.key === "End" || event.key === "Escape") pointAt(null);
  else return;
  event.preventDefault();
}

/** The sample nearest to a time, if there is one near. */
function sampleAt(at) {
  let nearest = null;
  for (const sample of samples) if (nearest === null || Math.abs(sample.at - at) < Math.abs(nearest.at - at)) nearest = sample;
  return nearest !== null && Math.abs(nearest.at - at) < GAP / 2 ? nearest : null;
}

/** The next number that people like, above this one. */
function ceiling(value, { least, binary }) {
  const most = Math.max(value, least);
  if (binary) return 2 ** Math.ceil(Math.log2(most));
  const power = 10 ** Math.floor(Math.log10(most));
  return power * ([1, 2, 5].find(step => step * power >= most) ?? 10);
}

/** Where a line is drawn: each time that it goes on is a piece of its own. */
function pieces(of, now, most) {
  const found = [];
  let last = null;
  for (const sample of samples) {
    const value = of(sample);
    const isKnown = Number.isFinite(value);
    if (isKnown) {
      const x = WIDTH - (now - sample.at) / span * WIDTH;
      const point = `${x.toFixed(1)} ${(HEIGHT - 1 - value / most * (HEIGHT - 2)).toFixed(1)}`;
      if (last === null || sample.at - last > GAP) found.push([]);
      found.at(-1).push([point, x]);
    }
    last = isKnown ? sample.at : null;
  }
  return found;
}

/** A piece of one point is a dot. */
const stroke = found => found.map(points => `M${points.map(([point]) => point).join("L")}${points.length === 1 ? "h.1" : ""}`).join("");

function area(found) {
  const closed = points => `M${points[0][1].toFixed(1)} ${HEIGHT}L${points.map(([point]) => point).join("L")}L${points.at(-1)[1].toFixed(1)} ${HEIGHT}Z`;
  return found.map(closed).join("");
}

function drawPlots() {
  const now = performance.now();
  span = [MINUTE, 2 * MINUTE].find(span => now - (samples[0]?.at ?? now) <= span) ?? SPAN;
  const shown = pointed === null ? samples.at(-1) ?? null : sampleAt(now - pointed);
  for (const plot of PLOTS) {
    const values = plot.lines.map(([, of]) => of);
    const highest = samples.reduce((highest, sample) => Math.max(highest, ...values.map(of => number(of(sample)))), 0);
    const most = ceiling(highest, plot);
    const found = values.map(of => pieces(of, now, most));
    found.forEach((pieces, line) => plot.paths[line].setAttribute("d", stroke(pieces)));
    plot.fill.setAttribute("d", area(found[0]));
    if (plot.each) plot.thin.setAttribute("d", workers(plot.each, now, most));
    const x = (WIDTH * (1 - (pointed ?? 0) / span)).toFixed(1);
    plot.cursor.setAttribute("d", pointed === null ? "" : `M${x} 0V${HEIGHT}`);
    const texts = values.map(of => shown === null ? "–" : plot.show(of(shown)));
    texts.forEach((text, line) => write(plot.values[line], text));
    write(plot.most, plot.show(most));
    const when = pointed === null ? `last ${span / MINUTE} min` : shown === null ? "nothing known" : clock(shown.clock);
    write(plot.when, when);
    plot.when.classList.toggle("pointed", pointed !== null);
    plot.slider.setAttribute("aria-valuemin", String(-span / 1000));
    plot.slider.setAttribute("aria-valuenow", String(-Math.round((pointed ?? 0) / 1000)));
    plot.slider.setAttribute("aria-valuetext", `${pointed === null ? "now" : when}: ${plot.lines.map(([name], line) => `${name} ${texts[line]}`).join(", ")}`);
  }
}

/** One line for each worker, as far as they can be told apart. */
function workers(each, now, most) {
  const many = Math.min(16, Math.max(0, ...samples.map(sample => each(sample).length)));
  return Array.from({ length: many }, (_, worker) => stroke(pieces(sample => each(sample)[worker], now, most))).join("");
}
