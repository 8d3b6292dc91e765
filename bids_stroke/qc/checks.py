"""QC checks that flag a session after a successful run.

A session that fails a check keeps its outputs. The log, the report, the tables (``qc_flags``) and the
summary of the run report it, and ``--strict`` makes it a failure.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from bids_stroke.bids.sidecars import has_contrast_agent
from bids_stroke.lesion.measurements import native_or_template
from bids_stroke.spatial import grid, headers
from bids_stroke.spatial.templates import template

from . import image_quality

TRAINED = "trained_range"


class Check(NamedTuple):
    """A range of a measure that passes.

    Attributes
    ----------
    measure : str
        Column of the cohort's table, without the contrast of another image than the reference.
    low, high : float
        Lowest and highest value that passes.
    message : str
        Sentence on a session that fails, with ``{value}`` and ``{contrast}``.
    reason : str
        Where the limits come from.
    """

    measure: str
    low: float
    high: float
    message: str
    reason: str


#: Checks of numbers. A measure that other images than the reference have is checked in each of them.
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
        "Measured by studies/qc_checks.py.",
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
        "Measured by studies/qc_checks.py.",
    ),
}  # fmt: skip
#: Checks of other kinds, by what passes.
OTHER_CHECKS = {
    "contrast": "White matter, gray matter and fluid are as bright as in the contrast of the name.",
    "contrast_agent": "No image has ce- in its name or ContrastBolusIngredient in its sidecar.",
    "orientation": "The header states where the image lies; qform and sform agree to half a voxel.",
    TRAINED: "Volumes lie within those that the model was trained on, as its card tells.",
}
#: Checks of T1w images alone: in other contrasts fluid or lesions are bright.
_T1W = ("bright",)


def run_checks(
    row: Mapping[str, Any],
    images: Mapping[str, Path],
    trained: Mapping[str, tuple[float, float]] | None = None,
    files: Sequence[Path] = (),
    orientation: str | None = None,
) -> dict[str, str]:
    """Run all checks on a session.

    Parameters
    ----------
    row : mapping
        Its row of the cohort's table (:func:`bids_stroke.cohort.table.session_row`).
    images : mapping of str to Path
        Raw images by contrast, the reference first.
    trained : mapping, optional
        The card's ``trained_range``: column to lowest and highest value.
    files : sequence of Path, optional
        All images, masks and maps of the user, whose orientation is checked; default ``images``.
    orientation : {"RAS", "LAS"}, optional
        That which was assumed of files that state none.

    Returns
    -------
    dict of str to str
        Checks that it failed, and a sentence on each image or measure that fails it.
    """
    messages = {
        **_numbers(row, tuple(images)),
        "contrast": list(_contrasts(row)),
        "contrast_agent": [text for path in images.values() if (text := _contrast_agent(path))],
        "orientation": [
            text
            for path in files or images.values()
            if (text := headers.orientation_warning(path, orientation))
        ],
        TRAINED: _untrained(row, trained or {}),
    }
    return {name: " ".join(sentences) for name, sentences in messages.items() if sentences}


def _numbers(row: Mapping[str, Any], contrasts: Sequence[str]) -> dict[str, list[str]]:
    """Checks of :data:`bids_stroke.qc.checks.CHECKS`, and a sentence on each image that fails one."""
    row, reference = {**row, **_of_lesion(row)}, row["reference"]
    failed: dict[str, list[str]] = {name: [] for name in CHECKS}
    for name, check in CHECKS.items():
        for contrast in contrasts or (reference,):
            if name in _T1W and contrast != "T1w":
                continue
            start = image_quality.column_start(contrast, reference)
            value = row.get(f"{start}{check.measure}", np.nan)
            if np.isfinite(value) and not check.low <= value <= check.high:
                failed[name].append(check.message.format(value=value, contrast=contrast))
    return failed


def _of_lesion(row: Mapping[str, Any]) -> dict[str, float]:
    """Volume of the lesion (ml), and its share of the brain that it was measured in."""
    native, in_template = row["lesion_volume_ml"], row["lesion_volume_mni_ml"]
    if np.isfinite(native) and np.isfinite(row["brain_volume_ml"]):
        share = native / row["brain_volume_ml"]
    else:
        brain = template().brain
        share = in_template / (np.count_nonzero(brain.dataobj) * grid.voxel_volume(brain) / 1000)
    volume = float(native_or_template(native, in_template))
    return {"lesion_volume": volume, "lesion_share_of_brain": share}


def _contrasts(row: Mapping[str, Any]) -> Iterator[str]:
    """A sentence on each image that looks like another contrast than its name says."""
    contrast_of = {pattern: contrast for contrast, pattern in image_quality.CONTRASTS.items()}
    for pattern, contrast in contrast_of.items():
        start = image_quality.column_start(contrast, row["reference"])
        ratios = [row.get(f"{start}{name}_gray_ratio", np.nan) for name in ("white", "fluid")]
        white, fluid = (">" if ratio > 1 else "<" for ratio in ratios)
        if not np.isfinite(ratios).all() or (white, fluid) == pattern:
            continue
        match = contrast_of.get((white, fluid))
        looks = f"looks like a {match}" if match else "looks like none of the known contrasts"
        yield f"The {contrast} {looks}: check that the image is what its name says."


def _contrast_agent(path: Path) -> str | None:
    """A sentence where the name or the sidecar of an image reports contrast agent."""
    if not has_contrast_agent(path):
        return None
    return f"{path} was taken with contrast agent, which models are not trained on."


def _untrained(row: Mapping[str, Any], trained: Mapping[str, tuple[float, float]]) -> list[str]:
    """What lies outside of what the model was trained on."""
    return [
        f"{name.removesuffix('_ml').replace('_', ' ').capitalize()} is {row[name]:.4g}, outside the "
        f"{low:g} to {high:g} that the model was trained on."
        for name, (low, high) in trained.items()
        if np.isfinite(row.get(name, np.nan)) and not low <= row[name] <= high
    ]
