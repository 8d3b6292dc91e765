"""Masks: binarization, resampling, and fitting to the grid of an image.

:func:`bids_stroke.spatial.masks.binarize` binarizes user-supplied masks and probability maps, and
:func:`bids_stroke.spatial.masks.from_fractions` decides which voxels of a new grid a mask covers.
"""

from fractions import Fraction

import nibabel as nib
import numpy as np
from nibabel.affines import from_matvec
from numpy.typing import NDArray
from scipy import ndimage

from bids_stroke.errors import ImageError
from bids_stroke.utils.files import PathLike

from . import grid, image

#: Smallest probability, or covered fraction of a voxel, that counts as inside.
INSIDE = 0.5
#: Threshold for scaled values, where 0.5 may be stored as 0.49999999.
_THRESHOLD = INSIDE - 1e-6
#: Tolerance for integers, which storage in single precision or with a scale factor rounds.
ROUNDING = 1e-3
#: Largest overshoot beyond 0 and 1 of spline or windowed-sinc interpolation at sharp corners.
OVERSHOOT = 0.4
#: Largest label of a lesion; larger numbers are percentages, gray values or codes.
MAX_LABELS = 20
#: Side (voxels) of the blocks in which a resampled mask keeps its volume.
BLOCK = 4
#: Steps of a low-discrepancy sequence over the voxels of a grid (powers of the plastic number in three
#: dimensions, Roberts 2018), which orders voxels with the same covered fraction.
_SPREAD = 1.2207440846057596 ** -np.arange(1.0, 4.0)


def whole_numbers(data: NDArray) -> NDArray | None:
    """Return the integers in an array without the rounding errors of their storage, or None if the
    array contains other numbers.

    >>> whole_numbers(np.array([0, 1.00000006, 254.99999]))
    array([  0.,   1., 255.])
    >>> whole_numbers(np.array([0, 0.4])) is None
    True
    """
    if np.issubdtype(data.dtype, np.integer):
        return data
    rounded = np.rint(data)
    return rounded if np.allclose(data, rounded, rtol=1e-6, atol=ROUNDING) else None


def binarize(mask_img: nib.Nifti1Image, several_labels: bool = True) -> nib.Nifti1Image:
    """Binarize a user-supplied mask or probability map of a lesion or a brain.

    - Integers above 0 are inside: a single value of any size, or labels up to
      :data:`bids_stroke.spatial.masks.MAX_LABELS`.
    - Fractions from 0 to 1 are probabilities, and those of at least 0.5 are inside. Interpolated
      probabilities may overshoot this range by :data:`bids_stroke.spatial.masks.OVERSHOOT`.

    Comparisons have a tolerance, because scaled values are rounded.

    Parameters
    ----------
    mask_img : nib.Nifti1Image
    several_labels : bool
        Whether to merge several labels; otherwise they are refused.

    Returns
    -------
    nib.Nifti1Image of uint8

    Raises
    ------
    ImageError
        If the image has any other values, such as negative numbers, percentages, gray values, fractions
        that do not reach 0.5, or values above 0 in every voxel.

    Examples
    --------
    >>> for values in ([0, 255, 255], [0, 1, 2], [0.1, 0.5, 0.9]):
    ...     img = nib.Nifti1Image(np.array(values, np.float32).reshape(3, 1, 1), np.eye(4))
    ...     print(np.ravel(binarize(img).dataobj))
    [0 1 1]
    [0 1 1]
    [0 1 1]
    """
    data = np.asanyarray(mask_img.dataobj)
    integers = whole_numbers(data)
    if integers is None or (not integers.any() and data.any()):  # small fractions round to 0
        _check_fractions(data, mask_img)
        inside = data >= _THRESHOLD
    else:
        _check_integers(np.unique(integers), several_labels, mask_img)
        inside = integers > 0
    mask = image.like(inside, mask_img, np.uint8)
    if filename := mask_img.get_filename():
        mask.set_filename(filename)
    return mask


def _check_fractions(data: NDArray, mask_img: nib.Nifti1Image) -> None:
    """Refuse fractions that are not probabilities, or that are all inside or all outside."""
    low, high = float(data.min()), float(data.max())
    if -OVERSHOOT <= low < _THRESHOLD <= high <= 1 + OVERSHOOT:
        return
    if low >= -OVERSHOOT and high < _THRESHOLD:
        problem = "so no voxel reaches 0.5"
    elif low >= _THRESHOLD and high <= 1 + OVERSHOOT:
        problem = "so no voxel is outside"
    else:
        problem = "but probabilities range from 0 to 1"
    raise ImageError(
        f"{mask_img.get_filename()} has values from {low:g} to {high:g}, {problem}; rescale them "
        "(percentages by 1/100, gray values by 1/255), or convert them to a mask of 0 and 1."
    )


def _check_integers(values: NDArray, several_labels: bool, mask_img: nib.Nifti1Image) -> None:
    """Refuse integers (sorted and unique) that are neither a mask nor labels."""
    path = mask_img.get_filename()
    if values[0] < 0:
        raise ImageError(
            f"{path} has the negative value {values[0]:g}, but a mask is 0 outside and 1 inside; "
            "binarize it."
        )
    if values[0] > 0:
        raise ImageError(
            f"{path} has {values[0]:g} as its lowest value, so no voxel is outside, but a mask is 0 "
            "outside; binarize it."
        )
    positive = values[values > 0]
    if len(positive) < 2 or (several_labels and positive[-1] <= MAX_LABELS):
        return
    first = ", ".join(f"{value:g}" for value in positive[:5])
    more = f" and {len(positive) - 5} more up to {positive[-1]:g}" if len(positive) > 5 else ""
    raise ImageError(
        f"{path} has the labels {first}{more}; make a mask of the labels that are inside, or rescale a "
        "probability map to 0 to 1 (percentages by 1/100, gray values by 1/255)."
    )


def at_least_half(fraction: np.ndarray) -> NDArray[np.bool_]:
    """Return the voxels that are at least half inside, for masks of networks and simulations.

    Masks whose volume is measured are resampled with
    :func:`bids_stroke.spatial.masks.from_fractions`, which keeps volumes.
    """
    return fraction >= INSIDE


def to_fractions(mask: nib.Nifti1Image, reference: nib.Nifti1Image) -> nib.Nifti1Image:
    """Prepare a mask for linear interpolation to the grid of ``reference``.

    Linear interpolation of the result at the center of a voxel of ``reference`` gives the fraction of
    this voxel that the mask covers, with the voxels of the mask as boxes. Voxels are split along axes
    where those of ``reference`` are smaller, and averaged where they are larger.

    Parameters
    ----------
    mask : nib.Nifti1Image
        Mask; values above 0 are inside.
    reference : nib.Nifti1Image
        Image of which only the voxel sizes along the axes of the mask are used.

    Returns
    -------
    nib.Nifti1Image of float32
        Image of the bounding box of the mask with a margin of zeros; all voxels outside are zero.
    """
    inside = np.asanyarray(mask.dataobj) > 0
    box = grid.bounding_box(inside) if inside.any() else (slice(0, 1),) * 3
    affine = mask.affine @ from_matvec(np.eye(3), [side.start for side in box])
    data = inside[box].astype(np.float32)
    sizes = np.linalg.norm((np.linalg.inv(mask.affine) @ reference.affine)[:3, :3], axis=1)
    for axis, size in enumerate(sizes):
        parts, width = _parts_and_width(float(size))
        data = np.repeat(data, parts, axis)
        data = np.pad(data, [(width, width) if other == axis else (0, 0) for other in range(3)])
        # Mean over the width; a window of even width extends one voxel further to the lower side.
        data = ndimage.uniform_filter1d(data, width, axis, mode="constant")
        step, start = np.eye(4), np.zeros(3)
        step[axis, axis] = 1 / parts
        start[axis] = (1 / parts - 1) / 2 - (width + (width % 2 == 0) / 2) / parts
        step[:3, 3] = start
        affine = affine @ step
    return nib.Nifti1Image(data, affine)


def _parts_and_width(size: float) -> tuple[int, int]:
    """Return the number of parts into which a voxel is split along an axis, and the number of parts to
    average, for a target voxel that is ``size`` times as long.

    >>> [_parts_and_width(size) for size in (1, 1 / 2, 2 / 3, 0.2, 2)]
    [(1, 1), (2, 1), (3, 2), (5, 1), (1, 2)]
    """
    if size >= 1:
        return 1, max(1, round(size))
    if size < 1 / 3:
        return round(1 / size), 1
    ratio = Fraction(size).limit_denominator(3)
    return ratio.denominator, ratio.numerator


def from_fractions(fraction: np.ndarray) -> NDArray[np.bool_]:
    """Convert the covered fractions of voxels to a mask that keeps the volume.

    All masks whose volume is measured are resampled by this rule. In each block of
    :data:`bids_stroke.spatial.masks.BLOCK` voxels per side, the number of voxels inside is the sum of
    the fractions, and the voxels with the largest fractions are inside; remainders are carried over to
    the next block. Voxels with the same fraction, such as half-covered voxels along a face, are chosen
    evenly over the block, where a threshold would include all of them or none.

    Parameters
    ----------
    fraction : ndarray, (x, y, z)
        Covered fractions, 0 to 1.

    Examples
    --------
    >>> int(from_fractions(np.full((4, 4, 1), 0.5)).sum())  # a threshold would give 16 or 0
    8
    """
    mask = np.zeros(fraction.shape, bool)
    covered = np.round(np.clip(fraction, 0, 1), 4)
    voxels = np.argwhere(covered > 0)
    if not len(voxels):
        return mask
    grid_of_blocks = [size // BLOCK + 1 for size in fraction.shape]
    blocks = np.ravel_multi_index(tuple((voxels // BLOCK).T), grid_of_blocks)
    values = covered[tuple(voxels.T)]
    if values.min() == 1:  # each voxel is covered completely or not at all
        return covered > 0
    order = np.lexsort(((voxels @ _SPREAD) % 1, -values, blocks))
    voxels, values, blocks = voxels[order], values[order], blocks[order]
    _, first, sizes = np.unique(blocks, return_index=True, return_counts=True)
    sums = np.cumsum(np.add.reduceat(values, first, dtype=float))
    counts = np.diff(np.floor(np.round(sums, 3) + 0.5), prepend=0)
    ranks = np.arange(len(voxels)) - np.repeat(first, sizes)
    mask[tuple(voxels[ranks < np.repeat(counts, sizes)].T)] = True
    return mask


def resample_mask(mask: nib.Nifti1Image, reference: nib.Nifti1Image) -> nib.Nifti1Image:
    """Resample a mask to the grid of ``reference`` (identity in world space), keeping its volume.

    Returns
    -------
    nib.Nifti1Image of uint8

    Examples
    --------
    >>> mask = np.zeros((8, 8, 8), np.uint8)
    >>> mask[2:6, 2:6, 2:6] = 1  # 64 voxels of 1 mm³
    >>> coarse = grid.blank((4, 4, 4), np.diag([2, 2, 2, 1]))
    >>> int(resample_mask(nib.Nifti1Image(mask, np.eye(4)), coarse).get_fdata().sum())  # of 8 mm³
    8
    """
    fraction = grid.resample(to_fractions(mask, reference), reference)
    return image.like(from_fractions(fraction.get_fdata(dtype=np.float32)), reference, np.uint8)


def fit_brain_mask(
    mask: nib.Nifti1Image, img: nib.Nifti1Image, name: PathLike = "the image"
) -> nib.Nifti1Image:
    """Binarize a user-supplied brain mask and fit it to the grid of ``img``.

    Raises
    ------
    ImageError
        If the mask has a different grid, is empty, or is not a mask.
    """
    inside = np.asanyarray(grid.fit_to_grid(binarize(mask), img, name).dataobj)
    if not inside.any():
        raise ImageError(f"{mask.get_filename()} is empty; provide a brain mask, or omit this file.")
    return image.like(inside, img, np.uint8)
