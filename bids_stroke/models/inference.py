"""Inference: from the contrasts of a head to a lesion probability on the reference grid."""

import logging
from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple, TypeAlias

import nibabel as nib
import numpy as np
import torch

from bids_stroke.compute import devices
from bids_stroke.models.nnunet import inference as nnunet_inference
from bids_stroke.spatial import image, masks
from bids_stroke.utils.files import PathLike

from . import calibration, ensembles, frame, mirroring, slice_inference, weights
from .card import Card
from .ensembles import Model

#: Where a network's answer lies.
NetworkGrid: TypeAlias = frame.Frame | nnunet_inference.Box
LOG = logging.getLogger("bids_stroke")
OVERLAP = 0.5


class _Prediction(NamedTuple):
    """A network's answer: probability, or the logits of an nnU-Net."""

    values: np.ndarray
    place: NetworkGrid


def predict(
    card: Model,
    images: Mapping[str, nib.Nifti1Image],
    brain: nib.Nifti1Image,
    reference: nib.Nifti1Image,
    device: str = "auto",
    mirror: bool = False,
    to_template: np.ndarray | None = None,
) -> nib.Nifti1Image:
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
    to_template : ndarray, (4, 4), optional
        Affine map from the head to the symmetric template (RAS, mm), for cards with mirrored channels;
        by default it is computed.

    Returns
    -------
    nib.Nifti1Image
        float32 probability, zero outside the brain.
    """
    device = devices.resolve(device)
    prepared: dict[Hashable, tuple[np.ndarray, NetworkGrid]] = {}
    answers: dict[str, _Prediction] = {}
    with TemporaryDirectory() as folder:
        for leaf in card.leaves:
            # Networks of one training share their input.
            if leaf.preparation not in prepared:
                transforms = Path(folder) / leaf.name
                prepared[leaf.preparation] = prepare(leaf, images, brain, transforms, to_template)
            channels, place = prepared[leaf.preparation]
            answers[leaf.identity()] = _Prediction(
                predict_network(leaf, channels, device, mirror), place
            )
        probability = _combine(card, answers, reference)
    inside = np.asanyarray(masks.on_grid(brain, reference).dataobj)
    temperature = card.calibration_for(images).temperature
    calibrated = calibration.scale(np.clip(probability, 0, 1), temperature)
    return image.like(calibrated * inside, reference, np.float32)


def _combine(card: Model, answers: Mapping[str, _Prediction], reference: nib.Nifti1Image) -> np.ndarray:
    """Probability on the reference grid: answers on one grid are combined before they are resampled."""
    place, *others = {id(answer.place): answer.place for answer in answers.values()}.values()
    if isinstance(place, frame.Frame) and not others:
        values = {name: answer.values for name, answer in answers.items()}
        combined = place.to_reference(ensembles.combine(card, values, place.mask), reference)
        return combined.get_fdata(dtype=np.float32)
    moved = {
        name: answer.place.to_reference(answer.values, reference).get_fdata(dtype=np.float32)
        for name, answer in answers.items()
    }
    return ensembles.combine(card, moved, reference)


def prepare(
    card: Card,
    images: Mapping[str, nib.Nifti1Image],
    brain: nib.Nifti1Image,
    folder: PathLike,
    to_template: np.ndarray | None = None,
) -> tuple[np.ndarray, NetworkGrid]:
    """Make a network's input.

    Parameters
    ----------
    images, brain, to_template
        As for :func:`bids_stroke.models.inference.predict`.
    folder : path
        For transforms to a template.

    Returns
    -------
    tuple of (ndarray, Frame or Box)
        float32 array (channels, x, y, z), and where it lies.
    """
    contrasts = [channel.contrast for channel in card.channels]
    if card.is_nnunet:
        return nnunet_inference.prepare(card, images, brain)
    first = images[next(contrast for contrast in contrasts if contrast in images)]
    if card.space == frame.NATIVE:
        place = frame.native(brain, card.spacing)
    else:
        place = frame.template(first, brain, card.spacing, card.window, folder)
    channels = place.channels(contrasts, images)
    if card.mirror:
        if card.space != frame.NATIVE:
            to_template = np.eye(4)
        elif to_template is None:
            to_template = mirroring.align(first, brain)
        from_voxels = None if to_template is None else to_template @ place.mask.affine
        channels = mirroring.append_mirrored(channels, from_voxels)
    return channels, place


def predict_network(
    card: Card, channels: np.ndarray, device: str = "cpu", mirror: bool = False
) -> np.ndarray:
    """Predict the probability of one network.

    Parameters
    ----------
    card : Card
    channels : ndarray, (channels, x, y, z)
        As :func:`bids_stroke.models.inference.prepare` makes them.
    device, mirror
        As for :func:`bids_stroke.models.inference.predict`.

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


def _on_device(card: Card, channels: np.ndarray, device: str, mirror: bool) -> np.ndarray:
    if card.is_nnunet:
        return nnunet_inference.logits(card, weights.load_folds(card), channels, device, mirror)
    network = weights.load(card)
    if card.plane is not None:
        return slice_inference.predict_slices(network, channels, card.plane, device, mirror)
    return _infer(network, channels, card.tile, device, mirror)


def _infer(
    network: torch.nn.Module, channels: np.ndarray, tile: Sequence[int], device: str, mirror: bool
) -> np.ndarray:
    from monai.inferers import sliding_window_inference  # large

    network = devices.place_network(network, device)
    batch = torch.from_numpy(channels)[None].to(device)

    def probability(image: torch.Tensor) -> torch.Tensor:
        logits = sliding_window_inference(
            image, tile, sw_batch_size=1, predictor=network, overlap=OVERLAP, mode="gaussian"
        )
        assert isinstance(logits, torch.Tensor)  # of one output
        return logits.float().sigmoid()

    with torch.inference_mode(), devices.fast_arithmetic(device):
        mean = probability(batch)
        if mirror:
            mean = (mean + probability(batch.flip(2)).flip(2)) / 2
    return mean[0, 0].cpu().numpy()
