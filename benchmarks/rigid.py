"""Rigid registration of a FLAIR to its T1w: time against accuracy.

    python benchmarks/rigid.py [--heads NAME ...] [--voxel MM] [--page FILE]

Real pairs of BIDS_STROKE_SHARED are registered as the app does it, and beside that in the same run with
three tenths of all voxels, and on a grid of 2 mm. Distances, over the brain, are those from where the
second carries it. Writes the table to docs/performance.md.
"""

import argparse
import tempfile
import time
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
from measurements import DATA, PERFORMANCE, markdown, write_measured

from bids_stroke.spatial import brain_extraction, grid, image, linear_registration, transforms

HEADS = ("patient03_study2", "patient12_study1")
COARSE = (2.0, 2.0, 2.0)


def load(path, voxel):
    """An image, coarser if asked for."""
    img = image.conform(image.load(path))
    return grid.regrid(img, (voxel,) * 3) if voxel else img


def measure(t1w, flair, inside):
    """Seconds and points of the brain, carried to the FLAIR, of each way.

    Yields
    ------
    tuple of (str, float, ndarray)
    """
    points = nib.affines.apply_affine(t1w.affine, np.argwhere(np.asanyarray(inside.dataobj))[::1000])
    whole, coarse = (t1w, inside), (grid.regrid(t1w, COARSE), grid.regrid(inside, COARSE, order=0))
    ways = {
        "three tenths of all voxels": (*whole, {"samples": np.inf}),
        "the app": (*whole, {}),
        "on 2 mm": (*coarse, {"samples": np.inf}),
    }
    transforms.to_ants(t1w)  # ANTs is loaded before anything is timed
    for name, (fixed, mask, options) in ways.items():
        with tempfile.TemporaryDirectory() as folder:
            begun = time.perf_counter()
            forward, _ = linear_registration.rigid(flair, fixed, mask, folder, **options)
            seconds = time.perf_counter() - begun
            yield name, seconds, transforms.move_points(points, [forward])


def main():
    """Command line."""
    command = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    command.add_argument("--heads", nargs="+", choices=HEADS, default=HEADS)
    command.add_argument("--voxel", type=float, help="of coarser images, mm")
    command.add_argument("--page", type=Path, default=PERFORMANCE)
    arguments = command.parse_args()
    rows = []
    for head in arguments.heads:
        names = (f"{head}_{contrast}.nii.gz" for contrast in ("T1W", "FLAIR"))
        t1w, flair = (load(DATA / "heads/ms" / name, arguments.voxel) for name in names)
        (_, usual, there), *_ = found = list(
            measure(t1w, flair, brain_extraction.extract(t1w, "deepbet"))
        )
        for name, seconds, points in found:
            apart = np.linalg.norm(points - there, axis=1)
            rows.append({
                "pair": head, "way": name, "seconds": seconds, "ratio": seconds / usual,
                "mean distance (mm)": apart.mean(), "at most (mm)": apart.max(),
            })  # fmt: skip
            print(rows[-1], flush=True)
    write_measured("rigid", markdown(pd.DataFrame(rows), index=False), arguments.page)


if __name__ == "__main__":
    main()
