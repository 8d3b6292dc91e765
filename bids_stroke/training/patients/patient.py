"""Session of a patient with scans prepared for training."""

from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import nibabel as nib

from bids_stroke.spatial import image


@dataclass(frozen=True)
class Patient:
    """Prepared session of a patient.

    Attributes
    ----------
    contrasts : tuple of str
        Available contrasts.
    lesion_ml : float
        Lesion volume (ml).
    aligned : bool
        Whether the scans are in template space.
    key : str
        Cache key, which changes with the source files.
    folder : Path
        Folder with the bias-corrected contrasts and the masks ``brain`` and ``lesion``
        (``NAME.nii.gz``), all on one grid in RAS orientation.
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
        """Name of the session, unique among datasets."""
        return self.folder.name

    @property
    def participant(self) -> str:
        """Name of the participant, unique among datasets."""
        return f"{self.dataset}_{self.subject}"

    def load(self, name: str) -> nib.Nifti1Image:
        """Load the image of a contrast, or a mask."""
        return image.load(self.folder / f"{name}.nii.gz")


#: Patients by part of a split.
Parts: TypeAlias = dict[str, list[Patient]]


def alphanumeric(name: str) -> str:
    """Return the letters and digits of a dataset name, for tables and file names."""
    return "".join(letter for letter in name if letter.isalnum()) or "dataset"
