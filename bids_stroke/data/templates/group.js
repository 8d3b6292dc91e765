// Table of sessions (sorting, filtering, download) and visual rating. Text from the data is inserted as
// text, never as markup.
"use strict";
const data = JSON.parse(document.getElementById("data").textContent);
const find = selector => document.querySelector(selector);
const place = Object.fromEntries(data.columns.map((column, index) => [column.name, index]));
const keys = data.rows.map(row => `${row[place.participant_id]}\t${row[place.session_id] ?? ""}`);
const store = `bids_stroke ratings ${location.pathname}`;
const ratings = stored();
const state = {sort: 0, down: false, chosen: new Set(), visible: []};
data.columns.forEach((column, index) => column.first && state.chosen.add(index));

// Without local storage, ratings are lost when the page is closed.
function stored(change) {
  try {
    if (change) localStorage.setItem(store, JSON.stringify(change));
    return JSON.parse(localStorage.getItem(store) ?? "{}");
  } catch {
    return {};
  }
}

function element(name, text, properties = {}) {
  const node = Object.assign(document.createElement(name), properties);
  node.append(text);
  return node;
}

function shown(value) {
  if (value === null) return "n/a";
  if (typeof value !== "number") return value;
  return Math.abs(value) >= 1000 ? value.toFixed(0) : String(Number(value.toPrecision(3)));
}

const FLAGGED = "check: ";  // start of the status of sessions that failed QC checks
const isFlagged = index => data.rows[index][place.status].startsWith(FLAGGED);

// Color of a status: that of a session that failed QC checks never equals that of others.
function statusKind(status) {
  if (status.startsWith(FLAGGED)) return "check";
  return {done: "", failed: "failed"}[status] ?? "plain";
}

// Paths of the figures of a session; * is its name and @ that of the participant.
function figures(index) {
  const name = keys[index].trim().replace("\t", "_"), participant = name.split("_")[0];
  return data.pictures[index].map(
    figure => data.figures[figure].replaceAll("*", name).replaceAll("@", participant));
}

// Sort numbers by value and text in natural order; missing values are always last.
const collator = new Intl.Collator(undefined, {numeric: true});
function order(a, b) {
  const first = data.rows[a][state.sort], second = data.rows[b][state.sort];
  if (first === null || second === null) return (first === null) - (second === null) || a - b;
  const numbers = typeof first === "number" && typeof second === "number";
  const difference = numbers ? first - second : collator.compare(first, second);
  return (state.down ? -difference : difference) || a - b;
}

// Words in any cell, and conditions on columns: lesion_volume_ml>50 hemisphere=left
function matcher(text) {
  const tests = text.trim().split(/\s+/).filter(Boolean).map(term => {
    const parts = term.match(/^(\w+)(>=|<=|>|<|=)(.+)$/);
    if (!parts || !(parts[1] in place)) {
      const word = term.toLowerCase();
      return row => row.some(value => value !== null && String(value).toLowerCase().includes(word));
    }
    const column = place[parts[1]], wanted = parts[3], limit = Number(wanted);
    const compare = {
      ">": value => value > limit, "<": value => value < limit, ">=": value => value >= limit,
      "<=": value => value <= limit,
      "=": value => typeof value === "number" ? value === limit : value.toLowerCase() === wanted.toLowerCase(),
    }[parts[2]];
    return row => row[column] !== null && compare(row[column]);
  });
  return row => tests.every(test => test(row));
}

const lines = [];  // table row of each session, redrawn when the columns change
function drawRow(row, index) {
  const line = document.createElement("tr");
  for (const column of state.chosen) {
    const value = row[column], {name} = data.columns[column];
    const cell = element("td", "", {title: String(value ?? "").length > 24 ? value : ""});
    if (typeof value === "number") cell.className = "number";
    if (name === "participant_id" && value in data.links) {
      cell.append(element("a", value, {href: data.links[value]}));
    } else if (name === "status") {
      const rating = ratings[keys[index]]?.rating;
      cell.append(element("span", value, {className: `status ${statusKind(value)}`}));
      if (rating) cell.append(" ", element("span", rating, {className: `status ${rating}`}));
    } else {
      cell.append(shown(value));
    }
    line.append(cell);
  }
  return line;
}

function drawHead() {
  const head = find("#cohort thead tr");
  head.replaceChildren(...[...state.chosen].map(column => {
    const title = element("th", "", {scope: "col", title: data.columns[column].name});
    if (data.columns[column].number) title.className = "number";
    if (column === state.sort) title.ariaSort = state.down ? "descending" : "ascending";
    const button = element("button", data.columns[column].title, {type: "button"});
    button.onclick = () => {
      state.down = state.sort === column && !state.down;
      state.sort = column;
      for (const other of head.cells) other.removeAttribute("aria-sort");
      title.ariaSort = state.down ? "descending" : "ascending";
      update();
    };
    title.append(button);
    return title;
  }));
}

function update() {
  const matches = matcher(find("#filter").value);
  state.visible = data.rows.map((_, index) => index).filter(index => matches(data.rows[index])).sort(order);
  find("#cohort tbody").replaceChildren(...state.visible.map(index => lines[index]));
  find("#shown").textContent = `${state.visible.length} of ${data.rows.length} sessions`;
}

function draw() {
  state.chosen = new Set([...state.chosen].sort((a, b) => a - b));
  drawHead();
  lines.splice(0, lines.length, ...data.rows.map(drawRow));
  update();
}

find("#columns").append(...data.columns.map((column, index) => {
  const box = element("input", "", {type: "checkbox", checked: column.first, disabled: index === 0});
  box.onchange = () => { box.checked ? state.chosen.add(index) : state.chosen.delete(index); draw(); };
  const label = element("label", box);
  label.append(` ${column.title}`);
  return label;
}));
find("#filter").oninput = update;

function download(name, kind, text) {
  const link = element("a", "", {href: URL.createObjectURL(new Blob([text], {type: kind})), download: name});
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}

// Spreadsheets interpret some text as formulas: a leading apostrophe prevents this.
function quoted(value) {
  if (value === null) return "n/a";
  if (typeof value === "number") return String(value);
  return `"${value.replace(/^[=+\-@\t\r]/, "'$&").replaceAll('"', '""')}"`;
}
find("#csv").onclick = () => {
  const rows = state.visible.map(index => data.rows[index].map(quoted).join(","));
  download("group_lesion.csv", "text/csv", [data.columns.map(column => quoted(column.name)).join(","), ...rows, ""].join("\r\n"));
};
find("#export").onclick = () => {
  const rated = keys.filter(key => ratings[key]?.rating || ratings[key]?.notes).map(key =>
    [...key.split("\t"), ratings[key].rating ?? "", ratings[key].notes ?? ""].map(text => text.replace(/[\t\r\n]+/g, " ") || "n/a").join("\t"));
  download("ratings.tsv", "text/tab-separated-values", ["participant_id\tsession_id\trating\tnotes", ...rated, ""].join("\n"));
};

// Rating of the sessions in the order of the table; those that failed QC checks are first.
const dialog = find("#rating"), notes = find("#notes");
let reviewed = [], at = 0, picture = 0;
function showSession() {
  const index = reviewed[at], row = data.rows[index], files = figures(index), rated = ratings[keys[index]] ?? {};
  picture = files.length ? picture % files.length : 0;
  find("#who").textContent = keys[index].replace("\t", " ");
  find("#place").textContent = `${at + 1} of ${reviewed.length}`;
  const status = row[place.status];
  find("#state").textContent = status;
  find("#state").className = `status ${statusKind(status)}`;
  const kind = status === "failed" ? "error" : "warning";
  find("#messages").replaceChildren(
    ...(data.messages[index] ?? []).map(message => element("p", message, {className: kind})));
  find("#verdict").textContent = rated.rating ?? "not rated";
  find("#verdict").className = `status ${rated.rating ?? "plain"}`;
  notes.value = rated.notes ?? "";
  const image = files.length && element("img", "", {src: files[picture], alt: `${files[picture]} cannot be shown; open this page in its original folder`});
  find("#picture").replaceChildren(image || element("p", "This session has no figures."));
  const values = [...state.chosen].slice(1).filter(column => row[column] !== null);
  find("#facts").textContent = values.map(column => `${data.columns[column].title}: ${shown(row[column])}`).join(" · ");
}
function rate(change) {
  const key = keys[reviewed[at]];
  ratings[key] = {...ratings[key], ...change};
  stored(ratings);
}
function step(by) {
  at = (at + by + reviewed.length) % reviewed.length;
  if (isFlagged(reviewed[at])) picture = 0;  // the figure of its check
  showSession();
}
const actions = {
  a: () => { rate({rating: "accept"}); step(1); },
  r: () => { rate({rating: "reject"}); step(1); },
  x: () => { rate({rating: undefined}); showSession(); },
  n: () => notes.focus(),
  p: () => { picture += 1; showSession(); },
  ArrowUp: () => find("#picture").scrollBy(0, -200),
  ArrowDown: () => find("#picture").scrollBy(0, 200),
  ArrowLeft: () => step(-1),
  ArrowRight: () => step(1),
  Escape: () => dialog.close(),
};
notes.oninput = () => rate({notes: notes.value});
dialog.addEventListener("keydown", event => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.target === notes) {
    if (event.key !== "Escape" && event.key !== "Enter") return;
    dialog.focus();
  } else {
    const action = actions[event.key] ?? actions[event.key.toLowerCase()];
    if (!action) return;
    action();
  }
  event.preventDefault();
});
for (const button of dialog.querySelectorAll("[data-key]")) button.onclick = actions[button.dataset.key];
dialog.tabIndex = -1;
dialog.onclose = draw;
find("#rate").onclick = () => {
  if (!state.visible.length) return;
  reviewed = [...state.visible.filter(isFlagged), ...state.visible.filter(index => !isFlagged(index))];
  at = 0;
  picture = 0;
  showSession();
  dialog.showModal();
  dialog.focus();
};

draw();
