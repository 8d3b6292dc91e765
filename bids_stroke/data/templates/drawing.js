const form = document.querySelector("form"), canvas = document.querySelector("canvas"), dialog = document.querySelector("dialog");
const scene = JSON.parse(document.getElementById("scene").textContent);
const colors = JSON.parse(document.getElementById("colors").textContent);
const VIEWS = {A: 0, C: 1, S: 2, M: 3};  // NiiVue's numbers
const PENS = {pen: [1, false], fill: [1, true], eraser: [0, false], outside: [2, false]};  // value, whether to fill
const TOOLS = {V: "move", D: "pen", F: "fill", E: "eraser", K: "component", O: "outside"};
const MAX_STEPS = 50;  // that can be undone
const LONGEST_DELAY = 2 ** 31 - 1;  // ms
const source = scene.sidecar[scene.keys.source];  // checksum of the mask of the session
const store = new UnsavedStore(scene.session), raters = new RatingStore([]);
let nv, backgrounds, probability, sides, zooms, grid, original, candidate, weights, previous;
let steps = [], version = 0, writing = Promise.resolve(), isQueued = false, isGesture = false;

const channel = (color, at) => parseInt(color.slice(at, at + 2), 16);
const lut = (list, alpha) => ({
  R: list.map(color => channel(color, 1)), G: list.map(color => channel(color, 3)), B: list.map(color => channel(color, 5)), A: alpha,
});

function report(text) {
  document.getElementById("status").textContent = text;
}

// Ask a question; choices are pairs of value and label. Escape chooses the last value.
function ask(text, choices) {
  document.getElementById("question").textContent = text;
  dialog.querySelector("div").replaceChildren(...choices.map(([value, label]) => {
    const button = Object.assign(document.createElement("button"), {type: "button", textContent: label});
    button.onclick = () => dialog.close(value);
    return button;
  }));
  dialog.returnValue = choices.at(-1)[0];
  dialog.showModal();
  return new Promise(resolve => dialog.addEventListener("close", () => resolve(dialog.returnValue), {once: true}));
}

async function start() {
  const Niivue = await loadNiivue();
  nv = new Niivue({
    backColor: [0, 0, 0, 1], crosshairColor: [1, 0.82, 0.4, 0.8], crosshairWidthUnit: "mm", crosshairGap: 6, fontColor: [1, 0.82, 0.4, 1],
    isRadiologicalConvention: false, isSliceMM: false, isForceMouseClickToVoxelCenters: true, isNearestInterpolation: true,
    multiplanarShowRender: 0, multiplanarPadPixels: 24, showAllOrientationMarkers: true, dragAndDropEnabled: false,
    scrollRequiresFocus: self !== top, logLevel: "error", maxDrawUndoBitmaps: 2,  // undo is that of this page
  });
  await nv.attachToCanvas(canvas);
  nv.addColormap("probability", {...lut([colors[0], ...colors], [0, ...colors.map(() => 255)]), I: [0, ...colors.map((_, place) => Math.round(1 + 254 * place / (colors.length - 1)))]});
  const volumes = scene.images.map(({data, low, high}, number) => ({
    url: bytes(data).buffer, name: `${number}.nii.gz`, colormap: "gray", cal_min: low, cal_max: high,
  }));
  if (scene.probability) volumes.push({
    url: bytes(scene.probability.data).buffer, name: "probability.nii.gz", colormap: "probability",
    cal_min: scene.probability.start + 1, cal_max: scene.probability.thresholds.length,
  });
  await nv.loadVolumes(volumes);
  backgrounds = nv.volumes.slice(0, scene.images.length);
  probability = nv.volumes[scene.images.length];
  sides = [...backgrounds[0].dimsRAS].slice(1, 4);
  zooms = [...backgrounds[0].pixDimsRAS].slice(1, 4);
  grid = JSON.stringify([scene.sidecar[scene.keys.image], scene.header, scene.stored, sides]);
  original = await unpack(scene.mask);
  weights = scene.tract && await Promise.all(["L", "R"].map(side => unpackWeights(scene.tract.sides[side])));
  nv.setDrawColormap({...lut(["#000000", scene.color, "#35a7ff"], [0, 255, 255]), labels: ["", "lesion", "outside"]});
  nv.setDrawingEnabled(true);
  replace(original);
  previous = original.slice();
  nv.onDrawingChanged = action => action === "draw" && finishStroke();
  nv.onMouseUp = finishClick;
  nv.onLocationChange = ({vox}) => form.voxel.textContent = [...vox].slice(0, 3).map(Math.round).join(", ");
  form.rater.value = raters.rater;
  goToLesion();
  measure("session", original);
  if (scene.probability) chooseThreshold();
  show();
  measure("drawing", original);
  showMessage("");
  document.body.dataset.ready = "";
  await lockSession();
  await offerUnsaved();
}

async function unpackWeights({steps: packed, ml, scale}) {
  const differences = new Uint32Array((await unpack(packed)).buffer), values = new Uint16Array((await unpack(ml)).buffer);
  let position = 0;
  return {voxels: differences.map(step => position += step), ml: Float32Array.from(values, value => value * scale)};
}

function replace(mask) {
  nv.drawBitmap.set(mask);
  nv.refreshDrawing(true);
}

// Display

// The image that is shown, on the grid of the reference image.
const background = () => backgrounds[Number(form.elements.background?.value ?? 0)];

function show() {
  if (probability) {
    probability.opacity = form.probability.checked ? 0.6 : 0;
    probability.colormapType = 2;  // values below cal_min are transparent; 1 would show them faintly
    probability.cal_min = form.threshold.valueAsNumber + 1;
  }
  nv.opts.crosshairWidth = form.crosshair.checked ? 0.6 : 0;
  nv.opts.sliceType = VIEWS[form.view.value];
  nv.opts.penSize = form.brush.valueAsNumber;
  form.width.textContent = form.brush.value;
  nv.drawOpacity = form.opacity.valueAsNumber;
  const pen = PENS[form.tool.value];
  nv.setDrawingEnabled(Boolean(pen));
  if (pen) nv.setPenValue(...pen);
  // Two short strokes of a finger, or a long one, must not adapt the contrast.
  [nv.opts.doubleTouchTimeout, nv.opts.longTouchTimeout] = form.tool.value === "move" ? [500, 1000] : [0, LONGEST_DELAY];
  nv.volumes = [background(), ...probability ? [probability] : []];
  nv.setVolume(background(), 0);  // updates the textures and redraws
}

function measure(name, mask) {
  const row = form.querySelector(`[data-measures=${name}]`);
  let count = 0;
  for (const value of mask) if (value === 1) count++;
  const loads = (weights ?? []).map(({voxels, ml}) => voxels.reduce((sum, voxel, index) => mask[voxel] === 1 ? sum + ml[index] : sum, 0));
  const cells = [(count * scene.voxel_mm3 / 1000).toFixed(2), ...loads.map(load => load.toFixed(3))];
  for (const cell of [...row.querySelectorAll("td")]) cell.remove();
  row.append(...cells.map(text => Object.assign(document.createElement("td"), {textContent: text})));
  row.dataset.voxels = count;
  return count;
}

function chooseThreshold() {
  const number = form.threshold.valueAsNumber, {thresholds, data, min_component_mm3: least} = scene.probability;
  // Affines are stored in single precision: ten voxels of 0.9999999 mm³ count as 10 mm³.
  const minimum = least * (1 - 1e-5) / scene.voxel_mm3;
  form.limit.textContent = +thresholds[number].toFixed(4);
  candidate = thresholdMask(probability.img, number + 1, sides, minimum);
  measure("threshold", candidate);
}

function goTo(voxel) {
  nv.scene.crosshairPos = nv.vox2frac(voxel);
  nv.createOnLocationChange();
  nv.drawScene();
}

// Center of the lesion: its voxel that is nearest to the mean.
function goToLesion() {
  const [nx, ny] = sides, sum = [0, 0, 0], lesion = [];
  const position = voxel => [voxel % nx, Math.floor(voxel / nx) % ny, Math.floor(voxel / (nx * ny))];
  nv.drawBitmap.forEach((value, voxel) => value === 1 && lesion.push(voxel));
  for (const voxel of lesion) position(voxel).forEach((at, axis) => sum[axis] += at / lesion.length);
  const distance = voxel => position(voxel).reduce((total, at, axis) => total + ((at - sum[axis]) * zooms[axis]) ** 2, 0);
  goTo(lesion.length ? position(lesion.reduce((best, voxel) => distance(voxel) < distance(best) ? voxel : best)) : sides.map(side => Math.floor(side / 2)));
}

// Changes of the drawing

// Record a change of the drawing for undo and for the database.
function commit() {
  const now = nv.drawBitmap, voxels = [];
  for (let voxel = 0; voxel < now.length; voxel++) if (now[voxel] !== previous[voxel]) voxels.push(voxel);
  if (!voxels.length) return false;
  steps.push({voxels: Uint32Array.from(voxels), values: Uint8Array.from(voxels, voxel => previous[voxel])});
  steps = steps.slice(-MAX_STEPS);
  for (const voxel of voxels) previous[voxel] = now[voxel];
  changed();
  return true;
}

const isDrawing = () => Boolean(original) && !isNaN(nv.drawPenLocation[0]);

// NiiVue omits the last voxel of a stroke.
function finishStroke() {
  if (isDrawing()) nv.drawPt(...nv.drawPenLocation, nv.opts.penValue);
  commit();
}

// Remove a stroke that is not finished.
function cancelStroke() {
  [nv.drawPenLocation, nv.drawPenAxCorSag, nv.drawPenFillPts] = [[NaN, NaN, NaN], -1, []];
  replace(previous);
}

// End of a click, a touch or a stroke; a click outside of the slices has a negative position.
function finishClick({mouseButtonRightDown, mouseButtonCenterDown, fracPos}) {
  commit();  // a stroke that another button ended
  const isClick = !mouseButtonRightDown && !mouseButtonCenterDown && !isGesture && fracPos[0] >= 0;
  if (isClick && form.tool.value === "component") removeComponent();
}

function changed() {
  version++;
  report("");  // a former message, such as that of saving, does not apply to this drawing
  nv.refreshDrawing(true);
  form.undo.disabled = !steps.length;
  measure("drawing", nv.drawBitmap);
  keep();
}

function undo() {
  const step = steps.pop();
  if (!step) return;
  step.voxels.forEach((voxel, index) => nv.drawBitmap[voxel] = previous[voxel] = step.values[index]);
  changed();
}

function removeComponent() {
  const [x, y, z] = nv.frac2vox(nv.scene.crosshairPos), voxel = x + sides[0] * (y + sides[1] * z);
  if (nv.drawBitmap[voxel] !== 1) return report("There is no drawing at the crosshair; click on the component to remove.");
  const voxels = flood(nv.drawBitmap, sides, voxel, 0);
  commit();
  report(`A component of ${(voxels.length * scene.voxel_mm3 / 1000).toFixed(2)} ml was removed.`);
}

function drawAtCrosshair() {
  if (form.tool.value === "component") return removeComponent();
  const pen = PENS[form.tool.value];
  if (!pen) return report("Choose the pen, the eraser or another tool first.");
  nv.drawPenAxCorSag = VIEWS[form.view.value] % 3;  // axial if all planes are shown
  nv.drawPt(...nv.frac2vox(nv.scene.crosshairPos), pen[0]);
  nv.drawPenAxCorSag = -1;
  commit();
}

function interpolate() {
  const filled = interpolateSlices(nv.drawBitmap, sides, zooms, PLANES[form.view.value], nv.frac2vox(nv.scene.crosshairPos));
  commit();
  report(filled ? `${filled} slices were filled.` : "There is no gap between the shape at the crosshair and another drawn slice in the same place; draw the shape in two slices first.");
}

function grow() {
  const isGrown = growCut(nv.drawBitmap, background().img, sides);
  commit();
  report(isGrown ? "The drawing was grown." : "Draw in the lesion, and mark the outside around it with the tool Mark outside, preferably in two planes; then grow.");
}

function apply(mask, text) {
  nv.drawBitmap.set(mask);
  commit();
  report(text);
}

// Unsaved work

// Wait until no other tab shows the drawing of this session: both would store their work in the same place.
async function lockSession() {
  const lock = () => new Promise(resolve => navigator.locks.request(store.key, {ifAvailable: true}, granted => {
    resolve(Boolean(granted));
    return granted && new Promise(() => {});  // until the page is closed
  }).catch(() => resolve(true)));
  while (navigator.locks && !await lock()) {  // pages of HTTP have no locks
    await ask("This session is open in another tab or window. Close it there to draw here; unsaved work is kept.", [["", "Continue"]]);
  }
}

// Entry of the database. A saved drawing is kept, because the browser may not have written the files.
async function entryOf(mask, isSaved) {
  const date = new Date().toISOString(), bitmap = await transformed(mask, new CompressionStream("gzip"));
  return {bitmap, source, grid, date, isSaved};
}

// Store the drawing; changes during the storage of an earlier state are stored together.
function keep() {
  form.dataset.writing = "";
  if (isQueued) return;
  isQueued = true;
  writing = writing.then(async () => {
    isQueued = false;
    const hasWork = nv.drawBitmap.some((value, voxel) => value !== original[voxel]);
    const write = async () => hasWork ? store.write(await entryOf(nv.drawBitmap, false)) : store.remove();
    await write().catch(reportNoStore);
    if (!isQueued) delete form.dataset.writing;
  });
}

function reportNoStore() {
  report("This browser cannot keep unsaved work; save before you close the page.");
}

addEventListener("beforeunload", event => {
  if ("writing" in form.dataset) event.preventDefault();
});

async function offerUnsaved() {
  const entry = await store.read().catch(reportNoStore);
  const isEarlier = entry?.source !== source;
  if (!entry || entry.isSaved && isEarlier) return;  // a run has used the saved mask since
  if (entry.grid !== grid) return report("There is unsaved work on another image; it cannot be restored on this one.");
  const kind = entry.isSaved ? "a saved drawing" : "unsaved work", other = isEarlier ? " It was made from an earlier mask of the session." : "";
  const choices = [["discard", "Discard"], ["restore", "Restore"]];
  const choice = await ask(`There is ${kind} of ${new Date(entry.date).toLocaleString()}.${other}`, choices);
  if (choice === "restore") apply(await transformed(entry.bitmap, new DecompressionStream("gzip")), "The drawing was restored.");
  if (choice === "discard") await store.remove();
}

// Saving

function download(data, type, name) {
  const url = URL.createObjectURL(new Blob([data], {type}));
  Object.assign(document.createElement("a"), {href: url, download: name}).click();
  setTimeout(() => URL.revokeObjectURL(url), 60000);
}

const differs = mask => mask.some((value, voxel) => (value === 1) !== (original[voxel] === 1));

// Question about a mask that the rater may not want to save, or an empty text.
function questionBefore(mask) {
  if (!mask.includes(1)) return "The drawing is empty: the saved mask states that this session has no lesion.";
  if (differs(mask)) return "";
  const isMoved = probability && form.threshold.value !== form.threshold.defaultValue;
  return `The drawing is the mask of the session: the saved mask states that this mask is correct.${isMoved ? " Replace the drawing to use the threshold." : ""}`;
}

async function save() {
  const rater = form.rater.value.trim(), mask = nv.drawBitmap.slice(), saved = version;
  if (!rater) {
    report("Enter your name or initials as the rater before saving.");
    return form.rater.focus();
  }
  const question = questionBefore(mask);
  if (question && await ask(question, [["save", "Save this mask"], ["", "Cancel"]]) !== "save") return;
  const file = maskFile(mask, sides, bytes(scene.header), scene.stored);
  const {keys} = scene;
  const sidecar = {[keys.rater]: rater, [keys.date]: new Date().toISOString(), ...scene.sidecar, [keys.checksum]: sha256(file)};
  download(await transformed(file, new CompressionStream("gzip")), "application/gzip", scene.file);
  download(`${JSON.stringify(sidecar, null, 2)}\n`, "application/json", scene.file.replace(/\.nii\.gz$/, ".json"));
  await writing;
  const keepSaved = async () => differs(mask) ? store.write(await entryOf(mask, true)) : store.remove();
  if (saved === version) await keepSaved().catch(() => {});
  report(`${scene.file} was saved.`);
}

// Controls

const ACTIONS = {
  undo, interpolate, grow, save, start: goToLesion,
  original: () => apply(original, "The drawing is the mask of the session."),
  clear: () => apply(new Uint8Array(original.length), "The drawing is empty."),
  apply: () => apply(candidate, "The drawing is the mask of the threshold."),
};
const KEYS = {U: "undo", I: "interpolate", G: "grow", T: "apply"};

function showNextBackground() {
  const choices = [...form.querySelectorAll("[name=background]")];
  choices[(choices.findIndex(choice => choice.checked) + 1) % choices.length]?.click();
}

function press(key) {
  const letter = key.toUpperCase();
  if (TOOLS[letter]) form.querySelector(`[name=tool][value=${TOOLS[letter]}]`).click();
  else if (VIEWS[letter] !== undefined) form.querySelector(`[name=view][value=${letter}]`).click();
  else if (KEYS[letter]) form[KEYS[letter]]?.click();
  else if (letter === "X") form.crosshair.click();
  else if (letter === "P") form.probability?.click();
  else if (letter === "B") showNextBackground();
  else if (key === "[" || key === "]") {
    form.brush[key === "[" ? "stepDown" : "stepUp"]();
    show();
  } else if (key === "Home") goToLesion();
  else return false;
  return true;
}

// Use the capturing phase to handle keys before NiiVue, whose shortcuts would bypass the form.
document.addEventListener("keydown", event => {
  const {target, key} = event;
  if (target === canvas) event.stopPropagation();
  if (!original || dialog.open || isDrawing() || event.ctrlKey || event.altKey || event.metaKey || target === form.rater) return;
  if (target.type === "range" && key === "Home") return;
  if (target === canvas && STEPS[key]) moveCrosshair(nv, form.view.value, STEPS[key]);
  else if (target === canvas && key === " ") drawAtCrosshair();
  else if (!press(key)) return;
  event.preventDefault();
}, true);
// A stroke ends where the pointer leaves the image, or was released in another window.
for (const type of ["mouseleave", "mousemove"]) canvas.addEventListener(type, event => {
  if (isDrawing() && (type === "mouseleave" || !event.buttons)) nv.mouseUpListener();
}, true);
// The slice must not change during a stroke.
document.addEventListener("wheel", event => {
  if (event.target !== canvas || !isDrawing()) return;
  event.stopPropagation();
  event.preventDefault();
}, {capture: true, passive: false});
// Two fingers change the slice; what the first finger drew is removed.
canvas.addEventListener("touchstart", event => {
  isGesture = event.touches.length > 1;
  if (isGesture && isDrawing()) cancelStroke();
}, true);
canvas.addEventListener("mousedown", () => isGesture = false, true);
canvas.addEventListener("touchcancel", () => {
  isGesture = true;
  if (isDrawing()) cancelStroke();
  nv?.touchEndListener(new Event("touchend"));
});
// Two dots of the pen must not reset the contrast.
document.addEventListener("dblclick", event => event.target === canvas && form.tool.value !== "move" && event.stopPropagation(), true);
form.addEventListener("submit", event => event.preventDefault());
form.addEventListener("input", ({target}) => {
  if (!original || target === form.rater) return;
  if (target === form.threshold) chooseThreshold();
  show();
});
form.rater.addEventListener("change", () => raters.rename(form.rater.value.trim()));
for (const [name, act] of Object.entries(ACTIONS)) form[name]?.addEventListener("click", () => original && act());
start();
