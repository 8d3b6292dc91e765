// Operations on masks: arrays of voxels, x fastest, with the number of voxels along x, y and z (sides).

// Give the 26-connected component of a voxel another value; return its voxels.
function flood(mask, [nx, ny, nz], start, value) {
  const old = mask[start], voxels = [start];
  mask[start] = value;
  for (let next = 0; next < voxels.length; next++) {
    const x = voxels[next] % nx, y = Math.floor(voxels[next] / nx) % ny, z = Math.floor(voxels[next] / (nx * ny));
    for (let k = Math.max(z - 1, 0); k <= Math.min(z + 1, nz - 1); k++) {
      for (let j = Math.max(y - 1, 0); j <= Math.min(y + 1, ny - 1); j++) {
        for (let i = Math.max(x - 1, 0); i <= Math.min(x + 1, nx - 1); i++) {
          const neighbor = i + nx * (j + ny * k);
          if (mask[neighbor] !== old) continue;
          mask[neighbor] = value;
          voxels.push(neighbor);
        }
      }
    }
  }
  return voxels;
}

// Mask of the voxels that reach a count, without components of fewer voxels than the minimum.
function thresholdMask(counts, count, sides, minimum) {
  const mask = counts.map(value => value >= count ? 1 : 0);
  for (let voxel = 0; voxel < mask.length; voxel++) {
    if (mask[voxel] !== 1) continue;
    const voxels = flood(mask, sides, voxel, 2);
    if (voxels.length < minimum) for (const small of voxels) mask[small] = 0;
  }
  return mask.map(value => value && 1);
}

// Grow cut (Vezhnevets and Konouchine 2005) within the box of the voxels with the value 2: each voxel gets the
// value, 1 or 2, of the seed that reaches it with the largest strength, which decreases with differences of
// intensity along the path. Voxels with the value 2 are then empty. Return whether there are seeds of both values.
function growCut(mask, image, [nx, ny, nz]) {
  const FULL = 10000, low = [nx, ny, nz], high = [-1, -1, -1];
  mask.forEach((value, voxel) => {
    if (value === 2) [voxel % nx, Math.floor(voxel / nx) % ny, Math.floor(voxel / (nx * ny))].forEach((at, axis) => {
      low[axis] = Math.min(low[axis], at);
      high[axis] = Math.max(high[axis], at);
    });
  });
  const buckets = Array.from({length: FULL + 1}, () => []), strengths = new Int16Array(mask.length).fill(-1);
  let minimum = Infinity, maximum = -Infinity, inside = false;
  for (let k = low[2]; k <= high[2]; k++) for (let j = low[1]; j <= high[1]; j++) for (let i = low[0]; i <= high[0]; i++) {
    const voxel = i + nx * (j + ny * k);
    minimum = Math.min(minimum, image[voxel]);
    maximum = Math.max(maximum, image[voxel]);
    strengths[voxel] = mask[voxel] ? FULL : 0;
    if (mask[voxel]) buckets[FULL].push(voxel);
    inside ||= mask[voxel] === 1;
  }
  for (let strength = inside ? FULL : 0; strength > 0; strength--) {
    for (const voxel of buckets[strength]) {  // grows during the loop
      if (strengths[voxel] !== strength) continue;
      const x = voxel % nx, y = Math.floor(voxel / nx) % ny;
      for (const neighbor of [x > 0 && voxel - 1, x < nx - 1 && voxel + 1, y > 0 && voxel - nx, y < ny - 1 && voxel + nx, voxel - nx * ny, voxel + nx * ny]) {
        if (!(strengths[neighbor] >= 0)) continue;  // outside the box
        const difference = Math.abs(image[voxel] - image[neighbor]) / (maximum - minimum || 1);
        const attack = Math.floor(strength * (1 - difference));
        if (attack <= strengths[neighbor]) continue;
        strengths[neighbor] = attack;
        mask[neighbor] = mask[voxel];
        buckets[attack].push(neighbor);
      }
    }
  }
  if (inside) mask.forEach((value, voxel) => {
    if (value === 2) mask[voxel] = 0;
  });
  return inside;
}

// Slice of a mask: its width and height (pixels), and the voxel of a pixel. across, up, through: axes.
function sliceOf(sides, [across, up, through], number) {
  const strides = [1, sides[0], sides[0] * sides[1]];
  const voxel = pixel => pixel % sides[across] * strides[across] + Math.floor(pixel / sides[across]) * strides[up] + number * strides[through];
  return {width: sides[across], height: sides[up], voxel};
}

// Pixels (flat) of the shape, 8-connected, that is nearest to a pixel of a slice; none in an empty slice.
function nearestShape(mask, slice, column, row) {
  const {width, height, voxel} = slice, pixels = new Uint8Array(width * height);
  let nearest = -1, least = Infinity;
  pixels.forEach((_, pixel) => {
    if (mask[voxel(pixel)] !== 1) return;
    pixels[pixel] = 1;
    const distance = (pixel % width - column) ** 2 + (Math.floor(pixel / width) - row) ** 2;
    if (distance < least) [nearest, least] = [pixel, distance];
  });
  return nearest < 0 ? [] : flood(pixels, [width, height, 1], nearest, 2);
}

// Signed distances (mm) to the boundary of a shape, positive inside, for the pixels of a box.
function signedDistances(shape, width, [left, right, bottom, top], [dx, dy]) {
  const pixels = new Set(shape), distances = [], border = {true: [], false: []};
  const inside = (i, j) => i >= 0 && i < width && pixels.has(i + width * j);
  for (let j = bottom - 1; j <= top + 1; j++) for (let i = left - 1; i <= right + 1; i++) {
    const isInside = inside(i, j), neighbors = [[i - 1, j], [i + 1, j], [i, j - 1], [i, j + 1]];
    if (neighbors.some(([x, y]) => inside(x, y) !== isInside)) border[isInside].push([i, j]);
  }
  for (let j = bottom; j <= top; j++) for (let i = left; i <= right; i++) {
    const isInside = inside(i, j);
    let least = Infinity;
    for (const [x, y] of border[!isInside]) least = Math.min(least, ((x - i) * dx) ** 2 + ((y - j) * dy) ** 2);
    distances.push((isInside ? 1 : -1) * Math.sqrt(least));
  }
  return distances;
}

// Fill the empty slices between the shape nearest to a voxel and the shapes in the same place of the next drawn
// slices, on both sides, by shape-based interpolation (Raya and Udupa 1990). Return the number of filled slices.
function interpolateSlices(mask, sides, zooms, axes, position) {
  const [across, up, through] = axes, spacing = [zooms[across], zooms[up]];
  const slice = number => sliceOf(sides, axes, number);
  const {width} = slice(0), start = position[through];
  const shape = nearestShape(mask, slice(start), position[across], position[up]);
  let filled = 0;
  if (!shape.length) return filled;
  for (const direction of [-1, 1]) {
    let other = [], number = start + direction;
    for (; number >= 0 && number < sides[through] && !other.length; number += direction) {
      const {voxel} = slice(number), seed = shape.find(pixel => mask[voxel(pixel)] === 1);
      if (seed !== undefined) other = nearestShape(mask, slice(number), seed % width, Math.floor(seed / width));
    }
    const end = number - direction, gap = Math.abs(end - start);
    if (!other.length || gap < 2) continue;
    const both = [...shape, ...other], columns = both.map(pixel => pixel % width), rows = both.map(pixel => Math.floor(pixel / width));
    const extreme = (values, pick) => values.reduce((first, second) => pick(first, second));
    const box = [extreme(columns, Math.min), extreme(columns, Math.max), extreme(rows, Math.min), extreme(rows, Math.max)];
    const [near, far] = [shape, other].map(pixels => signedDistances(pixels, width, box, spacing));
    for (let step = 1; step < gap; step++) {
      const {voxel} = slice(start + step * direction);
      near.forEach((distance, index) => {
        const columnsOfBox = box[1] - box[0] + 1;
        const pixel = box[0] + index % columnsOfBox + width * (box[2] + Math.floor(index / columnsOfBox));
        if (distance * (gap - step) + far[index] * step > 0) mask[voxel(pixel)] = 1;
      });
      filled++;
    }
  }
  return filled;
}

// NIfTI file of a mask: header, and the voxels with the value 1 in the order of the file.
function maskFile(mask, [nx, ny, nz], header, {first, steps, size}) {
  const file = new Uint8Array(header.length + size);
  file.set(header);
  let voxel = 0;
  for (let k = 0; k < nz; k++) for (let j = 0; j < ny; j++) {
    const row = header.length + first + j * steps[1] + k * steps[2];
    for (let i = 0; i < nx; i++) if (mask[voxel++] === 1) file[row + i * steps[0]] = 1;
  }
  return file;
}
