// Lesion overlap of the selected sessions, in coarse cells of the template. The lesions are runs of cells
// (bids_stroke.cohort.coarse_lesions), and the figure describes its slices
// (bids_stroke.reports.figures.overlap).
const counts = find("#overlap .counts");
const cells = counts && JSON.parse(counts.dataset.cells);
const allCounts = counts?.getAttribute("href");
const ticks = [...document.querySelectorAll("#overlap .scale text[text-anchor=middle]")];
const tickTexts = ticks.map(tick => tick.textContent);

// Increase the cells of a lesion by one.
function addLesion(text, volume) {
  let number = 0, shift = 0, at = 0, isRun = false;
  for (const character of atob(text)) {
    const byte = character.charCodeAt(0);
    number |= (byte & 127) << shift;
    shift += 7;
    if (byte & 128) continue;
    if (isRun) for (let cell = at; cell < at + number; cell += 1) volume[cell] += 1;
    at += number;
    [number, shift, isRun] = [0, 0, !isRun];
  }
}

function drawCells(volume, maximum) {
  const canvas = document.createElement("canvas"), context = canvas.getContext("2d");
  [canvas.width, canvas.height] = ["width", "height"].map(side => Number(counts.getAttribute(side)));
  const strides = [1, cells.shape[0], cells.shape[0] * cells.shape[1]];
  for (const [axis, layer, edge, left, bottom] of cells.panels) {
    const [across, up] = [0, 1, 2].filter(other => other !== axis);
    for (let row = 0; row < cells.shape[up]; row += 1) {
      for (let column = 0; column < cells.shape[across]; column += 1) {
        const count = volume[layer * strides[axis] + row * strides[up] + column * strides[across]];
        if (!count) continue;
        context.fillStyle = mix(cells.colors, (count - 1) / (maximum - 1 || 1));
        const [x, right] = [column, column + 1].map(number => Math.round(left + number * edge));
        const [y, base] = [row + 1, row].map(number => Math.round(bottom - number * edge));
        context.fillRect(x, y, right - x, base - y);
      }
    }
  }
  return canvas.toDataURL();
}

function drawOverlap() {
  if (!counts || !data.lesions) return;
  ticks.forEach((tick, index) => { tick.textContent = tickTexts[index]; });
  if (!state.isFiltered) {
    counts.setAttribute("href", allCounts);
    find("#overlapped").textContent = "";
    return;
  }
  const volume = new Uint16Array(cells.shape.reduce((product, size) => product * size));
  for (const index of state.visible) addLesion(data.lesions[index], volume);
  const maximum = volume.reduce((most, count) => Math.max(most, count), 0);
  counts.setAttribute("href", drawCells(volume, maximum));
  ticks.forEach((tick, index) => {
    const isLast = index === ticks.length - 1;
    tick.textContent = maximum && index === 0 ? 1 : maximum > 1 && isLast ? maximum : "";
  });
  find("#overlapped").textContent = `Selected: ${state.visible.length} of ${data.rows.length} sessions, at most `
    + `${maximum} in a cell of ${cells.size} mm.`;
}
