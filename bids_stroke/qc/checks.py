"""Sanity gates: what of a session may be wrong although every step went well, in one table.

A session that fails a gate keeps its outputs; the log, the report, the tables (``qc_flags``) and the
summary of the run tell it, and ``--strict`` makes it a failure.
"""

import json
from typing import NamedTuple

import numpy as np

from bids_stroke.spatial import grid, image
from bids_stroke.spatial.templates import template

from . import image_quality

TRAINED = "trained_range"


class Check(NamedTuple):
    """What passes: a measure between ``low`` and ``high``. ``says`` is the sentence where it does not,
    ``reason`` why the limits are these."""

    measure: str
    low: float
    high: float
    says: str
    reason: str


#: Gates of numbers. Measures of the other images than the reference stand for each of them.
CHECKS = {
    "brain_volume": Check(
        "brain_volume_ml", 900, 2000,
        "The brain mask has {value:.0f} ml: look whether it is a whole brain and nothing else.",
        "Adults have 950 to 1850 ml inside the skull; the extraction itself refuses 600 and 2400.",
    ),
    "field_of_view": Check(
        "cut_area_cm2", 0, 20,
        "The image ends inside the brain ({value:.0f} cm² of it): volumes and loads lack what is cut.",
        "A plane through brainstem or cord has less than 10 cm²; one through the brain has more.",
    ),
    "template_overlap": Check(
        "template_brain_dice", 0.9, 1,
        "The normalized brain overlaps the template's by {value:.2f} only: look at the alignment; "
        "loads, regions and sides may be wrong.",
        "Heads that were aligned by eye have 0.95 and more.",
    ),
    "agreement": Check(
        "similarity", 1.04, 2,
        "{contrast} and the reference image agree poorly ({value:.3f}): look whether they are of one "
        "head and aligned.",
        "Measured by benchmarks/gates.py.",
    ),
    "lesion_share": Check(
        "lesion_share_of_brain", 0, 0.25,
        "The lesion takes {value:.0%} of the brain: look whether it is a lesion.",
        "The largest of 1138 public stroke lesions has 376 ml, a fifth of a template's brain.",
    ),
    "lesion_outside": Check(
        "outside_brain_share", 0, 0.2,
        "{value:.0%} of the lesion lie outside of the template's brain: look whether mask, image and "
        "alignment belong together.",
        "Errors of a normalization at the cortex stay below a tenth.",
    ),
    "no_lesion": Check(
        "lesion_volume", 1e-6, np.inf,
        "There is no lesion in the mask: look whether it was missed.",
        "Stroke patients were asked for; the smallest lesions escape models.",
    ),
    "bright": Check(
        "bright_ratio", 0, 1.6,
        "Parts of the {contrast} are {value:.1f} times as bright as white matter: look for contrast "
        "agent.",
        "Measured by benchmarks/gates.py.",
    ),
}  # fmt: skip
#: Gates of other kinds.
OTHER_CHECKS = {
    "contrast": "White matter, gray matter and fluid are as bright as in the contrast of the name.",
    "contrast_agent": "No image has ce- in its name or ContrastBolusIngredient in its sidecar.",
    "orientation": "The header tells where the image lies; qform and sform agree to half a voxel.",
    TRAINED: "Volumes lie within those that the model was trained on, as its card tells.",
}
#: Gates of T1w images alone: elsewhere fluid or lesions are bright.
_T1W = ("bright",)


def run_checks(row, images, trained=None):
    """Put a session to all gates.

    Parameters
    ----------
    row : dict
        Its row of the cohort's table (:func:`bids_stroke.cohort.table.session_row`).
    images : dict of str to path
        Raw images by contrast, the reference first.
    trained : dict, optional
        The card's ``trained_range``: column to lowest and highest value.

    Returns
    -------
    dict of str to str
        Gates that it failed, and a sentence on each.
    """
    failed = _numbers(row, tuple(images))
    told = {
        "contrast": _contrasts(row),
        "contrast_agent": [said for path in images.values() if (said := _contrast_agent(path))],
        "orientation": [said for path in images.values() if (said := image.orientation_doubt(path))],
        TRAINED: _untrained(row, trained or {}),
    }
    return failed | {name: " ".join(sentences) for name, sentences in told.items() if sentences}


def _numbers(row, contrasts):
    row, reference = {**row, **_of_lesion(row)}, row["reference"]
    found = {}
    for name, gate in CHECKS.items():
        for contrast in contrasts or (reference,):
            if name in _T1W and contrast != "T1w":
                continue
            start = image_quality.column_start(contrast, reference)
            value = row.get(f"{start}{gate.measure}", np.nan)
            if np.isfinite(value) and not gate.low <= value <= gate.high:
                found[name] = gate.says.format(value=value, contrast=contrast)
    return found


def _of_lesion(row):
    """Volume of the lesion (ml), and its share of the brain that it was measured in."""
    native, in_template = row["lesion_volume_ml"], row["lesion_volume_mni_ml"]
    brain = template().brain
    if np.isfinite(native) and np.isfinite(row["brain_volume_ml"]):
        return {"lesion_volume": native, "lesion_share_of_brain": native / row["brain_volume_ml"]}
    whole = np.count_nonzero(brain.dataobj) * grid.voxel_volume(brain) / 1000
    return {"lesion_volume": in_template, "lesion_share_of_brain": in_template / whole}


def _contrasts(row):
    """Contrasts that look like another one."""
    told = []
    for contrast, pattern in image_quality.CONTRASTS.items():
        start = image_quality.column_start(contrast, row["reference"])
        ratios = [row.get(f"{start}{name}_gray_ratio", np.nan) for name in ("white", "fluid")]
        seen = tuple(">" if ratio > 1 else "<" for ratio in ratios)
        if np.isfinite(ratios).all() and seen != pattern:
            like = [name for name, other in image_quality.CONTRASTS.items() if other == seen]
            looks = f"looks like a {like[0]}" if like else "looks like none of the known contrasts"
            told.append(f"The {contrast} {looks}: check that the image is what its name says.")
    return told


def _contrast_agent(path):
    """Whether the name or the sidecar of an image tells of contrast agent."""
    said = f"{path} was taken with contrast agent, which models are not trained on."
    if "_ce-" in path.name:
        return said
    sidecar = path.with_name(path.name.partition(".")[0] + ".json")
    try:
        told = json.loads(sidecar.read_text("utf-8-sig"))
        return said if told.get("ContrastBolusIngredient") else None
    except (OSError, ValueError, AttributeError, RecursionError):  # no sidecar, or no usable one
        return None


def _untrained(row, trained):
    """What lies outside of what the model was trained on."""
    return [
        f"{name.removesuffix('_ml').replace('_', ' ').capitalize()} is {row[name]:.4g}, outside the "
        f"{low:g} to {high:g} that the model was trained on."
        for name, (low, high) in trained.items()
        if np.isfinite(row.get(name, np.nan)) and not low <= row[name] <= high
    ]
