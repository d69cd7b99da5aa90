"use strict";
// How things are shown. Names, addresses and lines of the log are what strangers have chosen: they become text, never markup.

const byId = id => document.getElementById(id);

/** A list that may be missing, or be something else. */
const list = value => Array.isArray(value) ? value.filter(item => item !== null && typeof item === "object") : [];
const number = value => Number.isFinite(value) ? value : 0;

const WHOLE = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const ONE = new Intl.NumberFormat("en", { maximumFractionDigits: 1 });
const COMPACT = new Intl.NumberFormat("en", { notation: "compact", maximumSignificantDigits: 4 });
const CLOCK = new Intl.DateTimeFormat("en-GB", { timeStyle: "medium" });
const DATE = new Intl.DateTimeFormat("en-CA", { dateStyle: "short" });

const count = value => value < 1e6 ? WHOLE.format(value) : COMPACT.format(value);

/** How often something happens in a second, if that is known. */
function perSecond(value) {
  if (value === null || value === undefined) return "–";
  return value < 10 ? ONE.format(value) : count(value);
}

function bytes(value) {
  if (value === null || value === undefined) return "–";
  let unit = 0;
  for (; value >= 999.5 && unit < 5; unit++) value /= 1024;
  return `${unit === 0 || value >= 99.95 ? WHOLE.format(value) : ONE.format(value)} ${["B", "KiB", "MiB", "GiB", "TiB", "PiB"][unit]}`;
}

function milliseconds(value) {
  if (value === null || value === undefined) return "–";
  return value < 10_000 ? `${value < 10 ? ONE.format(value) : WHOLE.format(value)} ms` : duration(value);
}

/** In the two largest units that it has. */
function duration(ms) {
  const seconds = Math.floor(number(ms) / 1000);
  if (ms < 1000) return `${WHOLE.format(Math.max(0, number(ms)))} ms`;
  if (seconds < 60) return `${seconds} s`;
  const [minutes, hours, days] = [60, 3600, 86400].map(length => Math.floor(seconds / length));
  if (minutes < 60) return `${minutes} min ${seconds % 60} s`;
  if (hours < 24) return `${hours} h ${minutes % 60} min`;
  return `${WHOLE.format(days)} d ${hours % 24} h`;
}

const clock = ms => Math.abs(ms) < 8e15 ? CLOCK.format(ms) : "–";
const date = ms => Math.abs(ms) < 8e15 ? DATE.format(ms) : "–";

/** How much of what was compressed is left, in both directions. */
function ratio(compression) {
  if (!compression) return "–";
  const plain = number(compression.sent_plain) + number(compression.received_plain);
  const packed = number(compression.sent_packed) + number(compression.received_packed);
  return plain > 0 ? `${WHOLE.format(packed * 100 / plain)} %` : "–";
}

/** What a stranger wrote, in one line that ends, with what cannot be seen or turns the others around spelt out, and no tower of accents. */
function plain(text, most = 160) {
  const letters = Array.from(String(text ?? "").slice(0, 10_000).replace(/(\p{M}{3})\p{M}+/gu, "$1"));
  const cut = letters.length > most ? letters.slice(0, most).join("") + "…" : letters.join("");
  return cut.replace(/[\p{C}\p{Zl}\p{Zp}]/gu, letter => `\\u{${letter.codePointAt(0).toString(16)}}`);
}

/** An argument as a shell takes it. */
function quoted(text) {
  return /^[\w./:@%+,-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}

function make(tag, attributes = {}, ...content) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...content);
  return element;
}

/** Writes what is new, so that what is selected or read out stays as it is. */
function write(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

const announced = new Map();

/** For live regions, which say what is written to them. */
function announce(id, text) {
  if (announced.get(id) === text) return;
  announced.set(id, text);
  const element = byId(id);
  element.hidden = text === "";
  element.textContent = text;
}

/** Copies a line, or selects it where the page may not. */
function copies(button, code) {
  button.addEventListener("click", async () => {
    let said = "Copied";
    try {
      await navigator.clipboard.writeText(code.textContent);
    } catch {
      getSelection().selectAllChildren(code);
      said = "Selected";
    }
    button.textContent = said;
    setTimeout(() => button.textContent = "Copy", 1500);
  });
}
