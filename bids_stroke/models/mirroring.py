"""Mirrored channels: each image reflected about the mid-sagittal plane of the head.

The mid-sagittal plane is the plane x = 0 of the symmetric template, mapped to the head by an affine
transform. With an image and its mirror image, a network can compare each location with the homologous
location in the opposite hemisphere.
"""

import logging
from tempfile import TemporaryDirectory

import nibabel as nib
import numpy as np
import torch
from torch.nn import functional

from bids_stroke.spatial import grid, image, linear_registration, transforms
from bids_stroke.spatial.templates import template

LOG = logging.getLogger("bids_stroke")
#: Smallest accepted Dice between the aligned brain mask and the template's brain mask.
MIN_OVERLAP = 0.8
#: Accepted scale factors of a head along any direction.
STRETCH_RANGE = (0.65, 1.6)
_FLIP_X = np.diag([-1.0, 1, 1, 1])


def align(img: nib.Nifti1Image, brain: nib.Nifti1Image) -> np.ndarray | None:
    """Align a head with the symmetric template by an affine transform.

    Parameters
    ----------
    img, brain : nib.Nifti1Image
        Image and its brain mask.

    Returns
    -------
    ndarray, (4, 4), or None
        Affine from the coordinates of the head to those of the template (RAS, mm). None, with a
        warning, if the Dice of the brain masks is below :data:`MIN_OVERLAP` or a scale factor is
        outside :data:`STRETCH_RANGE`.
    """
    with TemporaryDirectory() as folder:
        forward, backward = linear_registration.affine(img, brain, folder)
        # Points are mapped by the inverse of the transform of images.
        matrix = transforms.point_matrix(backward)
        target = grid.regrid(template().brain, linear_registration.AFFINE_SPACING, order=0)
        mask = image.like(np.asanyarray(brain.dataobj) > 0, brain, np.float32)
        moved = transforms.apply(mask, target, [forward], "mask").get_fdata() > 0
    inside = np.asanyarray(target.dataobj) > 0
    overlap = 2 * np.count_nonzero(moved & inside) / (moved.sum() + inside.sum())
    stretch = np.linalg.svd(matrix[:3, :3], compute_uv=False)
    if overlap < MIN_OVERLAP or stretch.min() < STRETCH_RANGE[0] or stretch.max() > STRETCH_RANGE[1]:
        LOG.warning(
            "The head could not be aligned with the template (Dice of the brain masks %.2f, scale %.2f "
            "to %.2f); the model runs without mirrored channels. Check the brain mask and the "
            "orientation.",
            overlap,
            stretch.min(),
            stretch.max(),
        )
        return None
    return matrix


def append_mirrored(channels: np.ndarray, to_template: np.ndarray | None) -> np.ndarray:
    """Append the mirrored channels.

    Parameters
    ----------
    channels : ndarray, (channels, x, y, z), float32
    to_template : ndarray, (4, 4), or None
        Affine from voxels to coordinates of the symmetric template (mm); if None, zeros are appended.

    Returns
    -------
    ndarray, (2 channels, x, y, z), float32
    """
    mirrored = np.zeros_like(channels)
    if to_template is not None:
        mirrored = reflect(torch.from_numpy(channels), reflection(to_template)).numpy()
    return np.concatenate([channels, mirrored])


def reflection(to_template: np.ndarray) -> np.ndarray:
    """Return the reflection about the mid-sagittal plane in voxel coordinates.

    Parameters
    ----------
    to_template : ndarray, (4, 4)
        Affine from voxels to coordinates of the symmetric template (mm).

    Returns
    -------
    ndarray, (4, 4)
        Affine from voxels to voxels, which is its own inverse.

    Examples
    --------
    >>> centered = np.eye(4)
    >>> centered[0, 3] = -10
    >>> reflection(centered)[0].tolist()
    [-1.0, 0.0, 0.0, 20.0]
    """
    return np.linalg.inv(to_template) @ _FLIP_X @ to_template


def reflect(channels: torch.Tensor, across: np.ndarray) -> torch.Tensor:
    """Reflect images with trilinear interpolation.

    Parameters
    ----------
    channels : float tensor, (channels, x, y, z)
        Zero outside the brain.
    across : ndarray, (4, 4)
        Reflection in voxel coordinates (:func:`reflection`).

    Returns
    -------
    float tensor, (channels, x, y, z)
        Zero where the reflected location is outside the volume.
    """
    shape = channels.shape[1:]
    # Coordinates of grid_sample: -1 and 1 are the centers of the outer voxels, last axis first.
    half = (np.array(shape) - 1) / 2
    to_voxels = np.diag([*half, 1.0])
    to_voxels[:3, 3] = half
    theta = (np.linalg.inv(to_voxels) @ across @ to_voxels)[:3]
    theta = theta[::-1][:, [2, 1, 0, 3]]
    grid = functional.affine_grid(
        torch.from_numpy(theta.copy()).to(channels)[None], [1, 1, *shape], align_corners=True
    )
    return functional.grid_sample(channels[None], grid, align_corners=True)[0]
