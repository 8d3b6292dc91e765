// Rating of the sessions in the order of the table; those that failed QC checks are first.
const dialog = find("#rating"), block = connectRating(find("#rating .rating"), store);
let reviewed = [], at = 0, picture = 0;
function showSession() {
  const index = reviewed[at], row = data.rows[index], files = figures(index);
  picture = files.length ? picture % files.length : 0;
  find("#who").textContent = keys[index].replace("\t", " ");
  find("#place").textContent = `${at + 1} of ${reviewed.length}`;
  const status = row[place.status];
  find("#state").textContent = status;
  find("#state").className = `status ${statusKind(status)}`;
  const kind = status === "failed" ? "error" : "warning";
  find("#messages").replaceChildren(
    ...(data.messages[index] ?? []).map(message => element("p", message, {className: kind})));
  block.show(keys[index]);
  const image = files.length && element("img", "", {src: files[picture], alt: `${files[picture]} cannot be shown; open this page in its original folder`});
  find("#picture").replaceChildren(image || element("p", "This session has no figures."));
  const values = [...state.chosen].slice(1).filter(column => row[column] !== null);
  find("#facts").textContent = values.map(column => `${data.columns[column].title}: ${shown(row[column])}`).join(" · ");
}
function step(by) {
  at = (at + by + reviewed.length) % reviewed.length;
  if (isFlagged(reviewed[at])) picture = 0;  // the figure of its check
  showSession();
}
const actions = {
  p: () => { picture += 1; showSession(); },
  ArrowUp: () => find("#picture").scrollBy(0, -200),
  ArrowDown: () => find("#picture").scrollBy(0, 200),
  ArrowLeft: () => step(-1),
  ArrowRight: () => step(1),
  Escape: () => dialog.close(),
};
dialog.addEventListener("keydown", event => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  if (event.target.matches("textarea, select, input:not([type=checkbox])")) {
    if (key !== "Escape" && key !== "Enter") return;
    dialog.focus();  // leave the field; a change is stored
  } else if (block.press(key)) {
    if (key === "a" || key === "r") step(1);
  } else if (key in actions) {
    actions[key]();
  } else {
    return;
  }
  event.preventDefault();
});
for (const button of dialog.querySelectorAll("[data-key]")) button.onclick = actions[button.dataset.key];
dialog.tabIndex = -1;
dialog.onclose = draw;
find("#export").onclick = () => store.export();
const showProgress = () => { find("#progress").textContent = store.progress; };
store.addEventListener("change", showProgress);
showProgress();
function review(rows) {
  if (!rows.length) return;
  reviewed = rows;
  at = 0;
  picture = 0;
  showSession();
  dialog.showModal();
  dialog.focus();
}
find("#rate").onclick = () => review(
  [...state.visible.filter(isFlagged), ...state.visible.filter(index => !isFlagged(index))]);
const reviewQueue = find("#review-queue");  // the masks to correct, in their order
if (reviewQueue) reviewQueue.onclick = () => review(data.queue);
