// Plots: selection of sessions by brushing, colors of points, and keyboard navigation. A brushed range
// becomes conditions in the filter, and the conditions of the filter are drawn as a range.
const SVG = "http://www.w3.org/2000/svg";
const {left: LEFT, right: RIGHT, top: TOP, bottom: BOTTOM} = data.frame;
const CLICK = 5;  // a shorter movement is a click, pixels of the panel
const COLORS = ["#2176c7", "#c2510c", "#1a8a5a", "#9a5bd0", "#a97b00", "#d14b8f", "#5b7f8c"];
const RAMP = [[33, 118, 199], [138, 106, 160], [208, 86, 26]];  // colors of numbers
const OTHER = "#7d7d7d";
const plots = [...document.querySelectorAll(".panel")].map(svg => {
  const [x, y, bins] = ["x", "y", "bins"].map(name => JSON.parse(svg.dataset[name] ?? "null"));
  const points = [...svg.querySelectorAll("[data-i]")];
  return {svg, x, y, bins, points, brush: svg.appendChild(document.createElementNS(SVG, "path"))};
});

// Position (0 to 1) of a value on an axis; zero may have a separate position (bids_stroke.reports.figures.scales).
function position(axis, value) {
  if (value === 0 && axis.start) return axis.none;
  const clipped = Math.min(Math.max(value, axis.low), axis.high);
  const share = axis.log
    ? Math.log(clipped / axis.low) / Math.log(axis.high / axis.low)
    : (clipped - axis.low) / (axis.high - axis.low);
  return axis.start + (1 - axis.start) * share;
}

// Position between zero and the other values.
const border = axis => axis.start && (axis.none + axis.start) / 2;

// Conditions for a range of positions.
function conditions(axis, [low, high]) {
  const name = conditionName(axis.column);
  const value = at => {
    const share = Math.max(at - axis.start, 0) / (1 - axis.start);
    const number = axis.log
      ? axis.low * (axis.high / axis.low) ** share : axis.low + share * (axis.high - axis.low);
    return Number(number.toPrecision(3));
  };
  if (high < border(axis)) return [`${name}=0`];
  const terms = [];
  if (low > axis.start) terms.push(`${name}>=${value(low)}`);
  else if (axis.start && low >= border(axis)) terms.push(`${name}>0`);
  if (high < 1) terms.push(`${name}<=${value(high)}`);
  return terms.length ? terms : [`${name}>=${axis.start ? 0 : value(0)}`];
}

// Range of positions that the conditions of the filter allow; null without conditions.
function range(axis) {
  const terms = state.terms.filter(term => axis && term.column === axis.column && isFinite(term.wanted));
  if (!terms.length) return null;
  let low = 0, high = 1;
  for (const {operator, wanted} of terms) {
    const zero = Number(wanted) === 0 && axis.start > 0;
    const at = position(axis, Number(wanted));
    if (operator === "=" || operator.startsWith(">")) low = Math.max(low, zero ? (operator === ">" ? border(axis) : 0) : at);
    if (operator === "=" || operator.startsWith("<")) high = Math.min(high, zero ? border(axis) : at);
  }
  return [low, Math.max(low, high)];
}

function drawBrush({brush}, x, y) {
  brush.setAttribute("class", "brush");
  if (!x && !y) {
    brush.removeAttribute("d");
    return;
  }
  const [left, right] = (x ?? [0, 1]).map(at => LEFT + (RIGHT - LEFT) * at);
  const [bottom, top] = (y ?? [0, 1]).map(at => BOTTOM - (BOTTOM - TOP) * at);
  brush.setAttribute("d", `M${left} ${top}H${right}V${bottom}H${left}z`);
}

// Replace the conditions on the columns of a plot by those of ranges, or remove them.
function select({x, y}, ranges) {
  const axes = [x, y], replaced = axes.filter(axis => axis).map(axis => axis.column);
  const terms = state.terms.filter(term => !replaced.includes(term.column)).map(term => term.text);
  ranges?.forEach((range, index) => axes[index] && terms.push(...conditions(axes[index], range)));
  setFilter(terms.join(" "));
}

function makeBrush(plot) {
  const {svg, x, y} = plot;
  let start = null, moved = false, ranges = null;
  const locate = event => {
    const point = new DOMPoint(event.clientX, event.clientY).matrixTransform(svg.getScreenCTM().inverse());
    const shares = [(point.x - LEFT) / (RIGHT - LEFT), (BOTTOM - point.y) / (BOTTOM - TOP)];
    return shares.map(share => Math.min(Math.max(share, 0), 1));
  };
  svg.classList.add("selectable");
  svg.onpointerdown = event => {
    start = event.button === 0 ? locate(event) : null;
    moved = false;
  };
  svg.onpointermove = event => {
    if (!start) return;
    const end = locate(event);
    const [across, up] = start.map((from, index) => Math.abs(end[index] - from));
    if (!moved && Math.hypot(across * (RIGHT - LEFT), up * (BOTTOM - TOP)) < CLICK) return;
    if (!moved) svg.setPointerCapture(event.pointerId);
    moved = true;
    ranges = start.map((from, index) => [Math.min(from, end[index]), Math.max(from, end[index])]);
    drawBrush(plot, x && ranges[0], y && ranges[1]);
  };
  svg.onpointerup = () => {
    if (start && moved) select(plot, ranges);
    start = null;
  };
  svg.onpointercancel = () => {
    start = null;
    drawSelection();
  };
  svg.onclick = event => {
    if (moved) event.preventDefault();  // the end of a brush does not open a link
    else if (!event.target.closest("[data-i]") && (range(x) || range(y))) select(plot);
  };
  svg.ondragstart = event => event.preventDefault();
}

// Bars of the selected sessions.
function drawBars({svg, x, bins}, visible) {
  const counts = new Array(bins.edges.length).fill(0);
  for (const index of visible) {
    const value = data.rows[index][place[x.column]];
    if (typeof value !== "number") continue;
    const at = position(x, value);
    counts[bins.edges.findLastIndex(([low]) => at >= low)] += 1;
  }
  const bars = counts.map((count, bin) => {
    if (!count) return "";
    const [left, right] = bins.edges[bin].map(at => LEFT + (RIGHT - LEFT) * at);
    const top = BOTTOM - (BOTTOM - TOP) * count / bins.high;
    return `M${left} ${BOTTOM}V${top}H${right}V${BOTTOM}z`;
  });
  svg.querySelector(".selected").setAttribute("d", bars.join(""));
}

function drawSelection() {
  const isVisible = new Uint8Array(data.rows.length);
  for (const index of state.visible) isVisible[index] = 1;
  for (const plot of plots) {
    plot.svg.classList.toggle("filtered", state.isFiltered);
    for (const point of plot.points) point.classList.toggle("out", !isVisible[point.dataset.i]);
    if (plot.bins) drawBars(plot, state.isFiltered ? state.visible : []);
    drawBrush(plot, range(plot.x), range(plot.y));
  }
}

// Colors of the points by a column: categories, or a ramp for numbers; by default by hemisphere.
function colorsOf(column) {
  const values = data.rows.map(row => row[column]);
  const present = values.filter(value => value !== null);
  const numbers = present.map(Number), counts = new Map();
  for (const value of present) counts.set(value, (counts.get(value) ?? 0) + 1);
  if (numbers.every(Number.isFinite) && counts.size > COLORS.length) {
    const [low, high] = [Math.min, Math.max].map(choose => numbers.reduce((a, b) => choose(a, b)));
    const color = value => mix(RAMP, (value - low) / (high - low || 1));
    return {
      color: value => value === null ? OTHER : color(Number(value)),
      legend: [low, (low + high) / 2, high].map(value => [color(value), shown(value)]),
    };
  }
  const levels = [...counts.keys()].sort((a, b) => counts.get(b) - counts.get(a));
  const named = new Map(levels.slice(0, COLORS.length).map((level, index) => [level, COLORS[index]]));
  const legend = [...named].map(([level, color]) => [color, `${level} (${counts.get(level)})`]);
  const rest = values.length - [...named.keys()].reduce((sum, level) => sum + counts.get(level), 0);
  if (rest) legend.push([OTHER, `other or n/a (${rest})`]);
  return {color: value => named.get(value) ?? OTHER, legend};
}

// Color at a position (0 to 1) of a ramp.
function mix(ramp, share) {
  const at = Math.min(share * (ramp.length - 1), ramp.length - 1.001), first = Math.floor(at);
  const parts = ramp[first].map((part, index) => Math.round(part + (at - first) * (ramp[first + 1][index] - part)));
  return `rgb(${parts})`;
}

function colorPoints(column) {
  const colors = column ? colorsOf(column) : null;
  for (const point of plots.flatMap(plot => plot.points)) {
    const style = (point.firstElementChild ?? point).style;
    if (colors) style.setProperty("--point", colors.color(data.rows[point.dataset.i][column]));
    else style.removeProperty("--point");
  }
  find("#plots").classList.toggle("recolored", Boolean(colors));
  find("#colors").replaceChildren(...(colors?.legend ?? []).map(([color, text]) => {
    const swatch = element("i", "");
    swatch.style.setProperty("--point", color);
    const entry = element("span", swatch);
    entry.append(text);
    return entry;
  }));
}

// One point of a large plot is in the tab order; arrow keys move to the next one from left to right.
function makeNavigable({svg, x, y, points}) {
  const describe = row => [x, y].map(axis => {
    const column = place[axis.column];
    return `${data.columns[column].title} ${shown(row[column])}`;
  }).join(", ");
  const across = point => Number(data.rows[point.dataset.i][place[x.column]]);
  const ordered = [...points].sort((a, b) => across(a) - across(b));
  ordered.forEach((point, index) => {
    const row = data.rows[point.dataset.i];
    point.setAttribute("tabindex", index ? -1 : 0);
    point.setAttribute("aria-label", `${keys[point.dataset.i].trim().replace("\t", " ")}: ${row[place.status]}, ${describe(row)}`);
    if (!point.hasAttribute("href")) point.setAttribute("role", "img");
  });
  svg.onkeydown = event => {
    const step = {ArrowRight: 1, ArrowUp: 1, ArrowLeft: -1, ArrowDown: -1}[event.key];
    const from = ordered.indexOf(event.target.closest("[data-i]"));
    if (!step || from < 0) return;
    event.preventDefault();
    const to = (from + step + ordered.length) % ordered.length;
    ordered[from].setAttribute("tabindex", -1);
    ordered[to].setAttribute("tabindex", 0);
    ordered[to].focus();
  };
}

for (const plot of plots) {
  if (plot.bins) {
    const selected = document.createElementNS(SVG, "path");
    selected.setAttribute("class", "bars selected");
    plot.svg.querySelector(".bars").after(selected);
  }
  if (plot.svg.matches(".large *")) makeNavigable(plot);
  if (plot.x || plot.y) makeBrush(plot);
}
const colorChoice = find("#color");
if (colorChoice) {
  colorChoice.append(...data.columns.map((column, index) => ({...column, index})).filter(column => column.group)
    .map(column => element("option", column.name, {value: column.index})));
  colorChoice.onchange = () => colorPoints(Number(colorChoice.value));
}
