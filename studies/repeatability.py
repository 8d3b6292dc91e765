"""Measure the repeatability of the normalization and of the loads.

    python studies/repeatability.py [--heads 5] [--runs 5] [--threads 2]

An ellipsoid of 68 ml is pasted into IXI heads as a chronic cavity. For each head, the script measures
the distance between the positions of brain points in repeated runs of the affine registration with
several threads, and of lesion filling and SyN after the same affine. It also measures the Dice of
template masks and the range of loads between complete normalizations, with an affine registration by
several threads and by one thread. It prints tables that include the change of the loads by an error of
1 mm. A head takes five to ten minutes. Heads are read from ``$BIDS_STROKE_SHARED/data``.
"""

import argparse
import os
import sys
import time
from itertools import combinations
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd
from common import DATA
from mirrored_heads import prepared
from nibabel.affines import apply_affine
from normalization import paste

from bids_stroke.atlases import load_columns, loads, tract_cards, tracts
from bids_stroke.evaluation.metrics import dice
from bids_stroke.spatial import (
    linear_registration,
    normalization,
    registration,
    templates,
    transforms,
)

POINTS = 5000
RADII_MM = 22, 30, 25


def with_several_threads(fixed, moving, kind, outprefix, mask=None, start=None, **_):
    """Run an affine registration in this process, as :func:`register_linear` but with more threads."""
    return registration.register(
        transforms.to_ants(fixed),
        transforms.to_ants(moving),
        type_of_transform=kind,
        outprefix=outprefix,
        mask=transforms.to_ants(mask),
        aff_random_sampling_rate=linear_registration.SAMPLING_RATE,
        **linear_registration.OPTIONS,
    ).forward[0]


def normalize(head, brain, lesion, folder, affine):
    """Run a complete normalization with another function for the affine registration."""
    original, normalization.register_linear = normalization.register_linear, affine
    try:
        return normalization.normalize(head, brain, lesion, folder)[0]
    finally:
        normalization.register_linear = original


def fixed_affine(path):
    """Return a registration function that always returns the transform at ``path``."""
    return lambda *_, **__: str(path)


def spread(points, paths):
    """Return the largest mean distance (mm) of points mapped by any two transforms."""
    moved = [transforms.move_points(points, [path]) for path in paths]
    return max(
        np.linalg.norm(first - second, axis=1).mean() for first, second in combinations(moved, 2)
    )


def measured(lesion, path):
    """Return the lesion mask in template space by a transform, and its ipsilesional loads."""
    mask = transforms.apply(lesion, templates.template().t1w, [path], "mask")
    card = tract_cards.load_card()
    return mask, loads.measure_loads(mask, tracts.load_tract(card), card).loc["ipsilesional"]


def agreement(results):
    """Return the smallest Dice between masks and the range of each load relative to its mean."""
    masks = [np.asarray(mask.dataobj) > 0 for mask, _ in results]
    table = pd.DataFrame([row for _, row in results])
    row = {"Dice, least": min(dice(first, second) for first, second in combinations(masks, 2))}
    for load in load_columns.LOADS:
        values = table[load].astype(float)
        row[f"{load}, mean"] = values.mean()
        row[f"{load}, range (%)"] = 100 * (values.max() - values.min()) / values.mean()
        row[f"{load}, change by 1 mm (%)"] = (
            100 * table[load_columns.error_column(load)].astype(float).mean() / values.mean()
        )
    return row


def measure(path, runs, folder):
    """Return the rows of a head: spread of each step, and agreement of complete normalizations."""
    head, brain, lesion = prepared(path, RADII_MM)
    rng = np.random.default_rng(0)
    head = paste(head, brain, lesion, rng)
    voxels = np.argwhere(np.asarray(brain.dataobj) > 0)
    points = apply_affine(head.affine, rng.choice(voxels, POINTS, replace=False))
    affines, several, single_affine, default = [], [], [], []
    seconds = {"several threads": [], "one thread": []}

    def register_and_copy(*arguments, **options):
        transform = Path(with_several_threads(*arguments, **options))
        affines.append(folder / f"{path.name[:6]}-affine{len(affines)}.mat")
        affines[-1].write_bytes(transform.read_bytes())
        return str(transform)

    for run in range(runs):
        outputs = [folder / f"{path.name[:6]}-{name}{run}" for name in ("a", "b", "c")]
        for output in outputs:
            output.mkdir()
        start = time.perf_counter()
        several.append(normalize(head, brain, lesion, outputs[0], register_and_copy))
        seconds["several threads"].append(time.perf_counter() - start)
        single_affine.append(normalize(head, brain, lesion, outputs[1], fixed_affine(affines[0])))
        start = time.perf_counter()
        default.append(normalization.normalize(head, brain, lesion, outputs[2])[0])
        seconds["one thread"].append(time.perf_counter() - start)
    name = {"head": path.name[:6]}
    steps = {
        "affine, several threads (mm)": spread(points, affines),
        "filling and SyN after one affine (mm)": spread(points, single_affine),
        "whole, affine with several threads (mm)": spread(points, several),
        "whole (mm)": spread(points, default),
    }
    complete = [
        {
            **name,
            "affine": threads,
            **agreement([measured(lesion, path) for path in paths]),
            "seconds, median": np.median(seconds[threads]),
        }
        for threads, paths in (("several threads", several), ("one thread", default))
    ]
    return name | steps, complete


def main():
    """Command line."""
    command = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    command.add_argument("--heads", type=int, default=5)
    command.add_argument("--runs", type=int, default=5)
    command.add_argument("--threads", type=int, default=2)
    arguments = command.parse_args()
    variable = "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS"
    if os.environ.get(variable) != str(arguments.threads):  # ANTs reads the variable on import
        os.environ[variable] = str(arguments.threads)
        os.execv(sys.executable, [sys.executable, *sys.argv])
    steps, complete = [], []
    with TemporaryDirectory() as folder:
        for path in sorted((DATA / "heads" / "ixi").glob("*_ds.nii.gz"))[: arguments.heads]:
            row, rows = measure(path, arguments.runs, Path(folder))
            steps.append(row)
            complete += rows
            print(pd.DataFrame([row]).to_markdown(index=False), flush=True)
    print(pd.DataFrame(steps).round(4).to_markdown(index=False))
    print(pd.DataFrame(complete).round(4).to_markdown(index=False))


if __name__ == "__main__":
    main()
