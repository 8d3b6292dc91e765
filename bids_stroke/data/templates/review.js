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
