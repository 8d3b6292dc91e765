"""Image grids: comparison, bounding boxes and resampling."""

from collections.abc import Iterable, Sequence

import nibabel as nib
import numpy as np
from nibabel.affines import apply_affine, from_matvec, voxel_sizes
from numpy.typing import ArrayLike
from scipy import ndimage

from bids_stroke.errors import ImageError
from bids_stroke.utils.files import PathLike

from .headers import (
    FIT_TOLERANCE_VOXELS,
    SAME_GRID_TOLERANCE_VOXELS,
    format_shape,
    largest_distance,
    smallest_side,
)
from .image import conform, like

#: Largest distance (voxels) between voxels that coincide, so that interpolation has no effect.
_SAME_LATTICE = 1e-3


def same_grid(
    img: nib.Nifti1Image, reference: nib.Nifti1Image, voxels: float = SAME_GRID_TOLERANCE_VOXELS
) -> bool:
    """Return whether two images have the same grid.

    The shapes of the first three axes must be equal, and the distance between voxels with the same
    indices must be less than ``voxels`` times the smallest voxel size of ``reference``. Axes are
    compared in stored order: conform images with different axis orders first
    (:func:`bids_stroke.spatial.image.conform`).

    Examples
    --------
    >>> img, shifted = blank((4, 4, 4), np.eye(4)), np.eye(4)
    >>> shifted[0, 3] = 0.05  # mm, with voxels of 1 mm
    >>> same_grid(img, blank((4, 4, 4), shifted)), same_grid(img, blank((4, 4, 5), np.eye(4)))
    (True, False)
    """
    if img.shape[:3] != reference.shape[:3]:
        return False
    distance = largest_distance(img.shape, img.affine, reference.affine)
    return distance < voxels * smallest_side(reference.affine)


def fit_to_grid(
    mask: nib.Nifti1Image, img: nib.Nifti1Image, name: PathLike = "the image"
) -> nib.Nifti1Image:
    """Assign the grid of ``img`` to a mask whose grid differs by less than half a voxel
    (:func:`bids_stroke.spatial.grid.same_grid`).

    Parameters
    ----------
    mask, img : nib.Nifti1Image, (x, y, z)
        Images in any axis order.
    name : str
        Name of ``img`` in error messages.

    Returns
    -------
    nib.Nifti1Image
        The mask in RAS order.

    Raises
    ------
    ImageError
        If the grids differ.
    """
    mask, img = conform(mask), conform(img)
    if same_grid(mask, img, FIT_TOLERANCE_VOXELS):
        return like(np.asanyarray(mask.dataobj), img)
    if mask.shape[:3] == img.shape[:3]:
        distance = largest_distance(img.shape, mask.affine, img.affine)
        difference = f"their corners are up to {distance:.1f} mm apart"
    else:
        difference = " versus ".join(
            f"{format_shape(i.shape[:3])} voxels of {format_shape(voxel_sizes(i.affine))} mm"
            for i in (mask, img)
        )
    raise ImageError(
        f"{mask.get_filename()} is not on the grid of {name} ({difference}); provide the mask of this "
        "image, or resample it."
    )


def data_on_grid(img: nib.Nifti1Image, mask_img: nib.Nifti1Image, name: str) -> np.ndarray:
    """Return the array of an image after checking that the image is on the grid of the lesion mask.

    Both are in the same axis order; ``name`` is the name of the image in error messages.

    Raises
    ------
    ImageError
        If the grids differ.
    """
    if not same_grid(img, mask_img):
        raise ImageError(
            f"The {name} (shape {img.shape}) is not on the grid of the lesion mask "
            f"(shape {mask_img.shape}); resample it first."
        )
    return np.asanyarray(img.dataobj)


def blank(shape: Sequence[int], affine: np.ndarray) -> nib.Nifti1Image:
    """Return an image of zeros that represents a grid; its voxels take no memory.

    Parameters
    ----------
    shape : sequence of int
    affine : ndarray, (4, 4)
        Affine from voxels to RAS coordinates (mm).
    """
    return nib.Nifti1Image(np.broadcast_to(np.uint8(0), shape), affine)


def bounding_box(mask: np.ndarray, margin: int | Sequence[int] | np.ndarray = 0) -> tuple[slice, ...]:
    """Return the slices that enclose the true voxels of a mask and a margin, within the volume.

    Parameters
    ----------
    mask : ndarray of bool, any number of axes
        Mask with at least one true voxel.
    margin : int, or sequence of int
        Voxels added on both sides of all axes, or of each axis.

    Examples
    --------
    >>> mask = np.zeros((5, 5), bool)
    >>> mask[1, 2:4] = True
    >>> bounding_box(mask)
    (slice(1, 2, None), slice(2, 4, None))
    >>> bounding_box(mask, margin=2)
    (slice(0, 4, None), slice(0, 5, None))
    """
    margins = np.broadcast_to(margin, mask.ndim)
    box = []
    for axis, side in enumerate(mask.shape):
        others = tuple(other for other in range(mask.ndim) if other != axis)
        inside = np.flatnonzero(mask.any(axis=others))
        low, high = inside[0] - margins[axis], inside[-1] + 1 + margins[axis]
        box.append(slice(max(int(low), 0), min(int(high), side)))
    return tuple(box)


def resample(
    img: nib.Nifti1Image, reference: nib.Nifti1Image, order: int = 1, cval: float = 0.0
) -> nib.Nifti1Image:
    """Resample ``img`` to the grid of ``reference`` (identity in world space).

    Between the centers and the faces of the outermost voxels, the nearest value is used.

    Parameters
    ----------
    img, reference : nib.Nifti1Image
        Images on any grids.
    order : int
        Spline order; 0 for labels.
    cval : float
        Value outside the field of view.

    Returns
    -------
    nib.Nifti1Image
        Image of type float32; for order 0, of the type of ``img``.
    """
    mapping = np.linalg.inv(img.affine) @ reference.affine
    data = np.asanyarray(img.dataobj)
    data = data if order == 0 else data.astype(np.float32)
    offset = np.round(mapping[:3, 3]).astype(int)
    if largest_distance(reference.shape, mapping, from_matvec(np.eye(3), offset)) < _SAME_LATTICE:
        return like(_shift(data, offset, reference.shape[:3], cval), reference)
    moved = ndimage.affine_transform(
        data,
        mapping[:3, :3],
        mapping[:3, 3],
        output_shape=reference.shape[:3],
        order=order,
        mode="nearest",
        prefilter=order > 1,
    )
    moved[~_covered(mapping, data.shape, moved.shape)] = cval
    return like(moved, reference)


def _shift(data: np.ndarray, offset: Iterable[int], shape: tuple[int, ...], cval: float) -> np.ndarray:
    """Copy an array to another extent of the same lattice, which starts at the voxel ``offset``."""
    shifted = np.full(shape, cval, data.dtype)
    source, target = [], []
    for start, size, side in zip(offset, shape, data.shape, strict=True):
        first = max(start, 0)
        last = max(min(start + size, side), first)
        source.append(slice(first, last))
        target.append(slice(first - start, last - start))
    shifted[tuple(target)] = data[tuple(source)]
    return shifted


def _covered(mapping: np.ndarray, shape: tuple[int, ...], grid_shape: tuple[int, ...]) -> np.ndarray:
    """Mark the voxels of a grid whose centers lie in the field of view of an image."""
    covered = np.ones(grid_shape, bool)
    indices = np.ogrid[tuple(slice(size) for size in grid_shape)]
    for (*steps, start), size in zip(mapping[:3], shape[:3], strict=True):
        position = start + sum(step * index for step, index in zip(steps, indices, strict=True))
        # The tolerance keeps the outermost planes in spite of rounding errors.
        covered &= np.abs(position - (size - 1) / 2) <= size / 2 + 1e-3
    return covered


def regrid(img: nib.Nifti1Image, spacing: ArrayLike, order: int = 1) -> nib.Nifti1Image:
    """Resample ``img`` to ``spacing`` (mm, three values) over the same field of view.

    Images with a finer spacing are smoothed first to avoid aliasing (Gaussian, half the ratio of
    spacings), unless ``order`` is 0.

    Examples
    --------
    >>> coarse = regrid(blank((10, 10, 10), np.eye(4)), spacing=(2, 2, 2.5))
    >>> coarse.shape, coarse.affine[:3, 3].tolist()
    ((5, 5, 4), [0.5, 0.5, 0.75])
    """
    spacing = np.asarray(spacing, float)
    zooms = voxel_sizes(img.affine)
    shape = np.maximum(np.round(np.array(img.shape[:3]) * zooms / spacing), 1).astype(int)
    affine = img.affine.copy()
    affine[:3, :3] *= spacing / zooms
    # Shift the center of the first voxel to keep the corner of the field of view.
    affine[:3, 3] = apply_affine(img.affine, (spacing / zooms - 1) / 2)
    ratio = spacing / zooms
    if order and (ratio > 1.01).any():
        sigma = np.where(ratio > 1.01, (ratio - 1) / 2, 0)
        img = like(ndimage.gaussian_filter(img.get_fdata(dtype=np.float32), sigma), img)
    return resample(img, blank(shape, affine), order)


def voxel_volume(img: nib.Nifti1Image) -> float:
    """Return the volume of one voxel in mm³.

    >>> round(voxel_volume(blank((2, 2, 2), np.diag([1, 1, 3, 1]))), 6)
    3.0
    """
    return float(abs(np.linalg.det(img.affine[:3, :3])))
