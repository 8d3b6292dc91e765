"""Scans of head phantoms: pose, field of view, receive field, noise, storage."""

from dataclasses import dataclass
from typing import NamedTuple

import nibabel as nib
import numpy as np
from nibabel.affines import apply_affine, from_matvec
from nibabel.orientations import axcodes2ornt, io_orientation, ornt_transform
from scipy import ndimage
from scipy.spatial.transform import Rotation

from bids_stroke.spatial.masks import at_least_half

from .phantom import CONTRASTS, INTENSITY, Head
from .phantom_grid import CORNERS, enlarge

SNR = 25  # in white matter


class Protocol(NamedTuple):
    """Acquisition: field of view (mm), its center in the head (mm), stored axes, and intensity gain."""

    extent: tuple[int, int, int]
    center: tuple[int, int, int]
    axes: str
    gain: int


PROTOCOLS = {
    "T1w": Protocol((184, 240, 224), (0, -2, -12), "PSR", 900),
    "FLAIR": Protocol((196, 236, 176), (0, -15, 5), "LAS", 550),
}


@dataclass(frozen=True)
class Plan:
    """Geometry of a scan.

    ``shape`` and ``affine`` define the grid (RAS), and ``axes`` the stored orientation. ``coordinates``
    (3, x, y, z * subslices) are the sampling positions in the volumes of a head; each slice is the mean
    of ``subslices``.
    """

    shape: tuple[int, ...]
    affine: np.ndarray
    axes: str
    coordinates: np.ndarray
    subslices: int


def poses(rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Draw the pose of the head in each scan (4 x 4 matrix from head to scanner coordinates).

    The head is rotated by 2 to 8 degrees and shifted by 2 to 10 mm. For the FLAIR, it moves by another
    1 to 3 degrees and 1 to 3 mm.
    """
    first = _rigid(rng, (2, 8), (2, 10))
    return {"T1w": first, "FLAIR": _rigid(rng, (1, 3), (1, 3)) @ first}


def plan(head: Head, contrast: str, pose: np.ndarray, rng: np.random.Generator) -> Plan:
    """Plan a scan of ``head`` in ``pose``: an isotropic T1w aligned with the scanner, or a FLAIR with
    oblique slices that are 3 mm thicker than the pixel size."""
    protocol = PROTOCOLS[contrast]
    oblique = contrast == "FLAIR"
    spacing = head.resolution + np.array([0, 0, 3 * oblique])
    angles = rng.normal((-8, 0, 0), 2) if oblique else np.zeros(3)
    matrix = Rotation.from_euler("xyz", angles, degrees=True).as_matrix() * spacing
    shape = np.ceil(np.array(protocol.extent) / spacing).astype(int)
    center = apply_affine(pose, protocol.center) + rng.uniform(-3, 3, 3)
    affine = from_matvec(matrix, center - matrix @ ((shape - 1) / 2))
    subslices = round(spacing[2] / head.resolution)
    # The map is smooth: every fourth voxel is mapped, and coordinates are interpolated.
    fine = shape * (1, 1, subslices)
    axes = (np.linspace(0, size - 1, size // 4 + 2) for size in fine)
    voxels = np.stack(np.meshgrid(*axes, indexing="ij"), -1)
    voxels[..., 2] = (voxels[..., 2] + 0.5) / subslices - 0.5
    points = head.warp(apply_affine(np.linalg.inv(pose) @ affine, voxels))
    sparse = (points - CORNERS[0]) / head.resolution
    coordinates = np.stack([enlarge(sparse[..., axis], fine) for axis in range(3)])
    return Plan(tuple(map(int, shape)), affine, protocol.axes, coordinates, subslices)


def scan(head: Head, contrast: str, plan: Plan, rng: np.random.Generator) -> nib.Nifti1Image:
    """Scan ``head`` with receive field and Rician noise, stored as int16."""
    signal = _sample(head, contrast, plan)
    field = ndimage.zoom(rng.uniform(-0.25, 0.25, (4, 4, 4)), 3, order=3)
    signal *= np.exp(enlarge(field, plan.shape))
    sigma = INTENSITY["wm"][CONTRASTS.index(contrast)] / SNR
    noise = sigma * rng.standard_normal((2, *plan.shape), dtype=np.float32)
    signal = np.hypot(signal + noise[0], noise[1])
    gain = PROTOCOLS[contrast].gain * rng.uniform(0.85, 1.15)
    return _store(np.round(gain * signal).astype(np.int16), plan)


def scan_head(
    head: Head, rng: np.random.Generator
) -> tuple[dict[str, nib.Nifti1Image], dict[str, nib.Nifti1Image]]:
    """Scan a head in every contrast.

    Returns
    -------
    scans, masks : dict of nib.Nifti1Image
        Scans by contrast, and the masks ``lesion`` and ``brain`` on the grid of the T1w.
    """
    drawn = poses(rng)
    plans = {contrast: plan(head, contrast, pose, rng) for contrast, pose in drawn.items()}
    scans = {contrast: scan(head, contrast, planned, rng) for contrast, planned in plans.items()}
    masks = {name: truth(head, name, plans["T1w"]) for name in ("lesion", "brain")}
    return scans, masks


def truth(head: Head, name: str, plan: Plan) -> nib.Nifti1Image:
    """Return the true mask of "lesion" or "brain" on the grid of a scan: fractions of at least 0.5."""
    return _store(at_least_half(_sample(head, name, plan)).astype(np.uint8), plan)


def _rigid(
    rng: np.random.Generator, degrees: tuple[float, float], shift: tuple[float, float]
) -> np.ndarray:
    """Draw a rotation about the origin and a translation, each within its range."""
    rotation, translation = rng.normal(size=(2, 3))
    rotation *= np.deg2rad(rng.uniform(*degrees)) / np.linalg.norm(rotation)
    translation *= rng.uniform(*shift) / np.linalg.norm(translation)
    return from_matvec(Rotation.from_rotvec(rotation).as_matrix(), translation)


def _sample(head: Head, name: str, plan: Plan) -> np.ndarray:
    """Interpolate a volume of ``head`` on the grid of a scan."""
    volume = head.volumes[name]
    values = ndimage.map_coordinates(volume, plan.coordinates, np.float32, order=1)
    return values.reshape(*plan.shape, plan.subslices).mean(-1)


def _store(data: np.ndarray, plan: Plan) -> nib.Nifti1Image:
    stored = ornt_transform(io_orientation(plan.affine), axcodes2ornt(plan.axes))
    img = nib.Nifti1Image(data, plan.affine).as_reoriented(stored)
    img.set_sform(img.affine, 1)
    img.set_qform(img.affine, 1)
    img.header.set_xyzt_units("mm")
    return img
