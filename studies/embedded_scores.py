"""Scores of a model on the evaluation cohort: one row for each participant and input."""

import hashlib
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context

import embedded_cohort
import numpy as np
import pandas as pd
from nibabel.affines import voxel_sizes
from scipy import ndimage

from bids_stroke.evaluation import calibration, detection, metrics
from bids_stroke.lesion.postprocessing import threshold
from bids_stroke.models import catalog, inference
from bids_stroke.spatial import grid
from bids_stroke.training.simulation import synthesis
from bids_stroke.utils.files import atomic

COVERED = 0.1  # share of a true lesion that one predicted component covers, for its detection
VOXELS = 20_000  # near lesions, kept of each scan for the fit of the temperature
THRESHOLDS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6)
COMPONENTS = (10, 50, 100, 200)  # mm³


def lesion_mask(probability, card, voxel_mm3):
    """Array of the lesion, by the threshold and the smallest component of a card."""
    return threshold(probability, card.threshold, card.min_component_mm3, voxel_mm3) > 0


def segmentations(card, folder, name, images, brain, mirror=False):
    """Probability of the model for each of its inputs, by the names of the contrasts."""
    for contrasts in card.inputs or [card.select(synthesis.CONTRASTS)]:
        chosen = {c: images[c] for c in contrasts}
        first = contrasts[0]
        to_template = None
        if card.mirror:
            to_template = embedded_cohort.alignment(folder, name, first, images[first], brain)
        img = inference.predict(card, chosen, brain, brain, "cpu", mirror, to_template)
        yield "+".join(contrasts), img.get_fdata(dtype=np.float32)


def scores(found, truth, voxel_ml):
    """Agreement of a mask with the truth."""
    labels, _ = ndimage.label(found, np.ones((3, 3, 3)))
    covered = np.bincount(labels[truth], minlength=1)[1:].max(initial=0)
    return {
        "dice": metrics.dice(found, truth),
        "detected": float(covered >= COVERED * truth.sum()) if truth.any() else np.nan,
        "f1": detection.isles(found, truth).f1,
        "found_ml": found.sum() * voxel_ml,
        "true_ml": truth.sum() * voxel_ml,
    }


def measure(name, folder, model, mirror):
    """Rows of a participant, and a sample of its voxels near lesions, for each input."""
    card = catalog.load(model)
    images, brain, truth = embedded_cohort.load_case(folder, name)
    volume = grid.voxel_volume(brain)
    rows, voxels = [], []
    for contrasts, probability in segmentations(card, folder, name, images, brain, mirror):
        found = lesion_mask(probability, card, volume)
        row = {"name": name, "input": contrasts, **scores(found, truth, volume / 1000)}
        row["expected_ml"] = probability.sum() * volume / 1000
        near = calibration.near_lesion(found, truth, voxel_sizes(brain.affine))
        near &= np.asarray(brain.dataobj) > 0
        if near.any():
            row["ece"] = calibration.expected_calibration_error(probability[near], truth[near])
            row["brier"] = calibration.brier(probability[near], truth[near])
            places = np.flatnonzero(near)
            kept = np.random.default_rng(0).permutation(places)[:VOXELS]
            sample = {"p": probability.flat[kept], "lesion": truth.flat[kept]}
            voxels.append(pd.DataFrame(sample).assign(name=name, input=contrasts))
        rows.append(row)
    return pd.DataFrame(rows), pd.concat(voxels) if voxels else pd.DataFrame()


def sweep(name, folder, model, mirror):
    """Rows of a participant for each threshold and smallest component."""
    card = catalog.load(model)
    images, brain, truth = embedded_cohort.load_case(folder, name)
    volume = grid.voxel_volume(brain)
    rows = []
    for contrasts, probability in segmentations(card, folder, name, images, brain, mirror):
        for value in THRESHOLDS:
            for smallest in COMPONENTS:
                found = threshold(probability, value, smallest, volume) > 0
                row = {"input": contrasts, "threshold": value, "min_component_mm3": smallest}
                rows.append({"name": name, **row, **scores(found, truth, volume / 1000)})
    return pd.DataFrame(rows), pd.DataFrame()


def over(function, folder, model, mirror, jobs):
    """Tables of all participants: rows and voxels. Those of each are kept beside the cohort."""
    identity = hashlib.sha256(catalog.load(model).identity().encode()).hexdigest()[:12]
    kind = f"{function.__name__}{'-mirrored' if mirror else ''}"
    out = folder.with_name(f"{folder.name}-{kind}-{identity}")
    out.mkdir(exist_ok=True)
    names = sorted(entry.name for entry in folder.glob("sub-*"))
    task = partial(_kept, function, out=out, folder=folder, model=model, mirror=mirror)
    # A forked child of a process that has used torch may hang.
    with ProcessPoolExecutor(jobs, get_context("spawn"), single_threaded) as pool:
        rows, voxels = zip(*pool.map(task, names), strict=True)
    return pd.concat(rows), pd.concat(voxels)


def _kept(function, name, out, **arguments):
    """Tables of a participant, from an earlier call where there was one."""
    path = out / f"{name}.pkl"
    if not path.exists():
        tables = function(name, **arguments)
        with atomic(path) as unfinished:
            pd.to_pickle(tables, unfinished)
    return pd.read_pickle(path)


def single_threaded():
    """Start of a worker process."""
    import torch

    torch.set_num_threads(1)
