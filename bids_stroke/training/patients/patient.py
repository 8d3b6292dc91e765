"""A patient's session whose scans are prepared for training."""

from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import nibabel as nib

from bids_stroke.spatial import image


@dataclass(frozen=True)
class Patient:
    """A prepared session.

    ``folder`` holds the bias-corrected ``contrasts`` and the masks ``brain`` and ``lesion``
    (``NAME.nii.gz``), all on one grid in RAS order; ``aligned`` tells whether it is in the template's
    space, and ``key`` changes with the files that it was made of.
    """

    dataset: str
    subject: str
    session: str
    site: str
    contrasts: tuple[str, ...]
    lesion_ml: float
    aligned: bool
    key: str
    folder: Path

    @property
    def name(self) -> str:
        """Name of the case, unique among datasets."""
        return self.folder.name

    def load(self, name: str) -> nib.Nifti1Image:
        """Image of a contrast, or a mask."""
        return image.load(self.folder / f"{name}.nii.gz")


#: Patients by part of a split.
Parts: TypeAlias = dict[str, list[Patient]]


def alphanumeric(name: str) -> str:
    """Letters and numbers of a name, as a dataset has it in tables and files."""
    return "".join(letter for letter in name if letter.isalnum()) or "dataset"
