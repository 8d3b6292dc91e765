"""Corrections of lesion masks by raters: their names, sidecars and dataset.

A dataset of corrections contains, for each session, the mask in use
(``sub-01/anat/sub-01_space-T1w_label-L_desc-corrected_mask.nii.gz``) and, in ``sourcedata``, every
version of it, whose ``desc-`` also contains the time (UTC) and the rater.
"""

import json
from collections.abc import Container, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bids_stroke.errors import DatasetError
from bids_stroke.utils.files import PathLike
from bids_stroke.utils.text import date_and_time

from .names import Name, derivative, sidecar_of
from .source_datasets import DESCRIPTION
from .supplied_masks import SuppliedMask, find_lesion_masks

#: Program in the description of a dataset of corrections.
PROGRAM = "bids_stroke-review"
#: ``desc-`` of a corrected mask.
CORRECTED = "corrected"
#: Rater of a mask without sidecar.
UNNAMED = "unnamed rater"
#: Keys of the sidecar of a corrected mask: name of the rater; date and time of saving (ISO 8601); file
#: name, shape and affine of the reference image; model of the session, and checksum of its weights;
#: file name and checksum of the mask that was corrected; program and version; checksum of the
#: uncompressed file of the mask, which a collection checks and removes.
RATER = "Rater"
DATE = "Date"
REFERENCE_IMAGE = "ReferenceImage"
REFERENCE_SHAPE = "ReferenceShape"
REFERENCE_AFFINE = "ReferenceAffine"
MODEL = "Model"
MODEL_IDENTITY = "ModelIdentity"
SOURCE_MASK = "SourceMask"
SOURCE_MASK_SHA256 = "SourceMaskSHA256"
SOFTWARE = "Software"
MASK_SHA256 = "MaskSHA256"
#: Key of the sidecar of a mask in use: versions of the session that are not in use.
OTHER_VERSIONS = "OtherVersions"


@dataclass(frozen=True)
class Version:
    """Version of a corrected mask: its rater, and the date and time of the correction."""

    rater: str
    date: datetime

    def __str__(self) -> str:
        return f"{self.rater} ({self.date:%Y-%m-%d %H:%M})"


@dataclass(frozen=True)
class Correction:
    """Corrected lesion mask of a session.

    ``date`` is in ISO 8601, or None for a mask without sidecar. ``others`` are the versions of the
    session that are not in use. ``reference`` is the file name of the reference image, if the sidecar
    contains it.
    """

    mask: SuppliedMask
    rater: str = UNNAMED
    date: str | None = None
    others: tuple[Version, ...] = ()
    reference: str | None = None

    @property
    def sidecars(self) -> list[Path]:
        """The sidecar of the mask, if it exists."""
        sidecar = sidecar_of(self.mask.path)
        return [sidecar] if sidecar.is_file() else []

    @property
    def of_other_raters(self) -> list[Version]:
        """Versions of other raters, which are not in use."""
        return [version for version in self.others if version.rater != self.rater]

    def describe(self) -> str:
        """Describe who corrected the mask and when, and name the raters of unused versions."""
        text = f"The lesion mask was corrected by {self.rater}"
        text += f" on {date_and_time(self.date)}" if self.date else ""
        if others := self.of_other_raters:
            text += f"; the corrections of {', '.join(map(str, others))} are not used"
        return f"{text} ({self.mask.path})."


def corrected_mask_name(session_name: str, reference: str) -> str:
    """Return the file name of the corrected mask of a session.

    Parameters
    ----------
    session_name : str
    reference : str
        Contrast of the reference image, on whose grid the mask is.

    >>> corrected_mask_name("sub-01_ses-a", "T1w")
    'sub-01_ses-a_space-T1w_label-L_desc-corrected_mask.nii.gz'
    """
    return derivative(session_name, "mask", space=reference, label="L", desc=CORRECTED)


def names_image(reference: str, path: PathLike) -> bool:
    """Return whether the name of a reference image in a sidecar is that of an image of its session.

    >>> names_image("sub-01_run-1_T1w.nii", "sub-01_run-01_T1w.nii.gz")
    True
    >>> names_image("sub-01_run-1_T1w.nii", "sub-01_run-2_T1w.nii")
    False
    """
    return SuppliedMask(Path(reference), None, Name.parse(reference).entities).is_named_after(path)


def is_collected(folder: Path) -> bool:
    """Return whether a folder is a dataset of corrections, by its description."""
    try:
        content = json.loads((folder / DESCRIPTION).read_text("utf-8"))
        return bool(content["GeneratedBy"][0]["Name"] == PROGRAM)
    except (OSError, ValueError, KeyError, TypeError, IndexError):
        return False


def rater_name(text: str) -> str:
    """Return the name of a rater in one line, as for a cell of a table.

    >>> rater_name(" Ada\\tL. ")
    'Ada L.'
    """
    return " ".join(text.split())


def parse_date(text: object) -> datetime:
    """Parse a date and time (ISO 8601); without time zone, it is local time.

    Raises
    ------
    ValueError
        If it is not a date and time.

    Examples
    --------
    >>> parse_date("2026-05-04T10:30:00Z").isoformat()
    '2026-05-04T10:30:00+00:00'
    """
    try:
        return datetime.fromisoformat(str(text)).astimezone(UTC)
    except OverflowError as error:  # the first or last day of the calendar, in another time zone
        raise ValueError(str(error)) from None


def read_sidecar(path: Path) -> dict[str, Any]:
    """Read the sidecar of a corrected mask.

    Raises
    ------
    DatasetError
        If it is not a JSON object, or its rater or date is invalid.
    """
    try:
        content = json.loads(path.read_text("utf-8-sig"))
    except (OSError, ValueError, RecursionError) as error:
        raise DatasetError(f"{path} is not valid JSON ({error}); save the mask again.") from None
    if not isinstance(content, dict):
        raise DatasetError(f"{path} is not a JSON object; save the mask again.")
    rater = content.get(RATER)
    if not isinstance(rater, str) or not rater.strip():
        raise DatasetError(f"{path} has no {RATER}; add the name of the rater.")
    try:
        parse_date(content.get(DATE))
    except ValueError:
        raise DatasetError(
            f"{path} has no valid {DATE} ({content.get(DATE)}); add the date and time in ISO 8601."
        ) from None
    return {**content, RATER: rater_name(rater)}


def version_of(content: Mapping[str, Any]) -> Version:
    """Return the version that the content of a sidecar describes."""
    return Version(rater_name(content[RATER]), parse_date(content[DATE]))


def find_corrections(
    folder: PathLike, exclude: Container[Path] = ()
) -> dict[tuple[str, str | None], Correction]:
    """Find the corrected masks of a dataset.

    Parameters
    ----------
    folder : path
    exclude : container of Path
        Folders that are not searched.

    Returns
    -------
    dict
        (subject, session or None) to :class:`bids_stroke.bids.corrections.Correction`.

    Raises
    ------
    DatasetError
        If the folder contains no corrected mask and is not a dataset of corrections, if a session has
        several corrected masks, or if a sidecar is invalid.
    """
    corrections = {}
    for key, masks in find_lesion_masks(Path(folder), exclude).items():
        corrected = [mask for mask in masks if mask.entities.get("desc") == CORRECTED]
        if len(corrected) > 1:
            names = ", ".join(str(mask.path) for mask in corrected)
            raise DatasetError(f"{names} are corrected masks of one session; keep one of them.")
        if corrected:
            corrections[key] = _read(corrected[0])
    if not corrections and not is_collected(Path(folder)):
        raise DatasetError(
            f"{folder} contains no corrected mask (sub-*/**/anat/*_desc-{CORRECTED}_mask.nii.gz); "
            "check --corrections."
        )
    return corrections


def _read(mask: SuppliedMask) -> Correction:
    """Read the sidecar of a corrected mask, if it exists."""
    path = sidecar_of(mask.path)
    if not path.is_file():
        return Correction(mask)
    content = read_sidecar(path)
    others = content.get(OTHER_VERSIONS, [])
    try:
        versions = tuple(map(version_of, others))
    except (KeyError, TypeError, ValueError, AttributeError):
        raise DatasetError(f"{path} has invalid {OTHER_VERSIONS}; collect the masks again.") from None
    reference = content.get(REFERENCE_IMAGE)
    return Correction(mask, content[RATER], content[DATE], versions, reference and str(reference))
