"""Masks: binarization, and fitting to the grid of an image."""

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

from bids_stroke.errors import ImageError
from bids_stroke.utils.files import PathLike

from . import grid, image

#: Smallest covered fraction of a voxel that counts as inside.
INSIDE = 0.5


def at_least_half(fraction: np.ndarray) -> NDArray[np.bool_]:
    """Voxels of which a mask covers at least half.

    ``fraction`` is the covered fraction of each voxel, as in an interpolated mask. This rule
    keeps volumes better than the nearest voxel does.
    """
    return fraction >= INSIDE


def fit_brain_mask(
    mask: nib.Nifti1Image, img: nib.Nifti1Image, name: PathLike = "the image"
) -> nib.Nifti1Image:
    """Put a user-supplied brain mask on the grid of ``img``; values over 0 are brain.

    Raises
    ------
    ImageError
        If the mask lies on another grid or is empty.
    """
    inside = np.asanyarray(grid.fit_to_grid(mask, img, name).dataobj) > 0
    if not inside.any():
        raise ImageError(f"{mask.get_filename()} is empty; draw the brain or leave it out.")
    return image.like(inside, img, np.uint8)


def binarize(mask_img: nib.Nifti1Image) -> nib.Nifti1Image:
    """Make a user-supplied lesion mask binary.

    In masks of 0–1, values ≥ 0.5 are lesion; in label images, all values > 0.

    Returns
    -------
    nib.Nifti1Image of uint8

    Raises
    ------
    ImageError
        If a value is negative.
    """
    data = np.asanyarray(mask_img.dataobj)
    if data.min() < 0:
        raise ImageError(
            f"{mask_img.get_filename()} holds {data.min():g}, but a mask has 0 outside the lesion and "
            "1 inside; mend it."
        )
    lesion = at_least_half(data) if data.max() <= 1 else data > 0
    inside = image.like(lesion, mask_img, np.uint8)
    if filename := mask_img.get_filename():
        inside.set_filename(filename)
    return inside
