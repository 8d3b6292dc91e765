"""Inference slice by slice: from a volume to the lesion probability of a 2D network."""

import numpy as np
import torch

from bids_stroke.compute import devices

MAX_BATCH_PIXELS = 1 << 20  # of a batch: bounds the memory, whatever the size of the slices


def predict_slices(
    network: torch.nn.Module,
    channels: np.ndarray,
    axis: int,
    device: str,
    mirror: bool = False,
) -> np.ndarray:
    """Predict a volume.

    Parameters
    ----------
    network : torch.nn.Module
    channels : ndarray, (channels, x, y, z)
        Zero outside the brain; slices without brain are not looked at.
    axis : int
        Across the slices: 0 sagittal, 1 coronal, 2 axial.
    device : str
    mirror : bool
        Average with the prediction of the head mirrored left to right.

    Returns
    -------
    ndarray, (x, y, z), float32
    """
    network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    if mirror:
        flipped = predict_slices(network, channels[:, ::-1].copy(), axis, device)[::-1]
        return (predict_slices(network, channels, axis, device) + flipped) / 2
    slices = torch.from_numpy(np.moveaxis(channels, axis + 1, 0).copy())
    found = torch.zeros(slices.shape[0], *slices.shape[2:])
    filled = slices.flatten(1).any(1).nonzero()[:, 0]
    several = max(1, MAX_BATCH_PIXELS // slices[0, 0].numel())
    with torch.inference_mode(), devices.bfloat16(device):
        for chosen in filled.split(several):
            batch = slices[chosen].to(device, memory_format=torch.channels_last)
            found[chosen] = network(batch).float().sigmoid()[:, 0].cpu()
    return np.moveaxis(found.numpy(), 0, axis)
