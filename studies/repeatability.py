"""Measure how the normalization, and the loads after it, repeat: step by step, run by run.

    python studies/repeatability.py [--heads 5] [--runs 5] [--threads 2]

An ellipsoid of 68 ml is pasted into heads of IXI as a chronic cavity. Of each head: how far the points
of the brain lie apart between runs of the affine registration with several threads, and of the filling
and SyN after one and the same affine; and the Dice overlap of the template masks and the range of the
loads between whole normalizations, with an affine of several threads and of one. Prints tables,
with the change of the loads by an error of 1 mm. Five to ten minutes a head. ``$BIDS_STROKE_SHARED``
names the folder of the heads.
"""

import argparse
import os
import sys
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
    """An affine registration in this process, as :func:`register_linear` but for the threads."""
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
    """A whole normalization with another affine registration."""
    kept, normalization.register_linear = normalization.register_linear, affine
    try:
        return normalization.normalize(head, brain, lesion, folder)[0]
    finally:
        normalization.register_linear = kept


def fixed_affine(path):
    """A registration that always gives the transform at ``path``."""
    return lambda *_, **__: str(path)


def spread(points, paths):
    """Largest mean distance (mm) between the places of points by two of several transforms."""
    moved = [transforms.move_points(points, [path]) for path in paths]
    return max(np.linalg.norm(one - other, axis=1).mean() for one, other in combinations(moved, 2))


def measured(lesion, path):
    """The template mask by a transform, and the loads of its side."""
    mask = transforms.apply(lesion, templates.template().t1w, [path], "mask")
    card = tract_cards.load_card()
    return mask, loads.measure_loads(mask, tracts.load_tract(card), card).loc["ipsilesional"]


def agreement(results):
    """Smallest Dice between masks, and the range of each load relative to its mean."""
    masks = [np.asarray(mask.dataobj) > 0 for mask, _ in results]
    table = pd.DataFrame([row for _, row in results])
    row = {"Dice, least": min(dice(one, other) for one, other in combinations(masks, 2))}
    for load in load_columns.LOADS:
        values = table[load].astype(float)
        row[f"{load}, mean"] = values.mean()
        row[f"{load}, range (%)"] = 100 * (values.max() - values.min()) / values.mean()
        row[f"{load}, change by 1 mm (%)"] = (
            100 * table[load_columns.error_column(load)].astype(float).mean() / values.mean()
        )
    return row


def measure(path, runs, folder):
    """Rows of one head: spread of the steps, and agreement of the whole."""
    head, brain, lesion = prepared(path, RADII_MM)
    rng = np.random.default_rng(0)
    head = paste(head, brain, lesion, rng)
    voxels = np.argwhere(np.asarray(brain.dataobj) > 0)
    points = apply_affine(head.affine, rng.choice(voxels, POINTS, replace=False))
    affines, several, one_affine, default = [], [], [], []

    def keep(*arguments, **options):
        found = Path(with_several_threads(*arguments, **options))
        affines.append(folder / f"{path.name[:6]}-affine{len(affines)}.mat")
        affines[-1].write_bytes(found.read_bytes())
        return str(found)

    for run in range(runs):
        places = [folder / f"{path.name[:6]}-{name}{run}" for name in ("a", "b", "c")]
        for place in places:
            place.mkdir()
        several.append(normalize(head, brain, lesion, places[0], keep))
        one_affine.append(normalize(head, brain, lesion, places[1], fixed_affine(affines[0])))
        default.append(normalization.normalize(head, brain, lesion, places[2])[0])
    name = {"head": path.name[:6]}
    steps = {
        "affine, several threads (mm)": spread(points, affines),
        "filling and SyN after one affine (mm)": spread(points, one_affine),
        "whole, affine with several threads (mm)": spread(points, several),
        "whole (mm)": spread(points, default),
    }
    whole = [
        {**name, "affine": how, **agreement([measured(lesion, path) for path in paths])}
        for how, paths in (("several threads", several), ("one thread", default))
    ]
    return name | steps, whole


def main():
    """Command line."""
    command = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    command.add_argument("--heads", type=int, default=5)
    command.add_argument("--runs", type=int, default=5)
    command.add_argument("--threads", type=int, default=2)
    arguments = command.parse_args()
    variable = "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS"
    if os.environ.get(variable) != str(arguments.threads):  # ANTs reads it when it starts
        os.environ[variable] = str(arguments.threads)
        os.execv(sys.executable, [sys.executable, *sys.argv])
    steps, wholes = [], []
    with TemporaryDirectory() as folder:
        for path in sorted((DATA / "heads" / "ixi").glob("*_ds.nii.gz"))[: arguments.heads]:
            of_head, whole = measure(path, arguments.runs, Path(folder))
            steps.append(of_head)
            wholes += whole
            print(pd.DataFrame([of_head]).to_markdown(index=False), flush=True)
    print(pd.DataFrame(steps).round(4).to_markdown(index=False))
    print(pd.DataFrame(wholes).round(4).to_markdown(index=False))


if __name__ == "__main__":
    main()
