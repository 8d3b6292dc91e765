"""Masks: user-supplied and interpolated ones made binary, and fitted to the grid of an image."""

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

from bids_stroke.errors import ImageError
from bids_stroke.utils.files import PathLike

from . import grid, image

#: Share of a voxel that a mask covers at least where the voxel counts as inside.
INSIDE = 0.5


def at_least_half(fraction: np.ndarray) -> NDArray[np.bool_]:
    """Voxels that a mask, given by the fraction of each voxel that it covers, covers by half or more.

    The rule by which an interpolated mask becomes a mask; it keeps volumes better than the nearest
    voxel does.
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
    """Make a user-supplied lesion mask binary: fractions are lesion from one half on, labels all.

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
