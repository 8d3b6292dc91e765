// Data of the page, and table of sessions: sorting, filtering, download. Text from the data is inserted
// as text, never as markup.
const data = JSON.parse(document.getElementById("data").textContent);
const find = selector => document.querySelector(selector);
const place = Object.assign(  // index of each column by its name
  Object.create(null), Object.fromEntries(data.columns.map((column, index) => [column.name, index])));
const keys = data.rows.map(row => `${row[place.participant_id]}\t${row[place.session_id] ?? ""}`);
const store = new RatingStore(keys, data.ratings);
const state = {sort: 0, down: false, first: 0, chosen: new Set(), terms: [], visible: [], isFiltered: false};
data.columns.forEach((column, index) => column.first && state.chosen.add(index));

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

// Style of a status: only sessions that failed QC checks are amber.
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

// Terms of a filter: words in any cell, and conditions on columns such as lesion_volume_ml>50. Quotes
// enclose names and values with spaces or operators: "time since stroke">5. A quote within is doubled.
function parseFilter(text) {
  return (text.match(/(?:"[^"]*"|\S)+/g) ?? []).map(text => {
    const [, column, operator, wanted] = text.match(/^("(?:[^"]|"")+"|[^"<>=]+)(>=|<=|>|<|=)(.+)$/) ?? [];
    return {text, term: unquoted(text), column: unquoted(column), operator, wanted: unquoted(wanted)};
  });
}

function unquoted(text) {
  const [, inner] = text?.match(/^"((?:[^"]|"")+)"$/) ?? [];
  return inner ? inner.replaceAll('""', '"') : text?.replaceAll('"', "");
}

// Name of a column in a condition.
function conditionName(column) {
  return /[\s"<>=]/.test(column) ? `"${column.replaceAll('"', '""')}"` : column;
}

function matcher({term, column, operator, wanted}) {
  if (!(column in place)) {
    const word = term.toLowerCase();
    return row => row.some(value => value !== null && String(value).toLowerCase().includes(word));
  }
  const limit = Number(wanted), text = wanted.toLowerCase();
  const compare = {
    ">": value => value > limit, "<": value => value < limit, ">=": value => value >= limit,
    "<=": value => value <= limit,
    "=": value => Number(value) === limit || String(value).toLowerCase() === text,
  }[operator];
  return row => row[place[column]] !== null && compare(row[place[column]]);
}

// Messages about conditions on columns that do not exist, with the names of similar columns.
function unknownColumns() {
  const unknown = state.terms.map(term => term.column).filter(name => name && !(name in place));
  return [...new Set(unknown)].map(name => {
    const part = name.toLowerCase();
    const similar = data.columns.map(column => column.name).filter(
      other => other.toLowerCase().includes(part) || part.includes(other.toLowerCase()));
    const hint = similar.length ? `similar: ${similar.slice(0, 3).join(", ")}` : "Columns lists all columns";
    return `There is no column ${name}; ${hint}.`;
  });
}

let ratings = {};  // of all raters, for the status
const lines = [];  // table row of each session that was shown, redrawn when the columns change
function drawRow(row, index) {
  const line = document.createElement("tr");
  line.dataset.i = index;
  line.className = statusKind(row[place.status]);
  if (!(row[place.participant_id] in data.links)) line.tabIndex = 0;
  for (const column of state.chosen) {
    const value = row[column], {name} = data.columns[column];
    const cell = element("td", "", {title: String(value ?? "").length > 24 ? value : ""});
    if (typeof value === "number") cell.className = "number";
    if (name === "participant_id" && value in data.links) {
      cell.append(element("a", value, {href: data.links[value]}));
    } else if (name === "status") {
      const rating = ratings[`${store.rater}\t${keys[index]}`]?.rating;
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
  find("#cohort").style.setProperty("--columns", state.chosen.size);  // for the font size in print
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

// Show a page of the table from the given row, since a table of all rows of a large cohort opens slowly.
function showRows(first) {
  const rows = state.visible.slice(first, first + data.page), last = first + rows.length;
  state.first = first;
  find("#cohort tbody").replaceChildren(...rows.map(index => lines[index] ??= drawRow(data.rows[index], index)));
  find("#pages").hidden = state.visible.length <= data.page;
  find("#range").textContent = `Rows ${first + 1} to ${last} of ${state.visible.length}; the table shows ${data.page} at a time.`;
  find("#before").disabled = first === 0;
  find("#after").disabled = last === state.visible.length;
}
find("#before").onclick = () => showRows(state.first - data.page);
find("#after").onclick = () => showRows(state.first + data.page);

// Show the sessions that match the filter: in the table, the plots and the overlap.
function update() {
  state.terms = parseFilter(find("#filter").value);
  const tests = state.terms.map(matcher);
  state.visible = data.rows.map((_, index) => index)
    .filter(index => tests.every(test => test(data.rows[index]))).sort(order);
  state.isFiltered = state.visible.length < data.rows.length;
  showRows(0);
  const text = `${state.visible.length} of ${data.rows.length} sessions`;
  for (const status of document.querySelectorAll(".shown")) status.textContent = text;
  find("#unknown").textContent = unknownColumns().join(" ");
  drawSelection();
  drawOverlap();
}

function setFilter(text) {
  find("#filter").value = text;
  update();
}

function draw() {
  state.chosen = new Set([...state.chosen].sort((a, b) => a - b));
  ratings = store.entries;
  drawHead();
  lines.length = 0;
  update();
}

find("#columns").append(...data.columns.map((column, index) => {
  const box = element("input", "", {type: "checkbox", checked: column.first, disabled: index === 0 || index === place.status});
  box.onchange = () => { box.checked ? state.chosen.add(index) : state.chosen.delete(index); draw(); };
  const label = element("label", box, {title: column.name});
  label.append(` ${column.title}`);
  return label;
}));
find("#filter").oninput = update;
for (const button of document.querySelectorAll(".clear")) button.onclick = () => setFilter("");

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

// Tables that are wider than the page can be scrolled with the keyboard.
const scrolled = new ResizeObserver(entries => {
  for (const {target} of entries) {
    if (target.scrollWidth <= target.clientWidth) {
      for (const name of ["tabindex", "role", "aria-label"]) target.removeAttribute(name);
      continue;
    }
    target.tabIndex = 0;
    target.setAttribute("role", "region");
    target.setAttribute("aria-label", `Table: ${target.closest("section").querySelector("h2").textContent}`);
  }
});
for (const region of document.querySelectorAll(".wide:not([tabindex])")) scrolled.observe(region);
