"""Brain extraction by name: a built-in method, or any nnU-Net that segments the brain.

The preprocessing of an nnU-Net (normalization, spacing, axis order) is that of its results folder.
HD-BET 2 is such a network.
"""

import nibabel as nib
import numpy as np

from bids_stroke.settings import NNUNET
from bids_stroke.spatial import brain_extraction, image
from bids_stroke.utils.files import PathLike

from .nnunet.results_folder import LabeledNetwork, read_brain_network


def find_network(method: str) -> LabeledNetwork | None:
    """Check a brain extraction method, and return its network if it is ``nnunet:FOLDER``.

    Raises
    ------
    InvalidModelError
        If the folder is not that of an nnU-Net for brain extraction.
    ResourceError
        If the package of another method is not installed.
    """
    if method.startswith(NNUNET):
        return read_brain_network(method.removeprefix(NNUNET))
    brain_extraction.require_method(method)
    return None


def identity(method: str) -> str:
    """Return a text that identifies everything the brain mask of a method depends on."""
    network = find_network(method)
    return network.card.identity() if network else method


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
    method : str
        ``nnunet:FOLDER``, or a method of :func:`bids_stroke.spatial.brain_extraction.extract`.
    device : str
        torch device. If the GPU runs out of memory, an nnU-Net runs on the CPU.
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
    ModelError
        If the weights of the nnU-Net cannot be used.
    ResourceError
        If the package of the method is not installed.
    """
    network = find_network(method)
    if network is None:
        return brain_extraction.extract(img, method, device, name)
    from . import inference  # imports torch

    card = network.card
    whole = image.like(np.ones(img.shape), img, np.uint8)
    images = {channel.contrast: img for channel in card.channels}
    probability = inference.predict(card, images, whole, img, device)
    return brain_extraction.to_mask(probability.get_fdata(dtype=np.float32), img, card.name, name)
