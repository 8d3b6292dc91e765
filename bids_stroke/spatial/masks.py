"""Masks: binarization, resampling, and fitting to the grid of an image.

:func:`bids_stroke.spatial.masks.binarize` decides what a user's mask or probability marks, and
:func:`bids_stroke.spatial.masks.from_fractions` which voxels of another grid a mask covers.
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
#: The same for scaled values: 0.5 may be stored as 0.49999999.
_LEAST = INSIDE - 1e-6
#: Stored numbers are rounded: in single precision, or to the steps of a scale.
ROUNDING = 1e-3
#: Interpolation by splines or windowed sinc leaves 0 to 1 by this much at sharp corners.
OVERSHOOT = 0.4
#: Larger numbers than this are percentages, gray values or codes, and not the labels of lesions.
MOST_LABELS = 20
#: Side (voxels) of the blocks in which a resampled mask keeps its volume.
BLOCK = 4
#: Steps of a sequence that spreads evenly over the voxels of a grid (powers of the plastic number for
#: three dimensions, Roberts 2018): voxels that are covered alike are taken in this order.
_SPREAD = 1.2207440846057596 ** -np.arange(1.0, 4.0)


def whole_numbers(data: NDArray) -> NDArray | None:
    """Return the whole numbers that an array holds, without the rounding of its storage; None if it
    holds others.

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
    """Turn a user's mask or probability into a binary mask: lesion, brain, or manual mask.

    - Of whole numbers, all above 0 are inside: one value of any size, or labels of up to
      :data:`bids_stroke.spatial.masks.MOST_LABELS`.
    - Fractions from 0 to 1 are probabilities: those of at least 0.5 are inside. Interpolated ones may
      overshoot 0 to 1 by :data:`bids_stroke.spatial.masks.OVERSHOOT`.

    Numbers are compared with a tolerance, because scaled values are rounded.

    Parameters
    ----------
    mask_img : nib.Nifti1Image
    several_labels : bool
        Whether several labels are joined; otherwise they are refused.

    Returns
    -------
    nib.Nifti1Image of uint8

    Raises
    ------
    ImageError
        If the values are others, such as negative numbers, percentages, gray values, fractions that do
        not reach 0.5, or values above 0 in every voxel.
    """
    data = np.asanyarray(mask_img.dataobj)
    numbers = whole_numbers(data)
    if numbers is None or (not numbers.any() and data.any()):  # fractions that only round to 0
        _check_fractions(data, mask_img)
        inside = data >= _LEAST
    else:
        _check_numbers(np.unique(numbers), several_labels, mask_img)
        inside = numbers > 0
    mask = image.like(inside, mask_img, np.uint8)
    if filename := mask_img.get_filename():
        mask.set_filename(filename)
    return mask


def _check_fractions(data: NDArray, mask_img: nib.Nifti1Image) -> None:
    """Refuse fractions that are no probability, or of which none is inside."""
    low, high = float(data.min()), float(data.max())
    if -OVERSHOOT <= low < _LEAST <= high <= 1 + OVERSHOOT:
        return
    if low >= -OVERSHOOT and high < _LEAST:
        problem = "so that nothing reaches 0.5"
    elif low >= _LEAST and high <= 1 + OVERSHOOT:
        problem = "so that nothing is outside"
    else:
        problem = "but a probability has 0 to 1"
    raise ImageError(
        f"{mask_img.get_filename()} holds values from {low:g} to {high:g}, {problem}; rescale them "
        "(percentages by 1/100, gray values by 1/255), or make a mask of 0 and 1."
    )


def _check_numbers(values: NDArray, several_labels: bool, mask_img: nib.Nifti1Image) -> None:
    """Refuse whole numbers (sorted, each once) that are neither a mask nor labels."""
    path = mask_img.get_filename()
    if values[0] < 0:
        raise ImageError(
            f"{path} holds {values[0]:g}, a negative value, but a mask has 0 outside and 1 inside; "
            "make it binary."
        )
    if values[0] > 0:
        raise ImageError(
            f"{path} holds {values[0]:g} as its lowest value, so that nothing is outside, but a mask "
            "has 0 there; make it binary."
        )
    positive = values[values > 0]
    if len(positive) < 2 or (several_labels and positive[-1] <= MOST_LABELS):
        return
    shown = ", ".join(f"{value:g}" for value in positive[:5])
    more = f" and {len(positive) - 5} more up to {positive[-1]:g}" if len(positive) > 5 else ""
    raise ImageError(
        f"{path} holds the labels {shown}{more}; make a mask of those that are inside, or rescale a "
        "probability to 0 to 1 (percentages by 1/100, gray values by 1/255)."
    )


def at_least_half(fraction: np.ndarray) -> NDArray[np.bool_]:
    """Voxels of which at least half is inside, for the masks of networks and simulations.

    A mask that is measured is resampled by :func:`bids_stroke.spatial.masks.from_fractions`, which
    keeps volumes.
    """
    return fraction >= INSIDE


def to_fractions(mask: nib.Nifti1Image, reference: nib.Nifti1Image) -> nib.Nifti1Image:
    """Prepare a mask for linear interpolation on the grid of ``reference``.

    Interpolated linearly at the center of a voxel of ``reference``, the result is the fraction of this
    voxel that the mask covers, where the voxels of the mask are boxes. Voxels are split where those of
    ``reference`` are finer, and averaged where they are coarser.

    Parameters
    ----------
    mask : nib.Nifti1Image
        Values above 0 are inside.
    reference : nib.Nifti1Image
        Only the size of its voxels counts, along the axes of the mask.

    Returns
    -------
    nib.Nifti1Image of float32
        The box around the mask and a margin of zeros; all else is zero.
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
        # Mean over the width; of an even one, the window reaches further to the lower side.
        data = ndimage.uniform_filter1d(data, width, axis, mode="constant")
        step, start = np.eye(4), np.zeros(3)
        step[axis, axis] = 1 / parts
        start[axis] = (1 / parts - 1) / 2 - (width + (width % 2 == 0) / 2) / parts
        step[:3, 3] = start
        affine = affine @ step
    return nib.Nifti1Image(data, affine)


def _parts_and_width(size: float) -> tuple[int, int]:
    """Number of parts that a voxel is split into along an axis, and of parts that are averaged, for a
    target voxel that is ``size`` times as long.

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
    """Turn the covered fractions of voxels into a mask that keeps the volume: the one rule by which
    masks are resampled.

    In each block of :data:`bids_stroke.spatial.masks.BLOCK` voxels a side, as many voxels are inside as
    the fractions sum up to, those of the largest fractions; remainders are passed on to the next block.
    Voxels of the same fraction, such as those half covered along a face, are taken evenly over the
    block: a threshold takes all of them or none.

    Parameters
    ----------
    fraction : ndarray, (x, y, z)
        0 to 1.
    """
    mask = np.zeros(fraction.shape, bool)
    covered = np.round(np.clip(fraction, 0, 1), 4)
    voxels = np.argwhere(covered > 0)
    if not len(voxels):
        return mask
    grid_of_blocks = [size // BLOCK + 1 for size in fraction.shape]
    blocks = np.ravel_multi_index(tuple((voxels // BLOCK).T), grid_of_blocks)
    values = covered[tuple(voxels.T)]
    order = np.lexsort(((voxels @ _SPREAD) % 1, -values, blocks))
    voxels, values, blocks = voxels[order], values[order], blocks[order]
    _, first, sizes = np.unique(blocks, return_index=True, return_counts=True)
    sums = np.cumsum(np.add.reduceat(values, first, dtype=float))
    kept = np.diff(np.floor(np.round(sums, 3) + 0.5), prepend=0)
    ranks = np.arange(len(voxels)) - np.repeat(first, sizes)
    mask[tuple(voxels[ranks < np.repeat(kept, sizes)].T)] = True
    return mask


def on_grid(mask: nib.Nifti1Image, reference: nib.Nifti1Image) -> nib.Nifti1Image:
    """Resample a mask on the grid of ``reference`` (identity in world space), keeping its volume.

    Returns
    -------
    nib.Nifti1Image of uint8
    """
    fraction = grid.resample(to_fractions(mask, reference), reference)
    return image.like(from_fractions(fraction.get_fdata(dtype=np.float32)), reference, np.uint8)


def fit_brain_mask(
    mask: nib.Nifti1Image, img: nib.Nifti1Image, name: PathLike = "the image"
) -> nib.Nifti1Image:
    """Put a user-supplied brain mask, binarized, on the grid of ``img``.

    Raises
    ------
    ImageError
        If the mask lies on another grid, is empty, or is no mask.
    """
    inside = np.asanyarray(grid.fit_to_grid(binarize(mask), img, name).dataobj)
    if not inside.any():
        raise ImageError(f"{mask.get_filename()} is empty; draw the brain or leave it out.")
    return image.like(inside, img, np.uint8)
