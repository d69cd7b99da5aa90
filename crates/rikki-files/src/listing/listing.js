"use strict";
// The times are in UTC. They are shown as the reader's clock and language have them.
const format = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });
for (const time of document.querySelectorAll("time")) {
  const link = time.closest("tr").querySelector("a");
  link.title = [link.title, time.dateTime].filter(Boolean).join(", ");
  time.textContent = format.format(new Date(time.dateTime));
}
document.getElementById("zone").remove();

// What the server has filtered is here; what is typed from then on is looked for on this page at once.
const filter = document.getElementById("filter");
{
  const none = document.getElementById("none");
  const count = document.getElementById("count");
  const all = count.textContent;
  const rows = Array.from(document.querySelectorAll("tbody bdi"), name => ({
    element: name.closest("tr"),
    name: name.textContent.toLowerCase(),
  }));
  filter.addEventListener("input", () => {
    const wanted = filter.value.toLowerCase();
    let found = 0;
    for (const row of rows) {
      row.element.hidden = !row.name.includes(wanted);
      found += !row.element.hidden;
    }
    none.hidden = found > 0;
    count.textContent = wanted === "" ? all : `${found} of ${all}`;
  });
}
