"""The style sheet and the script of a report, as text that goes into the page."""

STYLE = """
:root {
  --ink: #1c2129; --muted: #667080; --grid: #e4e7ec; --paper: #ffffff; --soft: #f6f7f9;
  --warn: #b84a00; --accent: #0072b2;
  --sans: system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif;
  color-scheme: light dark;
}
@media screen and (prefers-color-scheme: dark) {
  :root {
    --ink: #e8eaed; --muted: #9aa4b2; --grid: #333a44; --paper: #14171c; --soft: #1d2229;
    --warn: #ff9a52; --accent: #56b4e9;
  }
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink); font: 16px/1.55 var(--sans); }
main { max-width: 1128px; margin: 0 auto; padding: 40px 24px 80px; }
h1 { font-size: 30px; line-height: 1.2; letter-spacing: -0.01em; margin: 0 0 12px; }
h2 { font-size: 20px; margin: 52px 0 4px; }
h3 { font-size: 15px; margin: 18px 0 0; }
p { margin: 0 0 12px; max-width: 820px; }
p.note { color: var(--muted); font-size: 14px; }
.summary { font-size: 18px; }
.warn { color: var(--warn); }
figure { margin: 8px 0 0; }
svg { display: block; width: 100%; height: auto; }
svg * { stroke-linejoin: round; }
.legend { display: flex; flex-wrap: wrap; gap: 4px 22px; margin: 10px 0 0; padding: 0;
  list-style: none; font-size: 14px; }
.swatch { display: inline-block; width: 14px; height: 4px; border-radius: 2px; margin-right: 7px;
  vertical-align: middle; background: var(--grid); }
.scroll { overflow: auto; max-height: 640px; border: 1px solid var(--grid); border-radius: 8px;
  margin-top: 10px; }
table { border-collapse: collapse; width: 100%; font-size: 14px;
  font-variant-numeric: tabular-nums; }
th, td { padding: 7px 12px; text-align: right; white-space: nowrap; }
td { border-top: 1px solid var(--grid); }
th { position: sticky; top: 0; background: var(--soft); font-weight: 600; }
th.word, td.word { text-align: left; }
table.sortable th { padding: 0; }
table.sortable th button { font: inherit; color: inherit; background: none; border: 0;
  padding: 7px 12px; width: 100%; text-align: inherit; cursor: pointer; white-space: nowrap; }
th button:hover { color: var(--accent); }
th[aria-sort=ascending] button::after { content: " \\2191"; }
th[aria-sort=descending] button::after { content: " \\2193"; }
details { margin-top: 14px; }
summary { cursor: pointer; }
pre { background: var(--soft); border-radius: 8px; padding: 14px 16px; overflow: auto;
  font: 13px/1.5 ui-monospace, Menlo, Consolas, monospace; }
.facts { width: auto; margin-top: 10px; }
.facts td { white-space: normal; }
.facts tr:first-child td { border-top: 0; }
.player { width: fit-content; max-width: 100%; border-radius: 8px; outline-offset: 6px; }
.player canvas { display: block; max-width: 100%; image-rendering: pixelated; border-radius: 8px;
  background: var(--soft); }
.controls { display: flex; align-items: center; gap: 12px; margin-top: 10px; font-size: 14px; }
.controls button, .controls select { font: inherit; color: var(--ink); background: var(--soft);
  border: 1px solid var(--grid); border-radius: 6px; padding: 4px 12px; }
.controls button { min-width: 76px; cursor: pointer; }
.controls input { flex: 1; min-width: 80px; accent-color: var(--accent); }
.where { font-variant-numeric: tabular-nums; color: var(--muted); white-space: nowrap; }
.frame-text { min-height: 1.6em; margin: 6px 0 0; font-size: 14px;
  font-variant-numeric: tabular-nums; }
@media print {
  main { max-width: none; padding: 0; }
  .scroll { max-height: none; overflow: visible; border: 0; }
  .controls { display: none; }
  figure, tr { break-inside: avoid; }
  h2 { break-after: avoid; }
}
"""

SCRIPT = """
"use strict";
for (const table of document.querySelectorAll("table.sortable")) {
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => head.querySelector("button").addEventListener("click", () => {
    const upward = head.getAttribute("aria-sort") !== "ascending";
    heads.forEach(other => other.removeAttribute("aria-sort"));
    head.setAttribute("aria-sort", upward ? "ascending" : "descending");
    const key = row => row.cells[column].dataset.value ?? row.cells[column].textContent;
    const order = (a, b) => {
      const [x, y] = [key(a), key(b)];
      if (x === "" || y === "") return (x === "") - (y === "");  // no value: last, either way
      const both = x - y;
      const sign = Number.isNaN(both) ? x.localeCompare(y) : both;
      return upward ? sign : -sign;
    };
    table.tBodies[0].append(...[...table.tBodies[0].rows].sort(order));
  }));
}

for (const player of document.querySelectorAll(".player")) {
  const facts = JSON.parse(player.querySelector("script").textContent);
  const sheets = [...player.querySelectorAll("img")];
  const canvas = player.querySelector("canvas"), pen = canvas.getContext("2d");
  const button = player.querySelector("button"), slider = player.querySelector("input");
  const where = player.querySelector(".where"), text = player.querySelector(".frame-text");
  const speed = player.querySelector("select");
  let frame = 0, playing = false, last = 0;

  const draw = () => {
    let sheet = 0, index = frame;
    while (index >= facts.sheets[sheet].frames) index -= facts.sheets[sheet++].frames;
    const columns = facts.sheets[sheet].columns;
    const x = index % columns * canvas.width, y = Math.floor(index / columns) * canvas.height;
    pen.drawImage(sheets[sheet], x, y, canvas.width, canvas.height,
                  0, 0, canvas.width, canvas.height);
    slider.value = frame;
    where.textContent = `${frame + 1} / ${facts.frames}`;
    text.textContent = facts.texts[frame] ?? "";
  };
  const show = index => { frame = Math.min(Math.max(index, 0), facts.frames - 1); draw(); };
  const set = on => {
    if (on && frame === facts.frames - 1) show(0);
    playing = on; last = performance.now();
    button.textContent = on ? "Pause" : "Play";
    if (on) requestAnimationFrame(tick);
  };
  const tick = now => {
    if (!playing) return;
    const pause = 1000 / (facts.rate * speed.value), steps = Math.floor((now - last) / pause);
    if (steps > 0) { last += steps * pause; show(frame + steps); }
    if (frame === facts.frames - 1) set(false); else requestAnimationFrame(tick);
  };
  button.addEventListener("click", () => set(!playing));
  slider.addEventListener("input", () => { set(false); show(+slider.value); });
  player.addEventListener("keydown", event => {
    const step = {ArrowLeft: -1, ArrowRight: 1, Home: -facts.frames, End: facts.frames}[event.key];
    if (event.target === speed || event.target === button && event.key === " ") return;
    if (event.key === " ") set(!playing);
    else if (step) { set(false); show(frame + step); }
    else return;
    event.preventDefault();
  });
  addEventListener("load", draw);  // the sheets have arrived
}
"""
