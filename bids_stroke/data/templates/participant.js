// Linked slices, enlarged figures, and sections that stay open from page to page. Without this script,
// the page shows all slices side by side.
const sections = [...document.querySelectorAll("details[data-name]")];
const store = "bids_stroke sections";

// Sections that the reader opens stay open on the pages of other participants.
function stored(names) {
  try {
    if (names) localStorage.setItem(store, JSON.stringify(names));
    return JSON.parse(localStorage.getItem(store) ?? "[]");
  } catch {  // without local storage, sections start closed
    return [];
  }
}
const opened = new Set(stored());
for (const section of sections) {
  if (opened.has(section.dataset.name)) section.open = true;
  section.addEventListener("toggle", () => {
    if (printing) return;
    section.open ? opened.add(section.dataset.name) : opened.delete(section.dataset.name);
    stored([...opened]);
  });
}

function reveal() {
  const target = location.hash && document.getElementById(decodeURIComponent(location.hash.slice(1)));
  const section = target && target.closest("details");
  if (!section) return;
  section.open = true;
  target.scrollIntoView();
}
addEventListener("hashchange", reveal);
for (const link of document.querySelectorAll("a[href^='#']")) link.addEventListener("click", () => setTimeout(reveal));

// One slider moves the figures of all contrasts, which have the same slices.
class Linked {
  constructor(block) {
    this.block = block;
    this.figures = [...block.querySelectorAll("svg[data-slices]")].map(svg => ({
      svg,
      whole: svg.getAttribute("viewBox"),
      size: svg.dataset.size.split(",").map(Number),
      slices: svg.dataset.slices.split(" ").map(text => text.split(",").map(Number)),
    }));
    const {dataset} = this.figures[0].svg;
    this.slider = block.querySelector("input[type=range]");
    this.slider.max = this.figures[0].slices.length - 1;
    this.slider.value = dataset.start;
    this.slider.addEventListener("input", () => this.show());
    this.coordinates = dataset.coordinates;
    this.addLayers();
    this.single(true);
  }

  addLayers() {
    const boxes = this.block.querySelector(".layers");
    const groups = [...this.figures[0].svg.querySelectorAll("[data-layer]")].reverse();
    groups.forEach((group, index) => {
      const name = group.dataset.layer;
      const box = Object.assign(document.createElement("input"), {type: "checkbox"});
      box.checked = group.getAttribute("visibility") !== "hidden";
      box.addEventListener("change", () => this.toggle(name, box.checked));
      const swatch = Object.assign(document.createElement("span"), {className: "swatch"});
      swatch.style.background = group.dataset.color;
      const key = Object.assign(document.createElement("kbd"), {textContent: index + 1});
      const label = document.createElement("label");
      label.append(box, swatch, name, " ", key);
      boxes.append(label);
    });
  }

  toggle(name, shown) {
    for (const {svg} of this.figures) {
      for (const group of svg.querySelectorAll("[data-layer]")) {
        if (group.dataset.layer === name) group.setAttribute("visibility", shown ? "visible" : "hidden");
      }
    }
  }

  // A single slice on the screen, all slices on paper.
  single(on) {
    this.block.classList.toggle("single", on);
    this.block.querySelector(".controls").hidden = !on;
    for (const label of this.block.querySelectorAll(".edge, figcaption")) label.hidden = !on;
    for (const {svg, whole} of this.figures) {
      svg.classList.toggle("fading", !on);
      svg.setAttribute("viewBox", whole);
    }
    if (on) this.show();
  }

  show() {
    let position;
    for (const {svg, slices, size: [width, height]} of this.figures) {
      const [left, top, z] = slices[this.slider.value];
      svg.setAttribute("viewBox", `${left} ${top} ${width} ${height}`);
      svg.style.setProperty("--ratio", width / height);
      position = `z = ${z} mm`.replace("-", "−");
      svg.closest("figure").querySelector("figcaption").textContent = `${svg.dataset.label}, ${position}`;
    }
    this.block.querySelector("output").textContent = `${position} (${this.coordinates} coordinates)`;
    this.slider.setAttribute("aria-valuetext", position);
  }

  step(by) {
    this.slider.value = Number(this.slider.value) + by;
    this.show();
  }
}
const linked = [...document.querySelectorAll(".linked")].map(block => new Linked(block));

const steps = {ArrowUp: 1, ArrowDown: -1, PageUp: 5, PageDown: -5};
document.addEventListener("keydown", event => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.target.matches("textarea, select, input:not([type=checkbox], [type=range])")) return;  // text
  const focused = linked.find(({block}) => block.matches(":focus-within") || dialog.contains(block));
  const current = focused ?? linked.find(({block}) => block.matches(":hover"));
  if (!current) return;
  const box = current.block.querySelectorAll(".layers input")[Number(event.key) - 1];
  if (box) box.click();
  else if (event.key in steps && current.block.matches(":focus-within")) current.step(steps[event.key]);
  else return;
  event.preventDefault();
});

// A figure in a dialog of the size of the window.
const dialog = document.getElementById("enlarged");
const place = document.createComment("place of the enlarged figure");
function enlarge(figure) {
  if (dialog.open) return;
  figure.replaceWith(place);
  dialog.lastElementChild.replaceChildren(figure);
  dialog.setAttribute("aria-label", figure.dataset.enlarge);
  dialog.showModal();
}
dialog.addEventListener("close", () => {
  const figure = dialog.lastElementChild.firstElementChild;
  place.replaceWith(figure);
  figure.querySelector(".enlarge").focus();
});
for (const figure of document.querySelectorAll("[data-enlarge]")) {
  const button = Object.assign(document.createElement("button"), {className: "enlarge", type: "button", textContent: "⤢"});
  button.setAttribute("aria-label", `Enlarge ${figure.dataset.enlarge}`);
  button.addEventListener("click", () => enlarge(figure));
  (figure.querySelector(".controls, .picture:not(.frame)") ?? figure).append(button);
  figure.addEventListener("click", event => event.target.closest("svg") && enlarge(figure));
  figure.addEventListener("keydown", event => {
    if (event.key !== "Enter" || dialog.open || !event.target.closest("svg")) return;
    event.preventDefault();  // the key would press the button that has the focus in the dialog
    enlarge(figure);
  });
}

// Paper has no folds and no slider.
let printing = false;
let closed = [];
addEventListener("beforeprint", () => {
  printing = true;
  closed = [...document.querySelectorAll("details:not([open])")];
  for (const section of closed) section.open = true;
  for (const block of linked) block.single(false);
});
addEventListener("afterprint", () => {
  for (const section of closed) section.open = false;
  for (const block of linked) block.single(true);
  setTimeout(() => { printing = false; });
});
reveal();
