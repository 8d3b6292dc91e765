"""Measure the time of evaluating pairs of masks, compared with a loop over reference implementations.

    python benchmarks/evaluate.py [--pairs 300] [--reference 10] [--jobs 2] [--work DIR]

True masks are real lesion masks from ``$BIDS_STROKE_SHARED/data`` on the 1 mm template grid; predicted
masks are shifted by up to two voxels and dilated at random. ``bids_stroke.evaluation`` evaluates all
pairs (all scores, CST loads and lesion tables), and the script prints its wall time and the peak memory
of a process. The reference loop evaluates some of the pairs on one core: MONAI for the Hausdorff
distances and both directions of the average surface distance, scikit-learn for voxel scores, and
scipy's labels for lesion-wise counts, without loads.
"""

import argparse
import resource
import tempfile
import time
from pathlib import Path

import nibabel as nib
import numpy as np
import torch
from measurements import DATA
from monai.metrics import compute_average_surface_distance, compute_hausdorff_distance
from scipy import ndimage
from sklearn.metrics import confusion_matrix

from bids_stroke.evaluation.measurement import measure
from bids_stroke.evaluation.pairs import Pair
from bids_stroke.evaluation.run import evaluate
from bids_stroke.spatial import image, templates
from bids_stroke.spatial.grid import resample


def write_pairs(number, work):
    """Write true and predicted masks of ``number`` scans unless they exist."""
    grid = templates.template().t1w
    folders = [DATA / name for name in ("lesions_chronic", "lesions_acute")]
    sources = [path for folder in folders for path in sorted(folder.glob("*.nii*"))]
    rng = np.random.default_rng(0)
    for index, path in enumerate(sources[:number]):
        name = f"sub-{index:04d}_space-MNI152NLin2009aSym_label-L_mask.nii.gz"
        dilations = int(rng.integers(0, 3))
        if (work / "pred" / name).exists():
            continue
        truth = np.asarray(resample(image.load(path), grid, order=0).dataobj) > 0
        pred = np.roll(truth, rng.integers(-2, 3, 3), (0, 1, 2))
        pred = ndimage.binary_dilation(pred, iterations=dilations) if dilations else pred
        for kind, mask in (("truth", truth), ("pred", pred)):
            image.save(image.like(mask, grid, np.uint8), work / kind / name)


def reference(pred_path, truth_path):
    """Compute the scores of a pair with MONAI, scikit-learn and scipy."""
    pred, truth = (np.asarray(nib.load(path).dataobj) > 0 for path in (pred_path, truth_path))
    confusion_matrix(truth.ravel(), pred.ravel())
    batches = [torch.from_numpy(mask)[None, None] for mask in (pred, truth)]
    for percentile in (100, 95):
        compute_hausdorff_distance(*batches, include_background=True, percentile=percentile)
    for ordered in (batches, batches[::-1]):
        compute_average_surface_distance(*ordered, include_background=True)
    for neighbors in (1, 3):  # connected by faces, by corners
        structure = ndimage.generate_binary_structure(3, neighbors)
        for first, second in ((truth, pred), (pred, truth)):
            labels, count = ndimage.label(first, structure)
            for lesion in range(1, count + 1):
                second[labels == lesion].sum()


def main():
    """Command line."""
    command = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    command.add_argument("--pairs", type=int, default=300)
    command.add_argument("--reference", type=int, default=10)
    command.add_argument("--jobs", type=int, default=2)
    command.add_argument("--work", type=Path, default=Path(tempfile.gettempdir()) / "evaluate")
    arguments = command.parse_args()
    write_pairs(arguments.pairs, arguments.work)
    pred, truth = arguments.work / "pred", arguments.work / "truth"

    started = time.perf_counter()
    rows, _ = evaluate({"model": pred}, truth, arguments.jobs)
    wall = time.perf_counter() - started
    peak = max(
        resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    )
    compared = int(rows["dice"].notna().sum())
    print(
        f"{compared} pairs in {wall:.0f} s with {arguments.jobs} processes "
        f"({wall / compared:.2f} s per pair), at most {peak / 1024:.0f} MB per process"
    )

    torch.set_num_threads(1)
    selected = rows.iloc[:: max(1, len(rows) // arguments.reference)][: arguments.reference]
    started = time.process_time()
    for row in selected.itertuples():
        reference(row.prediction, row.truth)
    slow = (time.process_time() - started) / len(selected)
    started = time.process_time()
    for row in selected.itertuples():
        measure(Pair(row.participant_id, None, "model", Path(row.truth), Path(row.prediction)))
    fast = (time.process_time() - started) / len(selected)
    print(
        f"one core, {len(selected)} pairs: {fast:.2f} s per pair versus {slow:.2f} s for the "
        f"reference loop, {slow / fast:.1f} times as fast"
    )


if __name__ == "__main__":
    main()
