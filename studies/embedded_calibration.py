"""Calibration of a model on the evaluation cohort: its fit, its errors and the reliability curve."""

from io import BytesIO

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from pictures import save
from scipy import special

from bids_stroke.evaluation import calibration as measures
from bids_stroke.models import calibration

COVERAGES = (80, 95)
SCALES, OFFSETS = (0.5, 0.75, 1, 1.33, 2), np.arange(-1.5, 0.6, 0.25)  # of the logits


def fit(rows, voxels, card):
    """Return the section ``calibration`` of a card from the results of the validation part.

    The temperature is that of the whole brain: one that is fitted near lesions raises the probability
    of all other voxels.
    """
    section = {}
    brain = voxels[voxels.region == "brain"]
    for contrasts, part in brain.groupby("input", sort=False):
        current = card.calibration_for(contrasts.split("+")).temperature
        volumes = rows[rows.input == contrasts]
        temperature = current * calibration.fit_temperature(part.p, part.lesion)
        errors = {
            coverage: [
                round(e, 3)
                for e in calibration.fit_volume(volumes.predicted_ml, volumes.true_ml, coverage)
            ]
            for coverage in COVERAGES
        }
        section[contrasts] = {"temperature": round(temperature, 3), "volume": errors}
    return section


def lowest_error(voxels):
    """Return the lowest ECE (mean over scans) of the voxels over a grid of scales and offsets."""
    scans = [
        (special.logit(np.clip(scan.p, 1e-6, 1 - 1e-6)), scan.lesion)
        for _, scan in voxels.groupby(level=0)
    ]

    def error(scale, offset):
        """Return the mean error over the scans after a change of the logits."""
        changed = ((special.expit(scale * logits + offset), lesion) for logits, lesion in scans)
        return np.mean([measures.expected_calibration_error(*scan) for scan in changed])

    return min(error(scale, offset) for scale in SCALES for offset in OFFSETS)


def table(rows, voxels, card):
    """Return the errors of the probability of a model, and the coverage of its volume intervals.

    ``voxels`` are indexed by the names of the scans.
    """
    near = voxels[voxels.region == "near lesions"]
    lines = []
    for contrasts, part in rows.groupby("input", sort=False):
        fitted = card.calibration_for(contrasts.split("+"))
        line = {
            "input": contrasts,
            "model": card.name,
            "temperature": round(fitted.temperature, 2),
            "ECE": round(part.ece.mean(), 3),
            "lowest ECE": round(lowest_error(near[near.input == contrasts]), 3),
            "Brier": round(part.brier.mean(), 3),
        }
        for coverage in fitted.volume:
            ends = [fitted.volume_interval(ml, coverage) for ml in part.predicted_ml]
            inside = [a <= ml <= b for ml, (a, b) in zip(part.true_ml, ends, strict=True)]
            line[f"coverage of {coverage} %"] = round(float(np.mean(inside)), 3)
        lines.append(line)
    return pd.DataFrame(lines)


def draw(voxels):
    """Draw the reliability curve of each input from the voxels near lesions of all scans."""
    figure, axis = plt.subplots(figsize=(5, 5), layout="constrained")
    axis.plot([0, 1], [0, 1], color="gray", linestyle="dashed", label="calibrated")
    near = voxels[voxels.region == "near lesions"]
    for contrasts, part in near.groupby("input", sort=False):
        curve = measures.reliability(part.p, part.lesion)
        probability, share, _ = zip(*curve, strict=True)
        axis.plot(probability, share, marker="o", markersize=4, label=contrasts)
    axis.set(xlabel="lesion probability", ylabel="share of lesion voxels", aspect="equal")
    axis.legend()
    buffer = BytesIO()
    figure.savefig(buffer, dpi=120)
    save(buffer.getvalue(), "reliability")
