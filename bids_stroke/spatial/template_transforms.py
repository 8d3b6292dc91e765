"""Displacement fields between template spaces."""

from collections.abc import Sequence
from itertools import product
from pathlib import Path
from typing import Literal

import nibabel as nib
import numpy as np
from nibabel.affines import apply_affine, from_matvec
from scipy import ndimage

from bids_stroke.data import DATA
from bids_stroke.errors import ImageError, ResourceError, StrokeError

from . import image
from .grid import blank
from .masks import BLOCK, from_fractions, to_fractions
from .template_registration import registered_field
from .templates import TEMPLATE, template_grid


def _transform_path(source: str, target: str) -> Path:
    return DATA / "transforms" / f"from-{source}_to-{target}_mode-image_xfm.nii.gz"


def has_transform(source: str, target: str = TEMPLATE) -> bool:
    """Return whether the package has a transform from one template space to another.

    >>> has_transform("MNI152NLin6Asym"), has_transform("MNI152NLin2009cAsym")
    (True, False)
    """
    return source == target or _transform_path(source, target).exists()


def to_template(img: nib.Nifti1Image, space: str) -> nib.Nifti1Image:
    """Transform an image from a template space to the grid of the output template.

    If there is no transform, the image is only resampled: the MNI spaces differ by a few millimeters.

    Returns
    -------
    nib.Nifti1Image of float32, (x, y, z)
    """
    reference = template_grid()
    field = load_transform(space, TEMPLATE) if has_transform(space) else None
    return image.like(warp([img], reference, field)[0], reference)


def mask_to_template(mask: nib.Nifti1Image, space: str) -> nib.Nifti1Image:
    """Transform a mask from a template space to the grid of the output template, keeping its volume
    (:mod:`bids_stroke.spatial.masks`).

    If there is no transform, the mask is only resampled
    (:func:`bids_stroke.spatial.template_transforms.to_template`).

    Returns
    -------
    nib.Nifti1Image of uint8

    Raises
    ------
    ImageError
        If part of the mask is outside the field of view of the template.
    """
    reference = template_grid()
    _check_inside(mask, reference)
    field = load_transform(space, TEMPLATE) if has_transform(space) else None
    fraction = to_fractions(mask, reference)
    box = _box_around(fraction, reference, field)
    part = blank([side.stop - side.start for side in box], _shifted(reference.affine, box))
    inside = np.zeros(reference.shape, bool)
    inside[box] = from_fractions(warp([fraction], part, field)[0])
    return image.like(inside, reference, np.uint8)


def _check_inside(mask: nib.Nifti1Image, reference: nib.Nifti1Image) -> None:
    """Refuse a mask if more than 1% of it is outside the field of view of the template."""
    points = apply_affine(mask.affine, np.argwhere(np.asanyarray(mask.dataobj) > 0))
    voxels = apply_affine(np.linalg.inv(reference.affine), points)
    inside = ((voxels >= -0.5) & (voxels <= np.array(reference.shape) - 0.5)).all(1)
    if len(points) and inside.mean() < 0.99:
        raise ImageError(
            f"{mask.get_filename()} has {1 - inside.mean():.0%} of its voxels outside the template; "
            "check its header and its space."
        )


def _shifted(affine: np.ndarray, box: Sequence[slice]) -> np.ndarray:
    """Return the affine of a box within a grid."""
    return affine @ from_matvec(np.eye(3), [side.start for side in box])


def _box_around(
    img: nib.Nifti1Image, reference: nib.Nifti1Image, field: nib.Nifti1Image | None
) -> tuple[slice, ...]:
    """Return the box of ``reference``, in whole voxel blocks, that contains the transformed image."""
    corners = np.array(list(product(*((-1, size) for size in img.shape))))
    shift = 0 if field is None else np.abs(field.get_fdata(dtype=np.float32)).max()
    points = apply_affine(img.affine, corners)
    edges = np.array(list(product(*zip(points.min(0) - shift, points.max(0) + shift, strict=True))))
    voxels = apply_affine(np.linalg.inv(reference.affine), edges)
    starts = np.floor(voxels.min(0) / BLOCK).astype(int) * BLOCK
    stops = np.ceil(voxels.max(0)).astype(int) + 1
    starts = np.clip(starts, 0, np.array(reference.shape) - 1)
    return tuple(map(slice, starts, np.clip(stops, starts + 1, reference.shape)))


def load_transform(source: str, target: str) -> nib.Nifti1Image | None:
    """Load the displacement field that transforms images from one template space to another.

    If the package has no such field, the template of ``source`` is registered
    (:func:`bids_stroke.spatial.template_registration.registered_field`).

    Returns
    -------
    nib.Nifti1Image or None
        Field of shape (x, y, z, 3): at each point of ``target``, the displacement (RAS, mm) to the same
        anatomy in ``source``. None if the spaces are the same.

    Raises
    ------
    ResourceError
        If there is no such transform, and it cannot be computed.
    """
    if source == target:
        return None
    path = _transform_path(source, target)
    if path.exists():
        return image.open_image(path)
    if target != TEMPLATE:
        raise ResourceError(f"No transform from {source} to {target} is available.")
    try:
        return registered_field(source)
    except StrokeError as error:
        raise ResourceError(
            f"No transform from {source} to {target} is available ({error}); provide the map in "
            f"{target}."
        ) from None


def warp(
    images: Sequence[nib.Nifti1Image],
    reference: nib.Nifti1Image,
    field: nib.Nifti1Image | None = None,
    order: int = 1,
) -> list[np.ndarray]:
    """Resample images to the grid of ``reference``, through a displacement field.

    Parameters
    ----------
    images : list of nib.Nifti1Image
        Images on any grids; their value outside the grid is 0.
    reference : nib.Nifti1Image
        Image that defines the grid.
    field : nib.Nifti1Image, optional
        Displacement field (:func:`bids_stroke.spatial.template_transforms.load_transform`).
    order : int
        Spline order: 1 for linear interpolation, 0 for labels.

    Returns
    -------
    list of ndarray, float32
    """
    arrays = [img.get_fdata(dtype=np.float32) for img in images]
    moved = [np.zeros(reference.shape[:3], np.float32) for _ in images]
    plane = np.indices((*reference.shape[:2], 1)).reshape(3, -1).T
    for k in range(reference.shape[2]):  # by slice: the coordinates of a volume take 200 MB
        points = source_points(apply_affine(reference.affine, plane + np.array((0, 0, k))), field)
        for array, img, out in zip(arrays, images, moved, strict=True):
            values = sample([array], img.affine, points, mode="constant", order=order)
            out[..., k] = values.reshape(out.shape[:2])
    return moved


def source_points(points: np.ndarray, field: nib.Nifti1Image | None) -> np.ndarray:
    """Map points of the target space to the source space.

    Parameters
    ----------
    points : ndarray, (n, 3)
        RAS coordinates (mm).
    field : nib.Nifti1Image, optional
        Displacement field (:func:`bids_stroke.spatial.template_transforms.load_transform`).

    Returns
    -------
    ndarray, (n, 3)
        RAS coordinates (mm).
    """
    if field is None:
        return points
    shifts = np.moveaxis(field.get_fdata(dtype=np.float32), -1, 0)
    return points + sample(shifts, field.affine, points, mode="nearest").T


def sample(
    arrays: Sequence[np.ndarray] | np.ndarray,
    affine: np.ndarray,
    points: np.ndarray,
    mode: Literal["nearest", "constant"],
    order: int = 1,
) -> np.ndarray:
    """Interpolate arrays on the same grid at points.

    Parameters
    ----------
    arrays : sequence of ndarray, (x, y, z)
    affine : ndarray, (4, 4)
        Affine of the arrays, from voxels to RAS coordinates (mm).
    points : ndarray, (n, 3)
        RAS coordinates (mm).
    mode : {"nearest", "constant"}
        Value outside the grid: that of the nearest voxel, or 0.
    order : int
        Spline order: 1 for linear interpolation, 0 for labels.

    Returns
    -------
    ndarray, (arrays, n)

    Examples
    --------
    >>> ramp = np.array([0.0, 10.0]).reshape(2, 1, 1)
    >>> sample([ramp], np.diag([4, 4, 4, 1]), np.array([[1, 0, 0]]), mode="nearest").tolist()
    [[2.5]]
    """
    voxels = apply_affine(np.linalg.inv(affine), points).T
    return np.stack([ndimage.map_coordinates(a, voxels, order=order, mode=mode) for a in arrays])
