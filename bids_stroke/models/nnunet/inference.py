"""Preprocessing, tiled inference and resampling of the output as in nnU-Net (Isensee et al. 2021).

Arrays are in nnU-Net's order (channels, z, y, x), transposed according to its plan. Only the difference
between the logits of foreground and background is stored (v2), or the probability of the foreground
(v1). Resampling and averaging are linear, so the result of a network with one foreground label equals
that of nnU-Net.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, combinations, product
from typing import TypeVar

import nibabel as nib
import numpy as np
import torch
from nibabel.affines import voxel_sizes
from scipy import ndimage
from torch.nn import functional

from bids_stroke.compute import devices
from bids_stroke.errors import ModelError
from bids_stroke.models.card import Card, Plan
from bids_stroke.spatial import image
from bids_stroke.spatial.grid import bounding_box, resample, same_grid
from bids_stroke.spatial.masks import resample_mask

Number = TypeVar("Number", int, float)
ANISOTROPY = 3  # ratio of spacings above which the coarse axis is resampled separately
STEP = 0.5  # step between tiles, relative to the tile size
SIGMA = 1 / 8  # standard deviation of the Gaussian weights, relative to the tile size


@dataclass(frozen=True)
class Box:
    """Location of the network's grid in an image.

    Attributes
    ----------
    grid : nib.Nifti1Image
        Image that defines the full grid, in RAS orientation.
    box : tuple of slice
        Cropped part, in the network's axis order.
    order : tuple of int
        Order of the network's axes, as indices into (z, y, x).
    spacings : tuple of tuple of float
        Voxel sizes (mm) of the image and of the network, in the network's axis order.
    version : int
        Version of nnU-Net: the network's output is a logit (2) or a probability (1).
    """

    grid: nib.Nifti1Image
    box: tuple[slice, ...]
    order: tuple[int, int, int]
    spacings: tuple[tuple[float, ...], tuple[float, ...]]
    version: int

    def to_reference(self, output: np.ndarray, reference: nib.Nifti1Image) -> nib.Nifti1Image:
        """Resample the network's output to a reference grid, as probabilities."""
        shape = tuple(part.stop - part.start for part in self.box)
        image_spacing, network_spacing = self.spacings
        resized = resize(output, shape, network_spacing, image_spacing, order=1).astype(np.float32)
        probability = np.zeros(tuple(self.grid.shape[2 - axis] for axis in self.order), np.float32)
        probability[self.box] = resized if self.version == 1 else 1 / (1 + np.exp(-resized))
        stored = probability.transpose(np.argsort(self.order)).transpose(2, 1, 0)
        return resample(image.like(stored, self.grid), reference)


def prepare(
    card: Card, images: Mapping[str, nib.Nifti1Image], brain: nib.Nifti1Image
) -> tuple[np.ndarray, Box]:
    """Mask, crop, standardize and resample images on the same grid.

    Parameters
    ----------
    card : Card
    images : dict of str to nib.Nifti1Image
        Images by contrast.
    brain : nib.Nifti1Image
        Brain mask on the grid of the first image; voxels outside are set to zero.

    Returns
    -------
    tuple of (ndarray, Box)
        Input (channels, …), float32, and its location in the image.
    """
    plan, contrasts = _plan(card), [channel.contrast for channel in card.channels]
    grid = images[contrasts[0]]
    inside = np.asanyarray(resample_mask(brain, grid).dataobj) > 0
    brains = [np.where(inside, _on(grid, images[contrast]), 0) for contrast in contrasts]
    axes = plan.transpose
    data = np.stack([values.transpose(2, 1, 0).transpose(axes) for values in brains])
    data = data.astype(np.float32)
    spacing = tuple(float(voxel_sizes(grid.affine)[2 - axis]) for axis in axes)
    filled = ndimage.binary_fill_holes((data != 0).any(0))
    box = bounding_box(filled)
    data, filled = data[(slice(None), *box)], filled[box]
    target = _network_order(card.spacing, axes)
    shape = [round(a / b * n) for a, b, n in zip(spacing, target, data.shape[1:], strict=True)]
    if plan.version == 2:
        _standardize(data, filled, plan)
    resized = np.stack([resize(values, shape, spacing, target, plan.order) for values in data])
    if plan.version == 1:
        share = resize(filled.astype(np.float32), shape, spacing, target, order=1)
        _standardize(resized, share >= 0.5, plan)
    return resized, Box(grid, box, axes, (spacing, target), plan.version)


def _standardize(data: np.ndarray, brain: np.ndarray, plan: Plan) -> None:
    """Standardize channels in place; masked channels are zero outside the brain."""
    for channel, masked in zip(data, plan.masked, strict=True):
        where = brain if masked else np.ones_like(brain)
        values = channel[where]
        channel[where] = (values - values.mean()) / max(values.std(), 1e-8)
        channel[~where] = 0


def _plan(card: Card) -> Plan:
    if card.plan is None:
        raise ModelError(f"{card.path} has the normalization nnunet but no plan; add the plan.")
    return card.plan


def _on(grid: nib.Nifti1Image, img: nib.Nifti1Image) -> np.ndarray:
    if same_grid(img, grid):
        return img.get_fdata("unchanged", np.float32)
    return resample(img, grid, order=1).get_fdata(dtype=np.float32)


def _network_order(values: Sequence[Number], axes: Sequence[int]) -> tuple[Number, ...]:
    """Reorder (x, y, z) values to the network's axis order."""
    return tuple(values[2 - axis] for axis in axes)


def resize(
    data: np.ndarray,
    shape: Sequence[int],
    spacing: Sequence[float],
    target: Sequence[float],
    order: int,
) -> np.ndarray:
    """Resample a 3D array from ``spacing`` to ``shape``, its shape at the spacing ``target``.

    Interpolation uses splines of the given ``order``. If one axis is more than three times coarser on
    either grid, splines are used within the slices and nearest neighbors across them. The result of
    splines is limited to the range of the array, or of its slice.
    """
    if data.shape == tuple(shape):
        return data
    anisotropic = next(
        (sizes for sizes in (spacing, target) if max(sizes) / min(sizes) > ANISOTROPY), None
    )
    coarse = None if anisotropic is None else _coarse_axis(anisotropic)
    if coarse is None and order == 1:
        batch = torch.from_numpy(np.ascontiguousarray(data))[None, None]
        return functional.interpolate(batch, tuple(shape), mode="trilinear")[0, 0].numpy()
    fine = tuple(axis for axis in range(3) if axis != coarse)
    low, high = data.min(fine, keepdims=True), data.max(fine, keepdims=True)
    for axis in fine:
        data = _zoom(data, axis, shape[axis], order)
    data = np.clip(data, low, high)
    return data if coarse is None else _zoom(data, coarse, shape[coarse], order=0)


def _zoom(data: np.ndarray, axis: int, size: int, order: int) -> np.ndarray:
    """Resample one axis of an array to another size."""
    if data.shape[axis] == size:
        return data
    factors = np.ones(data.ndim)
    factors[axis] = size / data.shape[axis]
    return ndimage.zoom(data, factors, order=order, mode="nearest", grid_mode=True, prefilter=True)


def _coarse_axis(spacing: Sequence[float]) -> int | None:
    """Return the axis of the largest spacing, or None if two axes share it."""
    axes = [axis for axis, size in enumerate(spacing) if size == max(spacing)]
    return axes[0] if len(axes) == 1 else None


def network_tile(card: Card) -> tuple[int, ...]:
    """Return the tile size (voxels) in the network's axis order."""
    return _network_order(card.tile, _plan(card).transpose)


def foreground(
    card: Card, networks: Iterable[torch.nn.Module], data: np.ndarray, device: str, mirror: bool
) -> np.ndarray:
    """Return the logit of foreground versus background, averaged over networks and overlapping tiles.

    For nnU-Net v1, return the averaged probability of the foreground.

    Parameters
    ----------
    networks : iterable of torch.nn.Module
        Network of each fold, used sequentially.
    data : ndarray, (channels, …)
    device : str
    mirror : bool
        Average the predictions of the image and its mirror images along the axes that were mirrored
        in training.

    Returns
    -------
    ndarray, float32
    """
    plan = _plan(card)
    tile = network_tile(card)
    missing = [max(side - size, 0) for side, size in zip(tile, data.shape[1:], strict=True)]
    padding = [(0, 0), *((pad // 2, pad - pad // 2) for pad in missing)]
    padded = torch.from_numpy(np.pad(data, padding))[None].to(device)
    axes = [axis + 2 for axis in plan.mirror] if mirror else []
    flips = list(chain.from_iterable(combinations(axes, n) for n in range(len(axes) + 1)))
    convert = _foreground_probability if plan.version == 1 else foreground_logit
    total = torch.zeros(padded.shape[2:], device=device)
    for network in networks:
        network = devices.place_network(network, device, in_place=["norm"])
        with torch.inference_mode(), devices.fast_arithmetic(device):
            total = total + _tiled(network, padded, tile, flips, convert)
    mean = (total / len(card.all_weights)).cpu().numpy()
    unpadded = tuple(
        slice(before, size - after)
        for (before, after), size in zip(padding[1:], mean.shape, strict=True)
    )
    return mean[unpadded]


def _tiled(
    network: torch.nn.Module,
    batch: torch.Tensor,
    tile: Sequence[int],
    flips: Sequence[tuple[int, ...]],
    convert: Callable[[torch.Tensor], torch.Tensor],
) -> torch.Tensor:
    weight = _gaussian(tile).to(batch.device)
    total, weights = (torch.zeros(batch.shape[2:], device=batch.device) for _ in range(2))
    for corner in product(*map(_corners, batch.shape[2:], tile)):
        window = tuple(slice(start, start + side) for start, side in zip(corner, tile, strict=True))
        part = batch[:, :, *window]
        for flip in flips:
            output = convert(network(part.flip(flip))).flip(flip)
            total[window] += weight * output[0, 0] / len(flips)
        weights[window] += weight
    return total / weights


def foreground_logit(output: torch.Tensor) -> torch.Tensor:
    """Return the logit of any label but the background."""
    output = output.float()
    return output[:, 1:].logsumexp(1, keepdim=True) - output[:, :1]


def _foreground_probability(output: torch.Tensor) -> torch.Tensor:
    return foreground_logit(output).sigmoid()


def _corners(size: int, side: int) -> list[int]:
    """Return the first voxels of evenly spaced tiles that cover an axis, at most ``STEP`` apart."""
    number = int(np.ceil((size - side) / (side * STEP))) + 1
    step = (size - side) / max(number - 1, 1)
    return [round(step * index) for index in range(number)]


def _gaussian(tile: Sequence[int]) -> torch.Tensor:
    peak = np.zeros(tile)
    peak[tuple(side // 2 for side in tile)] = 1
    weight = ndimage.gaussian_filter(peak, [side * SIGMA for side in tile], mode="constant")
    weight /= weight.max()
    return torch.from_numpy(np.maximum(weight, weight[weight > 0].min()).astype(np.float32))
