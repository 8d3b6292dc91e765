"""Slice-by-slice inference with a 2D network."""

import numpy as np
import torch

from bids_stroke.compute import devices

MAX_BATCH_PIXELS = 1 << 20  # limits memory for slices of any size


def predict_slices(
    network: torch.nn.Module,
    channels: np.ndarray,
    axis: int,
    device: str,
    mirror: bool = False,
) -> np.ndarray:
    """Predict the lesion probability of a volume slice by slice.

    Parameters
    ----------
    network : torch.nn.Module
    channels : ndarray, (channels, x, y, z)
        Input, zero outside the brain; slices without brain are skipped.
    axis : int
        Axis across the slices: 0 sagittal, 1 coronal, 2 axial.
    device : str
    mirror : bool
        Average the predictions of the head and its left-right mirror image.

    Returns
    -------
    ndarray, (x, y, z), float32
        Lesion probability.
    """
    network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    if mirror:
        flipped = predict_slices(network, channels[:, ::-1].copy(), axis, device)[::-1]
        return (predict_slices(network, channels, axis, device) + flipped) / 2
    slices = torch.from_numpy(np.moveaxis(channels, axis + 1, 0).copy())
    probability = torch.zeros(slices.shape[0], *slices.shape[2:])
    nonempty = slices.flatten(1).any(1).nonzero()[:, 0]
    batch_size = max(1, MAX_BATCH_PIXELS // slices[0, 0].numel())
    with torch.inference_mode(), devices.bfloat16(device):
        for indices in nonempty.split(batch_size):
            batch = slices[indices].to(device, memory_format=torch.channels_last)
            probability[indices] = network(batch).float().sigmoid()[:, 0].cpu()
    return np.moveaxis(probability.numpy(), 0, axis)
