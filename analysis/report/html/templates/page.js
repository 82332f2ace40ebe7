"use strict";
// One timeline: the pointer and the arrow keys read a segment; buttons, keys and ctrl + wheel zoom.
for (const box of document.querySelectorAll(".request")) {
  const view = box.querySelector(".view"), lanes = box.querySelector(".lanes"), ticks = box.querySelector(".ticks");
  const readout = box.querySelector(".readout"), idle = readout.textContent, wall = Number(view.dataset.wallMs);
  const tiles = [...box.querySelectorAll(".lane.path button")];
  let zoom = 1;
  const nameWidth = () => lanes.querySelector(".name").offsetWidth;
  const said = (ms, step) => ms.toLocaleString("en", { maximumFractionDigits: step < 0.1 ? 2 : step < 1 ? 1 : 0 });
  const drawTicks = () => {
    const about = wall / (4 * zoom), power = 10 ** Math.floor(Math.log10(about));
    const step = [1, 2, 5, 10].map((one) => one * power).find((one) => one >= about) || about;
    const made = [];
    for (let at = 0; at < wall - step * 0.4; at += step) made.push(at);
    made.push(wall);
    ticks.replaceChildren(...made.map((at) => {
      const tick = document.createElement("span");
      tick.style.left = (at / wall) * 100 + "%";
      tick.textContent = said(at, step);
      return tick;
    }));
  };
  // `at` (0 to 1 of the request) stays where it is on the screen, `where` (0 to 1 of the view)
  const zoomTo = (factor, at, where) => {
    zoom = Math.min(Math.max(factor, 1), 400);
    lanes.style.setProperty("--zoom", zoom);
    const width = lanes.offsetWidth - nameWidth();
    view.scrollLeft = at * width - where * (view.clientWidth - nameWidth());
    drawTicks();
  };
  const middle = () => {
    const shown = view.clientWidth - nameWidth(), width = lanes.offsetWidth - nameWidth();
    return width ? (view.scrollLeft + shown / 2) / width : 0.5;
  };
  const by = (factor) => zoomTo(zoom * factor, middle(), 0.5);
  const actions = { in: () => by(2), out: () => by(0.5), whole: () => zoomTo(1, 0, 0) };
  for (const button of box.querySelectorAll(".tools button")) button.addEventListener("click", () => actions[button.dataset.do]());
  const read = (tile) => { readout.textContent = tile ? tile.title : idle; };
  view.addEventListener("pointerover", (event) => { if (event.target.title) read(event.target); });
  view.addEventListener("focusin", (event) => { if (event.target.title) read(event.target); });
  const zoomToTile = (tile) => {
    const left = parseFloat(tile.style.left) / 100, width = parseFloat(tile.style.width) / 100;
    zoomTo(0.6 / Math.max(width, 0.0015), left + width / 2, 0.5);
  };
  for (const tile of tiles) tile.addEventListener("click", () => zoomToTile(tile));
  const go = (tile) => {
    for (const one of tiles) one.tabIndex = -1;
    tile.tabIndex = 0;
    tile.focus();
  };
  // the next one that can be seen at this zoom: a request has many stretches of microseconds
  const next = (at, step) => tiles[at + step] && tiles[at + step].offsetWidth < 3 ? next(at + step, step) : tiles[at + step];
  view.addEventListener("keydown", (event) => {
    const at = tiles.indexOf(document.activeElement);
    const way = { ArrowRight: [at, 1], ArrowLeft: [at, -1], Home: [-1, 1], End: [tiles.length, -1] }[event.key];
    if (at >= 0 && way) {
      event.preventDefault();
      go(next(...way) || tiles[at]);
    } else if ("+=-0".includes(event.key) && !event.ctrlKey && !event.metaKey) {
      event.preventDefault();
      actions[event.key === "-" ? "out" : event.key === "0" ? "whole" : "in"]();
    }
  });
  drawTicks();
  addEventListener("beforeprint", () => zoomTo(1, 0, 0));
  view.addEventListener("wheel", (event) => {
    if (!event.ctrlKey) return;
    event.preventDefault();
    const edge = view.getBoundingClientRect().left + nameWidth(), shown = view.clientWidth - nameWidth();
    const where = Math.min(Math.max((event.clientX - edge) / shown, 0), 1);
    const at = (view.scrollLeft + where * shown) / (lanes.offsetWidth - nameWidth());
    zoomTo(zoom * (event.deltaY < 0 ? 1.25 : 0.8), at, where);
  }, { passive: false });
}
// each page has its copy buttons; without a script a click on a trace id still selects it
for (const one of document.querySelectorAll("[data-copy], .with-script")) one.hidden = false;
for (const button of document.querySelectorAll("[data-copy]")) {
  const said = button.textContent;
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(button.dataset.copy);
      button.textContent = "Copied";
    } catch {  // no permission: show it, selected
      const area = Object.assign(document.createElement("textarea"), { value: button.dataset.copy, readOnly: true, rows: 6 });
      area.setAttribute("aria-label", "the verdict as Markdown");
      button.after(area);
      area.select();
      button.textContent = "Press Ctrl+C";
    }
    setTimeout(() => { button.textContent = said; }, 3000);
  });
}
// the list of requests: searched, limited to a range, sorted, added up
const list = document.getElementById("list");
if (list) {
  const find = document.getElementById("find"), [word, from, to] = find.querySelectorAll("input"), body = list.tBodies[0];
  const number = (text) => Number(text.replaceAll(",", ""));
  const rows = [...body.rows].map((row) => {
    const cells = [...row.cells].map((cell) => cell.textContent.trim());
    const causes = [...cells[2].matchAll(/(\w+) ([\d.,]*\d)/g)].map((found) => [found[1], number(found[2])]);
    return { row, cells, causes, text: cells.join(" ").toLowerCase(), at: number(cells[3]), felt: number(row.cells[1].firstElementChild.textContent) };
  });
  const show = () => {
    const words = word.value.toLowerCase().split(/\s+/), sums = new Map();
    let count = 0, felt = 0;
    for (const one of rows) {
      const fits = words.every((each) => one.text.includes(each)) && one.at >= (from.value || 0) && one.at <= (to.value || Infinity);
      one.row.hidden = !fits;
      if (!fits) continue;
      count += 1;
      felt += one.felt;
      let rest = one.felt;
      for (const [cause, ms] of one.causes) {
        sums.set(cause, (sums.get(cause) || 0) + ms);
        rest -= ms;
      }
      sums.set("other causes", (sums.get("other causes") || 0) + Math.max(rest, 0));
    }
    const ms = (value) => value.toLocaleString("en", { maximumSignificantDigits: 3 }) + " ms";
    const chief = [...sums].sort((one, other) => other[1] - one[1]).slice(0, 4).filter(([, sum]) => sum >= felt / 100);
    const parts = chief.map(([cause, sum]) => `${cause} ${ms(sum)} (${Math.round((sum / felt) * 100)}%)`);
    find.querySelector("output").textContent = `${count} of ${rows.length} requests, ${ms(felt)} in sum` + (count ? ": " + parts.join(", ") : "");
  };
  find.hidden = false;
  find.addEventListener("input", show);
  find.querySelector("button").addEventListener("click", () => {
    for (const input of [word, from, to]) input.value = "";
    show();
  });
  show();
  [...list.tHead.rows[0].cells].forEach((head, column) => {
    const button = Object.assign(document.createElement("button"), { type: "button", textContent: head.textContent });
    head.replaceChildren(button);
    button.addEventListener("click", () => {
      const up = head.ariaSort === "descending" || (head.ariaSort !== "ascending" && !head.classList.contains("n"));
      for (const one of list.tHead.rows[0].cells) one.ariaSort = null;
      head.ariaSort = up ? "ascending" : "descending";
      const order = (one, other) => column === 1 ? one.felt - other.felt : column === 3 ? one.at - other.at
        : one.cells[column].localeCompare(other.cells[column]);
      rows.sort((one, other) => (up ? 1 : -1) * order(one, other));
      body.replaceChildren(...rows.map((one) => one.row));
    });
  });
  for (const svg of document.querySelectorAll(".dots svg")) {
    const at = (x) => {
      const box = svg.getBoundingClientRect(), share = Math.min(Math.max((x - box.left) / box.width, 0), 1);
      return Number(svg.dataset.from) + share * (svg.dataset.to - svg.dataset.from);
    };
    svg.addEventListener("pointerdown", (begun) => {
      addEventListener("pointerup", (ended) => {
        const around = Math.abs(ended.clientX - begun.clientX) < 8 ? 5 : 0;  // a click: a dot's width and a little
        if (around && ended.target.closest("a")) return;
        const ends = [begun.clientX, ended.clientX].sort((one, other) => one - other);
        from.value = (Math.floor(at(ends[0] - around) * 100) / 100).toFixed(2);
        to.value = (Math.ceil(at(ends[1] + around) * 100) / 100).toFixed(2);
        show();
        list.closest("section").scrollIntoView();
      }, { once: true });
    });
    svg.addEventListener("dragstart", (event) => event.preventDefault());
  }
}
// a link into a folded section unfolds it; so does printing, except for the tables inside requests
const unfold = () => {
  const target = location.hash && document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (target && target.tagName === "DETAILS") target.open = true;
};
addEventListener("hashchange", unfold);
unfold();
let folded = [];
addEventListener("beforeprint", () => {
  folded = [...document.querySelectorAll("details.card:not([open])")];
  for (const one of folded) one.open = true;
});
addEventListener("afterprint", () => { for (const one of folded) one.open = false; });
