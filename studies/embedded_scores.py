"""Scores of a model on the evaluation cohort, with a row for each participant and input."""

import hashlib
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from functools import partial
from multiprocessing import get_context

import embedded_cohort
import numpy as np
import pandas as pd
from nibabel.affines import voxel_sizes
from scipy import ndimage, special

from bids_stroke.evaluation import calibration, detection, metrics
from bids_stroke.lesion.postprocessing import threshold
from bids_stroke.models import calibration as calibration_of_models
from bids_stroke.models import catalog, inference
from bids_stroke.spatial import grid
from bids_stroke.training.simulation import synthesis
from bids_stroke.utils.files import atomic

COVERED = 0.1  # share of a true lesion that one predicted component must cover for detection
VOXELS = 20_000  # number of sampled voxels of each scan, near lesions and in the whole brain
LOGIT = 10.0  # largest absolute logit that is distinguished
THRESHOLDS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6)
COMPONENTS = (10, 50, 100, 200)  # mm³


def lesion_mask(probability, card, voxel_mm3):
    """Return the lesion mask (array) by the threshold and the smallest component of a card."""
    return threshold(probability, card.threshold, card.min_component_mm3, voxel_mm3) > 0


def segmentations(card, folder, name, images, brain, mirror=False):
    """Yield the names of the contrasts and the lesion probability for each input of a model."""
    for contrasts in card.inputs or [card.select(synthesis.CONTRASTS)]:
        selected = {c: images[c] for c in contrasts}
        yield "+".join(contrasts), segmentation(card, folder, name, selected, brain, mirror)


def segmentation(card, folder, name, images, brain, mirror=False):
    """Return the lesion probability (array) of a participant from one or several contrasts.

    The logits are cached next to the cohort, because they depend only on the network.
    """
    kind = f"logits{'-mirrored' if mirror else ''}-{card.sha256[:12]}"
    path = folder.with_name(f"{folder.name}-{kind}") / f"{name}_{'+'.join(images)}.npz"
    if not path.exists():
        first = next(iter(images))
        to_template = None
        if card.mirror:
            to_template = embedded_cohort.alignment(folder, name, first, images[first], brain)
        plain = replace(card, calibration={})
        img = inference.predict(plain, images, brain, brain, "cpu", mirror, to_template)
        logits = np.clip(special.logit(img.get_fdata(dtype=np.float32)), -LOGIT, LOGIT)
        path.parent.mkdir(exist_ok=True)
        with atomic(path) as partial_path, partial_path.open("wb") as stream:
            np.savez_compressed(stream, logits=logits.astype(np.float16))
    with np.load(path) as archive:
        logits = archive["logits"].astype(np.float32)
    raw = np.where(logits > -LOGIT, special.expit(logits), np.float32(0))
    return calibration_of_models.scale(raw, card.calibration_for(tuple(images)).temperature)


def scores(mask, truth, voxel_ml):
    """Return the agreement of a mask with the true mask."""
    labels, _ = ndimage.label(mask, np.ones((3, 3, 3)))
    covered = np.bincount(labels[truth], minlength=1)[1:].max(initial=0)
    return {
        "dice": metrics.dice(mask, truth),
        "detected": float(covered >= COVERED * truth.sum()) if truth.any() else np.nan,
        "f1": detection.isles(mask, truth).f1,
        "predicted_ml": mask.sum() * voxel_ml,
        "true_ml": truth.sum() * voxel_ml,
    }


def measure(name, folder, model, mirror):
    """Return the rows of a participant, and samples of voxels, for each input."""
    card = catalog.load(model)
    images, brain, truth = embedded_cohort.load_case(folder, name)
    volume, inside = grid.voxel_volume(brain), np.asarray(brain.dataobj) > 0
    rows, voxels = [], []
    for contrasts, probability in segmentations(card, folder, name, images, brain, mirror):
        mask = lesion_mask(probability, card, volume)
        row = {"name": name, "input": contrasts, **scores(mask, truth, volume / 1000)}
        row["expected_ml"] = probability.sum() * volume / 1000
        near = calibration.near_lesion(mask, truth, voxel_sizes(brain.affine))
        near &= inside
        if near.any():
            row["ece"] = calibration.expected_calibration_error(probability[near], truth[near])
            row["brier"] = calibration.brier(probability[near], truth[near])
        for region, part in (("near lesions", near), ("brain", inside)):
            indices = np.random.default_rng(0).permutation(np.flatnonzero(part))[:VOXELS]
            sample = {"p": probability.flat[indices], "lesion": truth.flat[indices]}
            voxels.append(pd.DataFrame(sample).assign(region=region, input=contrasts))
        rows.append(row)
    return pd.DataFrame(rows), pd.concat(voxels)


def sweep(name, folder, model, mirror):
    """Return the rows of a participant for each threshold and smallest component."""
    card = catalog.load(model)
    images, brain, truth = embedded_cohort.load_case(folder, name)
    volume = grid.voxel_volume(brain)
    rows = []
    for contrasts, probability in segmentations(card, folder, name, images, brain, mirror):
        for value in THRESHOLDS:
            for smallest in COMPONENTS:
                mask = threshold(probability, value, smallest, volume) > 0
                row = {"input": contrasts, "threshold": value, "min_component_mm3": smallest}
                rows.append({"name": name, **row, **scores(mask, truth, volume / 1000)})
    return pd.DataFrame(rows), pd.DataFrame()


def for_all(function, folder, model, mirror, jobs):
    """Return the tables (rows and voxels) of all participants, cached next to the cohort."""
    identity = hashlib.sha256(catalog.load(model).identity().encode()).hexdigest()[:12]
    kind = f"{function.__name__}{'-mirrored' if mirror else ''}"
    out = folder.with_name(f"{folder.name}-{kind}-{identity}")
    out.mkdir(exist_ok=True)
    names = sorted(entry.name for entry in folder.glob("sub-*"))
    task = partial(_cached, function, out=out, folder=folder, model=model, mirror=mirror)
    # A process forked after the use of torch may hang.
    with ProcessPoolExecutor(jobs, get_context("spawn"), single_threaded) as pool:
        rows, voxels = zip(*pool.map(task, names), strict=True)
    return pd.concat(rows), pd.concat(voxels, keys=names)


def _cached(function, name, out, **arguments):
    """Return the tables of a participant, from the cache if available."""
    path = out / f"{name}.pkl"
    if not path.exists():
        tables = function(name, **arguments)
        with atomic(path) as partial_path:
            pd.to_pickle(tables, partial_path)
    return pd.read_pickle(path)


def single_threaded():
    """Limit a worker process to one thread."""
    import torch

    torch.set_num_threads(1)
