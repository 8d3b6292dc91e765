"""Measure an embedded model on brains and lesions that its training never saw.

    python benchmarks/embedded_model.py [--model simstroke-t1w] [--lesions 40] [--work DIR]

Prints the rows of the card's ``measured`` list. The test files of the recipe's split are used:
brains of the training's own dataset, and ten brains of another site (IXI). The lesions are pasted
by a procedure of its own, simpler than training's: a cavity of constant intensity with a blurred
edge and a darker rim (chronic), or tissue at 70% of its intensity (subacute), on the brain's own
grid. Beside the model stands a naive rule: dark voxels inside the eroded brain, opened, of which
the largest component is kept. Data are read from ``$BIDS_STROKE_SHARED/data``.
"""

import argparse
import os
import tempfile
from importlib.resources import files
from pathlib import Path

import nibabel as nib
import numpy as np
import yaml
from nibabel.affines import voxel_sizes
from scipy import ndimage

from bids_stroke import image, metrics
from bids_stroke.lesion import threshold
from bids_stroke.models import card as cards
from bids_stroke.models import infer
from bids_stroke.training import datasets, loop

SHARED = Path(os.environ.get("BIDS_STROKE_SHARED", Path(__file__).parents[2] / "shared"))
CLASSES = {
    "under 1 ml": (0.3, 1),
    "1-10 ml": (1, 10),
    "10-50 ml": (10, 50),
    "over 50 ml": (50, 400),
}
SUBACUTE, CAVITY, RIM = 0.70, 0.22, 0.85  # relative to tissue, to white matter, to tissue
NOT_SMOOTHED = (0, 0, 0)  # no target spacing
SEED = 7


def sphere(radius, spacing):
    """Structuring element of a radius in mm."""
    reach = np.maximum(np.round(radius / np.asarray(spacing)), 1).astype(int)
    grid = np.indices(2 * reach + 1) - reach[:, None, None, None]
    return ((grid / reach[:, None, None, None]) ** 2).sum(0) <= 1


def naive(t1w, brain):
    """Dark voxels inside the brain, opened; the largest component."""
    mask = np.asarray(brain.dataobj) > 0
    spacing = voxel_sizes(t1w.affine)
    data = t1w.get_fdata(dtype=np.float32)
    dark = data < 0.5 * np.percentile(data[mask], 85)
    dark &= ndimage.binary_erosion(mask, sphere(4, spacing))
    labels, count = ndimage.label(ndimage.binary_opening(dark, sphere(2, spacing)))
    sizes = np.bincount(labels.ravel(), minlength=2)
    return labels == 1 + sizes[1:].argmax() if count else labels > 0


def outside_site(folder, work):
    """T1w heads with labels, as skull-stripped files in ``work``."""
    for path in sorted(folder.glob("*_ds.nii.gz")):
        head, labels = image.load(path), image.load(str(path).replace("_ds.", "_ds_DLMUSE."))
        inside = ndimage.binary_closing(np.pad(labels.get_fdata() > 0, 3), sphere(4, (2, 2, 2)))
        inside = ndimage.binary_fill_holes(inside)[3:-3, 3:-3, 3:-3]
        stripped = np.asarray(head.dataobj, np.float32) * inside
        yield image.save(image.like(stripped, head), work / "stripped" / path.name)


def images(brain, data):
    """The T1w and the brain mask as images."""
    grid = nib.Nifti1Image(np.zeros(data.shape, np.uint8), brain.affine)
    return image.like(data, grid, np.float32), image.like(brain.data[1] > 0.5, grid, np.uint8)


def paste(brain, t1w, lesion, kind, mirrored, rng):
    """Paste a lesion of template space on a brain; returns the T1w and the truth."""
    spacing = voxel_sizes(brain.affine)
    mirror = datasets.scale([-1 if mirrored else 1, 1, 1])
    to_lesion = np.linalg.inv(lesion.affine) @ mirror @ brain.to_template @ brain.affine
    weights = datasets.sample_at(lesion.data, to_lesion, t1w.shape)[0]
    truth = (weights >= 0.5) & (brain.data[1] > 0.5) & (brain.data[2] < 0.5)
    edge = ndimage.gaussian_filter(truth.astype(np.float32), 0.8 / spacing)
    white = np.percentile(t1w[brain.data[1] > 0.5], 85)
    if kind == "subacute":
        return t1w * (1 - (1 - SUBACUTE) * edge), truth
    halo = np.clip(2 * ndimage.gaussian_filter(truth.astype(np.float32), 2 / spacing), 0, 1)
    fluid = white * (CAVITY + 0.03 * rng.standard_normal(t1w.shape, dtype=np.float32))
    return (1 - edge) * t1w * (1 - (1 - RIM) * halo) + edge * fluid, truth


def segment(card, t1w, brain):
    """The model's mask, by the package's own inference and post-processing."""
    probability = infer.predict(card, {"T1w": t1w}, brain, t1w)
    volume = image.voxel_volume(t1w)
    return threshold(probability.get_fdata(), card.threshold, card.min_component_mm3, volume) > 0


def compare(card, brain, data, truth):
    """Masks of the model and of the naive rule, scored against the truth (None: no lesion)."""
    t1w, mask = images(brain, data)
    unit = image.voxel_volume(t1w) / 1000
    row = {}
    for suffix, found in (("", segment(card, t1w, mask)), ("_naive", naive(t1w, mask))):
        if truth is None:
            row[f"false_positive_ml{suffix}"] = found.sum() * unit
        else:
            row[f"dice{suffix}"] = metrics.dice(found, truth)
            row[f"sensitivity{suffix}"] = metrics.sensitivity(found, truth)
            row[f"detected{suffix}"] = float((found & truth).any())
    return row


def choose(lesions, number, rng):
    """Lesions of each volume class in equal numbers (as far as they go)."""
    chosen = []
    for name, (low, high) in CLASSES.items():
        members = [lesion for lesion in lesions if low <= lesion.volume < high]
        order = rng.permutation(len(members))[: number // len(CLASSES)]
        chosen += [(name, members[i]) for i in order]
    return chosen


def summarize(what, rows):
    """Means over cases; false-positive volumes as median and largest."""
    summary = {"what": what, "n": len(rows)}
    for key in rows[0]:
        values = [row[key] for row in rows]
        if key.startswith("false_positive"):
            summary[key] = round(float(np.median(values)), 2)
            summary[f"{key}_max"] = round(float(np.max(values)), 2)
        else:
            summary[key] = round(float(np.mean(values)), 2)
    return summary


def measure(card, recipe, number, work):
    """All rows of the table."""
    data = SHARED / "data"
    folders = [data / "lesions_acute", data / "lesions_chronic"]
    brain_files, lesion_files = loop.parts(recipe, data / "brains_t1w", folders)["test"]
    sites = {"own": brain_files, "other": list(outside_site(data / "heads" / "ixi", work))}
    sites = {
        site: [datasets.prepare_brain(path, NOT_SMOOTHED, work / "affines") for path in paths]
        for site, paths in sites.items()
    }
    healthy = {}
    for site, brains in sites.items():
        healthy[site] = [compare(card, b, original(b), None) for b in brains]
    rng = np.random.default_rng(SEED)
    cases = choose([x for p in lesion_files if (x := datasets.read_lesion(p))], number, rng)
    scored = []
    for index, (size, lesion) in enumerate(cases):
        site = ("own", "other")[index % 2]
        brain = sites[site][index // 2 % len(sites[site])]
        mirrored = bool(rng.integers(2))
        for kind in ("chronic", "subacute"):
            pasted, truth = paste(brain, original(brain), lesion, kind, mirrored, rng)
            if truth.any():
                scored.append((kind, size, site, compare(card, brain, pasted, truth)))
    return table(scored, healthy)


def original(brain):
    """Intensities of a brain, zero outside its mask."""
    return brain.data[0] * (brain.data[1] > 0.5)


def table(scored, healthy):
    """Rows by kind and volume, by kind and site, and for brains without lesion."""
    names = {"own": "held-out brains of the training's site", "other": "brains of another site (IXI)"}
    rows = []
    for kind in ("chronic", "subacute"):
        for column, values in ((1, CLASSES), (2, names)):
            for value in values:
                group = [case[3] for case in scored if case[0] == kind and case[column] == value]
                if group:
                    rows.append(summarize(f"{kind}, {names.get(value, value)}", group))
    return rows + [
        summarize(f"no lesion, {names[site]}", group) for site, group in healthy.items()
    ]


def main():
    """Command line."""
    command = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    command.add_argument("--model", default="simstroke-t1w")
    command.add_argument("--recipe", default="simstroke-t1w")
    command.add_argument("--lesions", type=int, default=40)
    command.add_argument(
        "--work",
        type=Path,
        default=Path(tempfile.gettempdir()) / "embedded_model",
        help="folder that keeps the affines",
    )
    arguments = command.parse_args()
    recipe = files("bids_stroke") / "data" / "recipes" / f"{arguments.recipe}.yaml"
    rows = measure(
        cards.load(arguments.model),
        yaml.safe_load(recipe.read_text()),
        arguments.lesions,
        arguments.work,
    )
    print(yaml.safe_dump(rows, sort_keys=False, width=1000))


if __name__ == "__main__":
    main()
