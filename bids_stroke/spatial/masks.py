"""User-supplied masks: made binary and fitted to the grid of an image."""

import numpy as np

from bids_stroke.errors import ImageError

from . import grid, image
from .image import like


def fit_brain_mask(mask, img, name="the image"):
    """Take a user's brain mask for ``img``.

    Raises
    ------
    ImageError
        If the mask lies on another grid or is empty.
    """
    inside = np.asanyarray(grid.fit_to_grid(mask, img, name).dataobj) > 0
    if not inside.any():
        raise ImageError(f"{mask.get_filename()} is empty; draw the brain or leave it out.")
    return image.like(inside, img, np.uint8)


def binarize(mask_img):
    """Read a user's lesion mask: fractions are lesion from one half on, labels all are lesion.

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
    inside = like(data >= 0.5 if data.max() <= 1 else data > 0, mask_img, np.uint8)
    if mask_img.get_filename():
        inside.set_filename(mask_img.get_filename())
    return inside
