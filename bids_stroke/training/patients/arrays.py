"""Scans of patients on the grid of a network, stored as NumPy archives."""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal, NamedTuple

import numpy as np

from bids_stroke.models import frame
from bids_stroke.utils import files

from .patient import Patient


class Volumes(NamedTuple):
    """Scan of a patient on a network's grid: ``image``, float16 (channels, x, y, z); ``label`` and
    ``mask``, bool (x, y, z)."""

    image: np.ndarray
    label: np.ndarray
    mask: np.ndarray


def arrays(
    patient: Patient, contrasts: Sequence[str], space: str, spacing: Sequence[float], folder: Path
) -> Path:
    """Resample the scans of a patient to a network's grid unless done before.

    Parameters
    ----------
    patient : Patient
    contrasts : sequence of str
        Contrasts of the network, in channel order.
    space : str
        Space of the network, as in a model card.
    spacing : sequence of float
        Voxel size (mm).
    folder : Path
        Output folder for the archive.

    Returns
    -------
    Path
        Uncompressed archive of :class:`bids_stroke.training.patients.arrays.Volumes`.
    """
    grid = {"space": space, "spacing": spacing}
    content = json.dumps([patient.key, list(contrasts), grid])
    path = folder / f"{patient.name}-{hashlib.sha256(content.encode()).hexdigest()[:12]}.npz"
    if path.is_file():
        return path
    volumes = _volumes(patient, contrasts, space, spacing)
    with files.atomic(path) as partial, partial.open("wb") as stream:
        np.savez(stream, **volumes._asdict())
    return path


def read(path: Path) -> Volumes:
    """Read an archive written by :func:`bids_stroke.training.patients.arrays.arrays`."""
    with np.load(path) as archive:
        return Volumes(*(archive[name] for name in Volumes._fields))


def read_array(path: Path, name: Literal["image", "label", "mask"]) -> np.ndarray:
    """Read one array of an archive."""
    with np.load(path) as archive:
        return np.asarray(archive[name])


def _volumes(
    patient: Patient, contrasts: Sequence[str], space: str, spacing: Sequence[float]
) -> Volumes:
    images = {contrast: patient.load(contrast) for contrast in patient.contrasts}
    mask = patient.load("brain")
    with TemporaryDirectory() as transforms:
        if space == frame.NATIVE:
            grid = frame.native(mask, spacing)
        else:
            first = next(iter(images.values()))
            grid = frame.template(first, mask, spacing, None, transforms, patient.aligned)
        return Volumes(
            image=grid.channels(contrasts, images).astype(np.float16),
            label=grid.label(patient.load("lesion")),
            mask=np.asanyarray(grid.mask.dataobj) > 0,
        )
