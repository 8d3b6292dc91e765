"""Patients on the grid of a network, as archives of arrays."""

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
    """A patient on a network's grid: ``image`` (channels, x, y, z) float16, ``label`` and ``mask``
    (x, y, z) bool."""

    image: np.ndarray
    label: np.ndarray
    mask: np.ndarray


def arrays(
    patient: Patient, contrasts: Sequence[str], space: str, spacing: Sequence[float], folder: Path
) -> Path:
    """Bring a patient to a network's grid, once.

    Parameters
    ----------
    patient : Patient
    contrasts : sequence of str
        Those of the network, in order.
    space : str
        That of the network, as in a card.
    spacing : sequence of float
        mm.
    folder : Path
        Receives the archive.

    Returns
    -------
    Path
        Of an uncompressed archive of :class:`bids_stroke.training.patients.arrays.Volumes`.
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
    """Read an archive of :func:`bids_stroke.training.patients.arrays.arrays`."""
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
