"""Inference: contrasts of one head in, lesion probability on the reference grid out."""

import logging
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch

from bids_stroke.compute import devices
from bids_stroke.models.nnunet import inference as nnunet_inference
from bids_stroke.spatial import grid, image

from . import ensembles, frame, slice_inference, weights

LOG = logging.getLogger("bids_stroke")
OVERLAP = 0.5


def predict(card, images, brain, reference, device="auto", mirror=False):
    """Predict the lesion probability of one head.

    Out of memory on the GPU falls back to the CPU, and says so.

    Parameters
    ----------
    card : Card or Ensemble
    images : dict of str to nib.Nifti1Image
        Contrast to image, all registered, RAS; grids may differ.
    brain : nib.Nifti1Image
        Brain mask.
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
    device = devices.resolve(device)
    prepared, answers = {}, {}
    with TemporaryDirectory() as folder:
        for leaf in card.leaves:
            # Networks of one training share their input.
            key = leaf.preparation
            if key not in prepared:
                prepared[key] = prepare(leaf, images, brain, Path(folder) / leaf.name)
            channels, there = prepared[key]
            answers[leaf.identity()] = predict_network(leaf, channels, device, mirror), there
        # Answers of nnU-Nets are logits, until they are brought back.
        if len(prepared) == 1 and isinstance(there, frame.Frame):
            one = {name: found for name, (found, _) in answers.items()}
            fused = there.back(ensembles.combine(card, one, there.mask), reference)
            probability = fused.get_fdata(dtype=np.float32)
        else:
            moved = {
                name: its.back(found, reference).get_fdata(dtype=np.float32)
                for name, (found, its) in answers.items()
            }
            probability = ensembles.combine(card, moved, reference)
    inside = grid.resample(brain, reference, order=0).get_fdata() > 0
    return image.like(np.clip(probability, 0, 1) * inside, reference, np.float32)


def prepare(card, images, brain, folder):
    """Make a network's input.

    Parameters
    ----------
    images, brain
        As for :func:`predict`.
    folder : path
        For transforms to a template.

    Returns
    -------
    tuple of (ndarray, Frame)
        float32 array (channels, x, y, z), and where it lies.
    """
    contrasts = [channel.contrast for channel in card.channels]
    if card.is_nnunet:
        return nnunet_inference.prepare(card, images, brain)
    if card.space == frame.NATIVE:
        there = frame.native(brain, card.spacing)
    else:
        first = images[next(contrast for contrast in contrasts if contrast in images)]
        there = frame.template(first, brain, card.spacing, card.window, folder)
    return there.channels(contrasts, images), there


def predict_network(card, channels, device="cpu", mirror=False):
    """Predict the probability of one network.

    Parameters
    ----------
    card : Card
    channels : ndarray, (channels, x, y, z)
        As :func:`prepare` makes them.
    device, mirror
        As for :func:`predict`.

    Returns
    -------
    ndarray, (x, y, z), float32
    """
    try:
        return _on_device(card, channels, device, mirror)
    except torch.OutOfMemoryError:
        # Smaller tiles would change the answer of networks that normalize by instance.
        LOG.warning("Out of memory on %s: %s runs on the CPU.", device, card.name)
        torch.cuda.empty_cache()
        return _on_device(card, channels, "cpu", mirror)


def _on_device(card, channels, device, mirror):
    if card.is_nnunet:
        return nnunet_inference.logits(card, weights.load_folds(card), channels, device, mirror)
    network = weights.load(card)
    if card.plane is not None:
        return slice_inference.predict_slices(network, channels, card.plane, device, mirror)
    return _infer(network, channels, card.tile, device, mirror)


def _infer(network, channels, tile, device, mirror):
    from monai.inferers import sliding_window_inference  # large

    network = devices.place(network, device)
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
