"""Midpoint space of several scans of a head: rigid registration that favors none of the scans.

Each scan is moved, and each is interpolated once, so that the order of the scans has no effect (Reuter
et al., NeuroImage 2012). Maps are matrices (4, 4) of points (RAS, mm).
"""

from collections.abc import Iterable, Sequence
from itertools import accumulate
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import nibabel as nib
import numpy as np
from nibabel.affines import apply_affine, from_matvec
from scipy import linalg

from . import grid, transforms
from .linear_registration import MARGIN_MM, metric_region, rigid

#: Voxel size (mm) of the grid of the midpoint space.
SPACING_MM = 1.0
_ITERATIONS = 20
_TOLERANCE = 1e-10


class Scan(NamedTuple):
    """Image of a head, its brain mask and its lesion mask, on the same grid."""

    img: nib.Nifti1Image
    brain: nib.Nifti1Image
    lesion: nib.Nifti1Image


class PairRegistration(NamedTuple):
    """Registration of two scans: the map of points from the second to the first, and the mean distance
    (mm) of the points of the second brain between the maps of the two directions."""

    matrix: np.ndarray
    disagreement_mm: float


def register_pair(first: Scan, second: Scan) -> PairRegistration:
    """Register two scans rigidly in both directions.

    The cost is computed in the brains and a margin around them, without the lesions. The result is the
    mean of the two directions, in the logarithms of the maps: swapped scans give the inverse map.

    Parameters
    ----------
    first, second : Scan
    """
    forward, backward = _register(first, second), _register(second, first)
    brain = np.argwhere(np.asanyarray(second.brain.dataobj) > 0)
    points = apply_affine(second.brain.affine, brain)
    shifts = apply_affine(forward, points) - apply_affine(np.linalg.inv(backward), points)
    disagreement = float(np.linalg.norm(shifts, axis=1).mean())
    return PairRegistration(linalg.expm((_log(forward) - _log(backward)) / 2), disagreement)


def _register(fixed: Scan, moving: Scan) -> np.ndarray:
    """Register a scan to another; return the map of points from ``moving`` to ``fixed``."""
    with TemporaryDirectory() as folder:
        _, fixed_to_moving = rigid(
            moving.img,
            fixed.img,
            fixed.brain,
            folder,
            fixed_lesion=fixed.lesion,
            moving_mask=metric_region(moving.brain, moving.lesion),
        )
        return transforms.point_matrix(fixed_to_moving)


def _log(matrix: np.ndarray) -> np.ndarray:
    """Return the logarithm of a rigid map."""
    return np.real(linalg.logm(matrix))


def midpoint_maps(steps: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Return the map of points from each scan to the midpoint space.

    The midpoint space is the mean of the spaces of the scans: the logarithms of the maps sum to zero.
    For two scans, it is halfway between them.

    Parameters
    ----------
    steps : sequence of ndarray, (4, 4)
        Map of points from each scan but the first to the previous scan.

    Examples
    --------
    >>> maps = midpoint_maps([from_matvec(np.eye(3), (0, 0, 6))])
    >>> [matrix[:3, 3].round(6).tolist() for matrix in maps]
    [[0.0, 0.0, -3.0], [0.0, 0.0, 3.0]]
    """
    to_first = list(accumulate([np.eye(4), *steps], np.matmul))
    mean = np.eye(4)
    for _ in range(_ITERATIONS):
        maps = [np.linalg.inv(mean) @ matrix for matrix in to_first]
        residual = np.mean([_log(matrix) for matrix in maps], axis=0)
        if np.abs(residual).max() < _TOLERANCE:
            break
        mean = mean @ linalg.expm(residual)
    return maps


def midpoint_grid(
    brains: Iterable[nib.Nifti1Image], maps: Sequence[np.ndarray], spacing: float = SPACING_MM
) -> nib.Nifti1Image:
    """Return the grid of the midpoint space: isotropic voxels around the brains of all scans.

    Parameters
    ----------
    brains : iterable of nib.Nifti1Image
        Brain mask of each scan.
    maps : sequence of ndarray, (4, 4)
        Map of points from each scan to the midpoint space.
    spacing : float
        Voxel size (mm).
    """
    corners = [
        _corners(brain, matrix @ brain.affine) for brain, matrix in zip(brains, maps, strict=True)
    ]
    low = np.floor(np.min(corners, axis=(0, 1)) - MARGIN_MM)
    high = np.ceil(np.max(corners, axis=(0, 1)) + MARGIN_MM)
    shape = np.ceil((high - low) / spacing).astype(int) + 1
    return grid.blank(shape, from_matvec(spacing * np.eye(3), low))


def _corners(brain: nib.Nifti1Image, affine: np.ndarray) -> np.ndarray:
    """Return the lowest and the highest coordinates of the voxels of a brain through an affine."""
    points = apply_affine(affine, np.argwhere(np.asanyarray(brain.dataobj) > 0))
    return np.array([points.min(0), points.max(0)])


def write_maps(matrix: np.ndarray, to_midpoint: Path, from_midpoint: Path) -> None:
    """Write the transforms of images of a scan to the midpoint space and back.

    Parameters
    ----------
    matrix : ndarray, (4, 4)
        Map of points from the scan to the midpoint space.
    to_midpoint, from_midpoint : Path
    """
    transforms.write_matrix(np.linalg.inv(matrix), to_midpoint)
    transforms.write_matrix(matrix, from_midpoint)
