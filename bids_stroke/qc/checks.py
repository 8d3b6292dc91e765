"""QC checks that flag a session after a successful run.

A session that fails a check keeps its outputs. The failed check is reported in the log, the participant
report, the tables (``qc_flags``) and the run summary. With ``--strict``, it fails the session.
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

TRAINED_RANGE = "trained_range"


class Check(NamedTuple):
    """Accepted range of a measure.

    Attributes
    ----------
    measure : str
        Column of the group table, without the contrast prefix of non-reference images.
    low, high : float
        Lowest and highest accepted value.
    message : str
        Message about a session that fails the check, with ``{value}`` and ``{contrast}``.
    reason : str
        Justification of the limits.
    """

    measure: str
    low: float
    high: float
    message: str
    reason: str


#: Checks of numeric measures. Measures of non-reference images are checked for each image.
CHECKS = {
    "brain_volume": Check(
        "brain_volume_ml", 900, 2000,
        "The brain mask has {value:.0f} ml: check that it covers the entire brain and nothing else.",
        "Adults have an intracranial volume of 950 to 1850 ml; brain extraction itself fails below 600 "
        "and above 2400.",
    ),
    "field_of_view": Check(
        "cut_area_cm2", 0, 20,
        "The field of view cuts the brain ({value:.0f} cm²): volumes and loads miss the part outside.",
        "A section of the brainstem or spinal cord has less than 10 cm², one of the brain more.",
    ),
    "template_overlap": Check(
        "template_brain_dice", 0.9, 1,
        "The Dice coefficient of the normalized and the template brain is only {value:.2f}: check the "
        "alignment; loads, regions and sides may be wrong.",
        "Heads with a visually confirmed alignment have 0.95 or more.",
    ),
    "agreement": Check(
        "similarity", 1.04, 2,
        "The {contrast} has a low similarity with the reference image ({value:.3f}): check that they "
        "show the same head and are aligned.",
        "Measured by studies/qc_checks.py.",
    ),
    "lesion_share": Check(
        "lesion_share_of_brain", 0, 0.25,
        "The lesion occupies {value:.0%} of the brain: check that it is a lesion.",
        "The largest of 1138 public stroke lesions has 376 ml, a fifth of the template brain.",
    ),
    "lesion_outside": Check(
        "outside_brain_share", 0, 0.2,
        "{value:.0%} of the lesion is outside the template brain: check the mask, the image and their "
        "alignment.",
        "Normalization errors at the cortex cause less than a tenth.",
    ),
    "no_lesion": Check(
        "lesion_volume", 1e-6, np.inf,
        "The lesion mask is empty: check whether a lesion was missed.",
        "Stroke patients are expected to have a lesion; models miss the smallest lesions.",
    ),
    "bright": Check(
        "bright_ratio", 0, 1.6,
        "Parts of the {contrast} are {value:.1f} times as bright as white matter: check for contrast "
        "agent.",
        "Measured by studies/qc_checks.py.",
    ),
}  # fmt: skip
#: Other checks, with the condition that passes.
OTHER_CHECKS = {
    "contrast": "The relative intensities of white matter, gray matter and CSF match the contrast.",
    "contrast_agent": "No image has ce- in its name or ContrastBolusIngredient in its sidecar.",
    "orientation": "The header defines the orientation; qform and sform agree to half a voxel.",
    TRAINED_RANGE: "Volumes are within the range of the training data, as stated in the model card.",
}
#: Checks of T1w images only: in other contrasts, CSF or lesions are bright.
_T1W = ("bright",)


def run_checks(
    row: Mapping[str, Any],
    images: Mapping[str, Path],
    trained_range: Mapping[str, tuple[float, float]] | None = None,
    files: Sequence[Path] = (),
    orientation: str | None = None,
) -> dict[str, str]:
    """Run all QC checks on a session.

    Parameters
    ----------
    row : mapping
        Row of the session in the group table (:func:`bids_stroke.cohort.table.session_row`).
    images : mapping of str to Path
        Raw images by contrast; the reference image first.
    trained_range : mapping, optional
        ``trained_range`` of the model card: lowest and highest value by column.
    files : sequence of Path, optional
        All input images, masks and maps; their orientation is checked. Default: ``images``.
    orientation : {"RAS", "LAS"}, optional
        Orientation assumed for files whose header does not define one.

    Returns
    -------
    dict of str to str
        Message for each failed check.
    """
    messages = {
        **_numeric_checks(row, tuple(images)),
        "contrast": list(_contrast_messages(row)),
        "contrast_agent": [text for path in images.values() if (text := _contrast_agent_message(path))],
        "orientation": [
            text
            for path in files or images.values()
            if (text := headers.orientation_warning(path, orientation))
        ],
        TRAINED_RANGE: _outside_training_range(row, trained_range or {}),
    }
    return {name: " ".join(sentences) for name, sentences in messages.items() if sentences}


def _numeric_checks(row: Mapping[str, Any], contrasts: Sequence[str]) -> dict[str, list[str]]:
    """Run :data:`bids_stroke.qc.checks.CHECKS` and return the messages of failed checks."""
    row, reference = {**row, **_lesion_measures(row)}, row["reference"]
    failed: dict[str, list[str]] = {name: [] for name in CHECKS}
    for name, check in CHECKS.items():
        for contrast in contrasts or (reference,):
            if name in _T1W and contrast != "T1w":
                continue
            prefix = image_quality.column_prefix(contrast, reference)
            value = row.get(f"{prefix}{check.measure}", np.nan)
            if np.isfinite(value) and not check.low <= value <= check.high:
                failed[name].append(check.message.format(value=value, contrast=contrast))
    return failed


def _lesion_measures(row: Mapping[str, Any]) -> dict[str, float]:
    """Return the lesion volume (ml) and its share of the brain, native or in the template."""
    native, in_template = row["lesion_volume_ml"], row["lesion_volume_mni_ml"]
    if np.isfinite(native) and np.isfinite(row["brain_volume_ml"]):
        share = native / row["brain_volume_ml"]
    else:
        brain = template().brain
        share = in_template / (np.count_nonzero(brain.dataobj) * grid.voxel_volume(brain) / 1000)
    volume = float(native_or_template(native, in_template))
    return {"lesion_volume": volume, "lesion_share_of_brain": share}


def _contrast_messages(row: Mapping[str, Any]) -> Iterator[str]:
    """Yield a message for each image that does not look like the contrast in its name."""
    contrast_of = {pattern: contrast for contrast, pattern in image_quality.CONTRASTS.items()}
    for pattern, contrast in contrast_of.items():
        prefix = image_quality.column_prefix(contrast, row["reference"])
        ratios = [row.get(f"{prefix}{name}_gray_ratio", np.nan) for name in ("white", "fluid")]
        white, fluid = (">" if ratio > 1 else "<" for ratio in ratios)
        if not np.isfinite(ratios).all() or (white, fluid) == pattern:
            continue
        match = contrast_of.get((white, fluid))
        appearance = f"looks like a {match}" if match else "looks like none of T1w, FLAIR and T2w"
        yield f"The {contrast} {appearance}: check that the file name states the correct contrast."


def _contrast_agent_message(path: Path) -> str | None:
    """Return a message if the name or the sidecar of an image reports contrast agent."""
    if not has_contrast_agent(path):
        return None
    return f"{path} was acquired with contrast agent; the models were not trained on such images."


def _outside_training_range(
    row: Mapping[str, Any], trained_range: Mapping[str, tuple[float, float]]
) -> list[str]:
    """List the volumes outside the range of the training data."""
    return [
        f"{name.removesuffix('_ml').replace('_', ' ').capitalize()} is {row[name]:.4g}, outside the "
        f"range of the training data ({low:g} to {high:g})."
        for name, (low, high) in trained_range.items()
        if np.isfinite(row.get(name, np.nan)) and not low <= row[name] <= high
    ]
