"""Measure time and accuracy of the rigid registration of a FLAIR to its T1w.

    python benchmarks/rigid.py [--heads NAME ...] [--voxel MM] [--page FILE]

Real pairs from ``$BIDS_STROKE_SHARED/data`` are registered as in the app, with three tenths of all
voxels, and on a grid of 2 mm. Distances are those of brain points from their positions by the
registration with three tenths of all voxels. The table is written to docs/performance.md.
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
    """Load an image, resampled to ``voxel`` mm if given."""
    img = image.conform(image.load(path))
    return grid.regrid(img, (voxel,) * 3) if voxel else img


def measure(t1w, flair, inside):
    """Measure each method.

    Yields
    ------
    tuple of (str, float, ndarray)
        Name, seconds, and brain points mapped to the FLAIR.
    """
    points = nib.affines.apply_affine(t1w.affine, np.argwhere(np.asanyarray(inside.dataobj))[::1000])
    full, coarse = (t1w, inside), (grid.regrid(t1w, COARSE), grid.regrid(inside, COARSE, order=0))
    methods = {
        "three tenths of all voxels": (*full, {"samples": np.inf}),
        "the app": (*full, {}),
        "on 2 mm": (*coarse, {"samples": np.inf}),
    }
    transforms.to_ants(t1w)  # loads ANTs before the measurement
    for name, (fixed, mask, options) in methods.items():
        with tempfile.TemporaryDirectory() as folder:
            started = time.perf_counter()
            forward, _ = linear_registration.rigid(flair, fixed, mask, folder, **options)
            seconds = time.perf_counter() - started
            yield name, seconds, transforms.move_points(points, [forward])


def main():
    """Command line."""
    command = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    command.add_argument("--heads", nargs="+", choices=HEADS, default=HEADS)
    command.add_argument("--voxel", type=float, help="voxel size of coarser images (mm)")
    command.add_argument("--page", type=Path, default=PERFORMANCE)
    arguments = command.parse_args()
    rows = []
    for head in arguments.heads:
        names = (f"{head}_{contrast}.nii.gz" for contrast in ("T1W", "FLAIR"))
        t1w, flair = (load(DATA / "heads/ms" / name, arguments.voxel) for name in names)
        brain = brain_extraction.extract(t1w, "deepbet")
        (_, reference_s, reference), *_ = results = list(measure(t1w, flair, brain))
        for name, seconds, points in results:
            distances = np.linalg.norm(points - reference, axis=1)
            rows.append(
                {
                    "pair": head,
                    "way": name,
                    "seconds": seconds,
                    "ratio": seconds / reference_s,
                    "mean distance (mm)": distances.mean(),
                    "at most (mm)": distances.max(),
                }
            )
            print(rows[-1], flush=True)
    write_measured("rigid", markdown(pd.DataFrame(rows), index=False), arguments.page)


if __name__ == "__main__":
    main()
