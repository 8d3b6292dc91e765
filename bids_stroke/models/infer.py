"""Inference: contrasts of one head in, lesion probability on the reference grid out."""

import logging

import nibabel as nib
import numpy as np
import torch
from monai.inferers import sliding_window_inference

from .. import image
from . import weights

LOG = logging.getLogger("bids_stroke")
OVERLAP = 0.5
MARGIN_MM = 8


def resolve_device(device):
    """Turn ``auto`` into ``cuda`` where there is a GPU, else ``cpu``."""
    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    return device


def prepare(card, images, brain):
    """Make the network's input.

    Parameters
    ----------
    images : dict of str to nib.Nifti1Image
        Contrast to image, all registered, RAS; grids may differ.
    brain : nib.Nifti1Image
        Brain mask.

    Returns
    -------
    tuple of (ndarray, nib.Nifti1Image)
        float32 array (channels, x, y, z) at the card's spacing, cropped to the brain; and the brain
        mask on that grid.
    """
    fine = image.regrid(image.like(np.asanyarray(brain.dataobj), brain, np.float32), card.spacing)
    inside = fine.get_fdata() > 0.5
    margin = np.ceil(MARGIN_MM / np.array(card.spacing)).astype(int)
    where = np.argwhere(inside)
    low, high = np.maximum(where.min(0) - margin, 0), where.max(0) + margin + 1
    box = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
    shift = nib.affines.from_matvec(np.eye(3), low)
    mask = nib.Nifti1Image(inside[box].astype(np.uint8), fine.affine @ shift)
    channels = []
    for channel in card.channels:
        if channel.contrast in images:
            moved = _onto(images[channel.contrast], mask, card.spacing)
            channels.append(image.zscore(moved, mask.dataobj))
        else:
            channels.append(np.zeros(mask.shape, np.float32))
    return np.stack(channels), mask


def _onto(img, grid, spacing):
    """Antialias towards ``spacing``, then interpolate on ``grid``."""
    return image.resample(image.regrid(img, spacing), grid).get_fdata(dtype=np.float32)


def predict(card, images, brain, reference, device="auto", mirror=False):
    """Predict the lesion probability of one head.

    Out of memory on the GPU falls back to the CPU, and says so.

    Parameters
    ----------
    card : Card
    images, brain
        As for :func:`prepare`.
    reference : nib.Nifti1Image
        Grid of the result.
    device : str
        ``auto``, ``cpu`` or a CUDA device.
    mirror : bool
        Average with the prediction of the head mirrored left to right.

    Returns
    -------
    nib.Nifti1Image
        float32 probability, zero outside the brain.
    """
    channels, mask = prepare(card, images, brain)
    network = weights.load(card)
    device = resolve_device(device)
    try:
        probability = _infer(network, channels, card.tile, device, mirror)
    except torch.OutOfMemoryError:
        # Smaller tiles would change the answer of networks that normalize by instance.
        LOG.warning("Out of memory on %s: %s runs on the CPU.", device, card.name)
        torch.cuda.empty_cache()
        probability = _infer(network, channels, card.tile, "cpu", mirror)
    probability *= np.asarray(mask.dataobj)
    moved = image.resample(image.like(probability, mask), reference)
    inside = image.resample(brain, reference, order=0).get_fdata() > 0
    return image.like(np.clip(moved.get_fdata(), 0, 1) * inside, reference, np.float32)


def _infer(network, channels, tile, device, mirror):
    network = network.to(device, memory_format=torch.channels_last_3d)
    batch = torch.from_numpy(channels)[None].to(device)

    def probability(image):
        logits = sliding_window_inference(
            image, tile, sw_batch_size=1, predictor=network, overlap=OVERLAP, mode="gaussian"
        )
        return logits.float().sigmoid()

    with torch.inference_mode():
        mean = probability(batch)
        if mirror:
            mean = (mean + probability(batch.flip(2)).flip(2)) / 2
    return mean[0, 0].cpu().numpy()
