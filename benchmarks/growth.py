"""Measure the cost of a run by image size and by number of lesions, participants and threads.

    python benchmarks/growth.py [--voxels 2 1.4 1 0.7] [--lesions 1 8 64 512]
        [--participants 1 2 4] [--threads 1 2] [--coarse MM] [--page FILE]

A real head of 1 mm from ``$BIDS_STROKE_SHARED/data`` is resampled to each voxel size and processed at
the participant level with the embedded model. Lesions are user-supplied masks of cubes in template
space. Participants are copies of the head at ``--coarse``, processed sequentially with two threads and
two in parallel; threads are measured with one of them. The exponent is the slope of log(seconds) versus
log(size); the size of an image is its number of voxels. The table is written to docs/performance.md.
"""

import argparse
import shutil
import sys
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
from measurements import DATA, PERFORMANCE, markdown, start_dataset, write_measured
from participant import MEASURES, watch

from bids_stroke.spatial import grid, image, templates

HEAD = DATA / "heads" / "healthy" / "colin27_T1w.nii.gz"


def heads(root, voxel, number=1):
    """Write a dataset of copies of the head."""
    start_dataset(root, "heads")
    img = image.conform(image.load(HEAD))
    first = image.save(grid.regrid(img, (voxel,) * 3), root / "sub-01/anat/sub-01_T1w.nii.gz")
    for copy in range(2, number + 1):
        path = root / f"sub-{copy:02}/anat/sub-{copy:02}_T1w.nii.gz"
        path.parent.mkdir(parents=True)
        shutil.copyfile(first, path)
    return root


def cubes(root, number):
    """Write a dataset of one mask in template space with a ``number`` of 3 mm cubes in the brain."""
    start_dataset(root, "masks")
    target = templates.template()
    mask = np.zeros(target.t1w.shape, np.uint8)
    inside = np.argwhere(np.asanyarray(target.brain.dataobj)[::6, ::6, ::6]) * 6
    indices = np.random.default_rng(0).permutation(len(inside))[:number]
    for x, y, z in inside[indices]:
        mask[x : x + 3, y : y + 3, z : z + 3] = 1
    name = f"sub-01_space-{templates.TEMPLATE}_label-L_desc-lesion_mask.nii.gz"
    image.save(image.like(mask, target.t1w, np.uint8), root / "sub-01/anat" / name)
    return root


def measure(root, *options, threads=2):
    """Measure seconds, CPU seconds and peak memory of the participant level on a dataset."""
    command = [sys.executable, "-m", "bids_stroke", root, root.with_name("out"), "participant"]
    table = watch([*command, "--nprocs", threads, *options], threads)
    return table.agg(MEASURES)


def runs(sizes):
    """Yield the varied quantity, its size, a function that writes the dataset, and the options."""
    head = image.conform(image.load(HEAD))
    for voxel in sizes.voxels:
        voxels = np.prod(grid.regrid(head, (voxel,) * 3).shape) / 1e6
        yield "million voxels", voxels, lambda root, v=voxel: heads(root, v), {}
    for number in sizes.lesions:
        yield "lesions", number, lambda root, n=number: cubes(root, n), {"supplied": True}
    for number in sizes.participants:
        for parallel in (1, 2):
            quantity = f"participants, {parallel} at a time"
            options = {"threads": 2, "omp": 2 // parallel}
            yield quantity, number, lambda root, n=number: heads(root, sizes.coarse, n), options
    for threads in sizes.threads:
        yield "threads", threads, lambda root: heads(root, sizes.coarse), {"threads": threads}


def main():
    """Command line."""
    command = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    command.add_argument("--voxels", nargs="*", type=float, default=[2, 1.4, 1, 0.7])
    command.add_argument("--lesions", nargs="*", type=int, default=[1, 8, 64, 512])
    command.add_argument("--participants", nargs="*", type=int, default=[1, 2, 4])
    command.add_argument("--threads", nargs="*", type=int, default=[1, 2])
    command.add_argument("--coarse", type=float, default=2.0, help="voxel size of the copies (mm)")
    command.add_argument("--page", type=Path, default=PERFORMANCE)
    arguments = command.parse_args()
    rows = []
    for quantity, size, make, options in runs(arguments):
        with tempfile.TemporaryDirectory() as folder:
            root = make(Path(folder) / "bids")
            masks = ["--lesion-derivatives", root] if options.get("supplied") else []
            omp = ["--omp-nthreads", options["omp"]] if "omp" in options else []
            costs = measure(root, *masks, *omp, threads=options.get("threads", 2))
        rows.append({"what": quantity, "size": size, **costs})
        print(rows[-1], flush=True)
    table = pd.DataFrame(rows)
    slopes = {quantity: exponent(part) for quantity, part in table.groupby("what")}
    shared = table["what"].str.startswith("participants")
    table["participants an hour"] = (3600 * table["size"] / table["seconds"]).where(shared)
    table["exponent of seconds"] = table["what"].map(slopes).where(~table["what"].duplicated())
    write_measured("growth", markdown(table, index=False), arguments.page)


def exponent(rows):
    """Return the slope of log(seconds) versus log(size)."""
    return np.polyfit(np.log(rows["size"]), np.log(rows["seconds"]), 1)[0] if len(rows) > 1 else np.nan


if __name__ == "__main__":
    main()
