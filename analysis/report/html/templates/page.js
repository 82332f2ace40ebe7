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
      tick.textContent = said(at, step) + (at === wall || at === 0 ? " ms" : "");
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
  view.addEventListener("keydown", (event) => {
    const at = tiles.indexOf(document.activeElement);
    const to = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: tiles.length - 1 }[event.key];
    if (at >= 0 && to !== undefined) {
      event.preventDefault();
      go(tiles[Math.min(Math.max(to, 0), tiles.length - 1)]);
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
