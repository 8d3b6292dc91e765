// Visual ratings of sessions. They are stored in the browser, for all pages of a folder, and exported as
// the table that --qc-ratings reads (bids_stroke.qc.ratings). A session is named by its key: participant,
// tab, session.
const RATING_COLUMNS = ["participant_id", "session_id", "rating", "reasons", "confidence", "rater", "date", "notes"];

const ratingName = ({rater, participant_id, session_id}) => [rater, participant_id, session_id].join("\t");

// Cell of the table. Quotes around a cell would be removed when it is read (bids_stroke.utils.tables).
function ratingCell(value = "") {
  const text = value.trim().replace(/[\t\r\n]+/g, " ");
  return text.includes('"') ? `"${text.replaceAll('"', '""')}"` : text || "n/a";
}

class RatingStore extends EventTarget {
  #place = `bids_stroke ratings ${location.pathname.replace(/[^/]*$/, "")}`;
  #read;
  #stored = {rater: "", entries: {}};  // ratings of this browser; lost without local storage

  // keys: sessions of the page; rows: ratings of --qc-ratings
  constructor(keys, rows = []) {
    super();
    this.keys = keys;
    this.#read = rows.map(row => Object.fromEntries(RATING_COLUMNS.map((name, index) => [name, row[index]])));
    this.#load();
    addEventListener("storage", () => {  // from other pages of the folder
      this.#load();
      this.dispatchEvent(new Event("change"));
    });
  }

  #load() {
    try {
      this.#stored = JSON.parse(localStorage.getItem(this.#place)) ?? this.#stored;
    } catch {}
  }

  #save() {
    try {
      localStorage.setItem(this.#place, JSON.stringify(this.#stored));
    } catch {}
    this.dispatchEvent(new Event("change"));
  }

  get rater() {
    return this.#stored.rater;
  }

  // The latest ratings, of this browser or of --qc-ratings, by rater and session.
  get entries() {
    const entries = {...this.#stored.entries};
    for (const entry of this.#read) {
      const name = ratingName(entry);
      if (!entries[name] || entries[name].date < entry.date) entries[name] = entry;
    }
    return entries;
  }

  // Rating of a session by the current rater.
  of(key) {
    return this.entries[`${this.rater}\t${key}`] ?? {};
  }

  rate(key, change) {
    this.#load();
    const [participant_id, session_id] = key.split("\t");
    const empty = Object.fromEntries(RATING_COLUMNS.map(name => [name, ""]));
    const date = new Date().toISOString().replace(/\.\d+/, "");
    const entry = {...empty, ...this.of(key), ...change, participant_id, session_id, rater: this.rater, date};
    this.#stored.entries[ratingName(entry)] = entry;
    this.#save();
  }

  // Change the rater; ratings without a rater are assigned to the first rater who enters a name.
  rename(rater) {
    this.#load();
    const stored = Object.values(this.#stored.entries);
    if (!stored.some(entry => entry.rater)) {
      const named = stored.map(entry => ({...entry, rater}));
      this.#stored.entries = Object.fromEntries(named.map(entry => [ratingName(entry), entry]));
    }
    this.#stored.rater = rater;
    this.#save();
  }

  get progress() {
    const {entries, rater} = this;
    const rated = this.keys.filter(key => entries[`${rater}\t${key}`]?.rating);
    return `${rated.length} of ${this.keys.length} rated`;
  }

  // Table of the ratings of all raters, without those that were cleared.
  table() {
    const collator = new Intl.Collator(undefined, {numeric: true});
    const {entries} = this;
    const lines = Object.keys(entries).sort(collator.compare).map(name => entries[name])
      .filter(entry => entry.rating || entry.reasons || entry.notes)
      .map(entry => RATING_COLUMNS.map(name => ratingCell(entry[name])).join("\t"));
    return [RATING_COLUMNS.join("\t"), ...lines, ""].join("\n");
  }

  export() {
    const url = URL.createObjectURL(new Blob([this.table()], {type: "text/tab-separated-values"}));
    Object.assign(document.createElement("a"), {href: url, download: "ratings.tsv"}).click();
    setTimeout(() => URL.revokeObjectURL(url), 1000);
  }
}

// Connect a form of the page (rating.html) with a store. show() displays the rating of a session, and
// press() performs the action of a key and returns whether there is one.
function connectRating(block, store, key) {
  const find = selector => block.querySelector(selector);
  const boxes = [...block.querySelectorAll("[type=checkbox]")];
  const show = next => {
    key = next;
    const {rating = "", reasons = "", confidence = "", notes = ""} = store.of(key);
    const verdict = find(".verdict");
    verdict.textContent = rating || "not rated";
    verdict.className = `verdict status ${rating || "plain"}`;
    for (const button of block.querySelectorAll("[data-rating]")) {
      button.setAttribute("aria-pressed", Boolean(rating) && button.dataset.rating === rating);
    }
    for (const box of boxes) box.checked = reasons.split("+").includes(box.value);
    find(".confidence").value = confidence;
    find(".rater").value = store.rater;
    if (find(".notes").value !== notes) find(".notes").value = notes;
    find(".progress").textContent = store.progress;
  };
  const reason = box => {
    const others = (store.of(key).reasons ?? "").split("+").filter(name => name && name !== box.value);
    store.rate(key, {reasons: [...others, ...(box.checked ? [box.value] : [])].join("+")});
  };
  for (const button of block.querySelectorAll("[data-rating]")) {
    button.onclick = () => store.rate(key, {rating: button.dataset.rating});
  }
  for (const box of boxes) box.onchange = () => reason(box);
  find(".confidence").onchange = event => store.rate(key, {confidence: event.target.value});
  find(".notes").oninput = event => store.rate(key, {notes: event.target.value});
  find(".rater").onchange = event => store.rename(event.target.value.trim());
  find(".export").onclick = () => store.export();
  store.addEventListener("change", () => show(key));
  if (key !== undefined) show(key);
  const press = name => {
    const rating = {a: "accept", r: "reject", x: ""}[name];
    const box = boxes[Number(name) - 1];
    if (rating !== undefined) store.rate(key, {rating});
    else if (name === "n") find(".notes").focus();
    else if (box) box.click();
    return rating !== undefined || name === "n" || box !== undefined;
  };
  return {show, press};
}

// Connect all forms that belong to a session.
function connectRatings() {
  const blocks = [...document.querySelectorAll(".rating[data-participant]")].filter(block => block.dataset.participant);
  const keys = blocks.map(block => `${block.dataset.participant}\t${block.dataset.session}`);
  const store = new RatingStore(keys);
  blocks.forEach((block, index) => connectRating(block, store, keys[index]));
}
