"""Inference: from the images of a head to the lesion probability on a reference grid."""

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

#: Grid of a network's input and output.
NetworkGrid: TypeAlias = frame.Frame | nnunet_inference.Box
OVERLAP = 0.5


class _Prediction(NamedTuple):
    """Output of a network on its grid: probability, or logits for an nnU-Net v2."""

    values: np.ndarray
    grid: NetworkGrid


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

    If the GPU runs out of memory, inference runs on the CPU and a warning is logged.

    Parameters
    ----------
    card : Card or Ensemble
    images : dict of str to nib.Nifti1Image
        Registered images by contrast, in RAS orientation; their grids may differ.
    brain : nib.Nifti1Image
        Brain mask.
    reference : nib.Nifti1Image
        Image that defines the grid of the result.
    device : str
        ``auto``, ``cpu`` or a CUDA device.
    mirror : bool
        Average the predictions of the head and its left-right mirror image.
    to_template : ndarray, (4, 4), optional
        Affine from the head to the symmetric template (RAS, mm), for cards with mirrored channels;
        computed by default.

    Returns
    -------
    nib.Nifti1Image
        Lesion probability (float32), zero outside the brain.
    """
    device = devices.resolve(device)
    prepared: dict[Hashable, tuple[np.ndarray, NetworkGrid]] = {}
    predictions: dict[str, _Prediction] = {}
    with TemporaryDirectory() as folder:
        for leaf in card.leaves:
            # Networks with the same preparation share their input.
            if leaf.preparation not in prepared:
                transforms = Path(folder) / leaf.name
                prepared[leaf.preparation] = prepare(leaf, images, brain, transforms, to_template)
            channels, grid = prepared[leaf.preparation]
            predictions[leaf.identity()] = _Prediction(
                predict_network(leaf, channels, device, mirror), grid
            )
        probability = _combine(card, predictions, reference)
    inside = np.asanyarray(masks.resample_mask(brain, reference).dataobj)
    temperature = card.calibration_for(images).temperature
    calibrated = calibration.scale(np.clip(probability, 0, 1), temperature)
    return image.like(calibrated * inside, reference, np.float32)


def _combine(
    card: Model, predictions: Mapping[str, _Prediction], reference: nib.Nifti1Image
) -> np.ndarray:
    """Combine predictions on the reference grid; predictions that share a grid are combined there."""
    grid, *others = {id(output.grid): output.grid for output in predictions.values()}.values()
    if isinstance(grid, frame.Frame) and not others:
        values = {name: output.values for name, output in predictions.items()}
        combined = grid.to_reference(ensembles.combine(card, values, grid.mask), reference)
        return combined.get_fdata(dtype=np.float32)
    resampled = {
        name: output.grid.to_reference(output.values, reference).get_fdata(dtype=np.float32)
        for name, output in predictions.items()
    }
    return ensembles.combine(card, resampled, reference)


def prepare(
    card: Card,
    images: Mapping[str, nib.Nifti1Image],
    brain: nib.Nifti1Image,
    folder: PathLike,
    to_template: np.ndarray | None = None,
) -> tuple[np.ndarray, NetworkGrid]:
    """Prepare the input of a network.

    Parameters
    ----------
    images, brain, to_template
        As for :func:`bids_stroke.models.inference.predict`.
    folder : path
        Output folder for transforms to the template.

    Returns
    -------
    tuple of (ndarray, Frame or Box)
        Input (channels, x, y, z), float32, and its grid.
    """
    contrasts = [channel.contrast for channel in card.channels]
    if card.is_nnunet:
        return nnunet_inference.prepare(card, images, brain)
    first = images[next(contrast for contrast in contrasts if contrast in images)]
    if card.space == frame.NATIVE:
        grid = frame.native(brain, card.spacing)
    else:
        grid = frame.template(first, brain, card.spacing, card.window, folder)
    channels = grid.channels(contrasts, images)
    if card.mirror:
        if card.space != frame.NATIVE:
            to_template = np.eye(4)
        elif to_template is None:
            to_template = mirroring.align(first, brain)
        from_voxels = None if to_template is None else to_template @ grid.mask.affine
        channels = mirroring.append_mirrored(channels, from_voxels)
    return channels, grid


def predict_network(
    card: Card, channels: np.ndarray, device: str = "cpu", mirror: bool = False
) -> np.ndarray:
    """Predict the lesion probability with one network.

    Parameters
    ----------
    card : Card
    channels : ndarray, (channels, x, y, z)
        Input from :func:`bids_stroke.models.inference.prepare`.
    device, mirror
        As for :func:`bids_stroke.models.inference.predict`.

    Returns
    -------
    ndarray, (x, y, z), float32
    """
    return devices.with_fallback(
        lambda place: _on_device(card, channels, place, mirror), device, card.name
    )


def _on_device(card: Card, channels: np.ndarray, device: str, mirror: bool) -> np.ndarray:
    if card.is_nnunet:
        return nnunet_inference.foreground(card, weights.load_folds(card), channels, device, mirror)
    network = weights.load(card)
    if card.plane is not None:
        return slice_inference.predict_slices(network, channels, card.plane, device, mirror)
    return infer(network, channels, card.tile, device, mirror)


def infer(
    network: torch.nn.Module,
    channels: np.ndarray,
    tile: Sequence[int],
    device: str = "cpu",
    mirror: bool = False,
) -> np.ndarray:
    """Predict the lesion probability (x, y, z) with a 3D network in overlapping tiles.

    Parameters
    ----------
    network : torch.nn.Module
        Network with one output channel of logits.
    channels, device, mirror
        As for :func:`bids_stroke.models.inference.predict_network`.
    tile : sequence of int
        Tile size (voxels).
    """
    from monai.inferers import sliding_window_inference  # slow import

    network = devices.place_network(network, device)
    batch = torch.from_numpy(channels)[None].to(device)

    def probability(image: torch.Tensor) -> torch.Tensor:
        logits = sliding_window_inference(
            image, tile, sw_batch_size=1, predictor=network, overlap=OVERLAP, mode="gaussian"
        )
        assert isinstance(logits, torch.Tensor)  # the network has one output
        return logits.float().sigmoid()

    with torch.inference_mode(), devices.fast_arithmetic(device):
        mean = probability(batch)
        if mirror:
            mean = (mean + probability(batch.flip(2)).flip(2)) / 2
    return mean[0, 0].cpu().numpy()
