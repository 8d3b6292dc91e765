"""ImageNet weights of the encoder: torchvision's ResNet-50, downloaded once, or a file."""

import os
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from bids_stroke.errors import ModelError
from bids_stroke.models.networks.planar import resnet50_unet
from bids_stroke.utils.cache import cache_dir
from bids_stroke.utils.download import Progress, RemoteFile, download
from bids_stroke.utils.files import PathLike, atomic

NAME = "resnet50-imagenet"
#: The published name ends in the first digits of the file's SHA-256.
URL = "https://download.pytorch.org/models/resnet50-0676ba61.pth"
LICENCE = (
    "BSD-3-Clause (torchvision); trained on ImageNet, whose terms allow research and teaching without "
    "profit"
)


def path() -> Path:
    """Where the fetched weights are: ``$BIDS_STROKE_HOME`` or ``~/.cache/bids_stroke``."""
    return cache_dir() / "weights" / f"{NAME}.safetensors"


def fetch(progress: Progress = lambda done, total: None, url: str = URL) -> list[Path]:
    """Fetch the weights, unless they are there, and keep them as safetensors.

    Returns
    -------
    list of Path

    Raises
    ------
    DownloadError
        If they cannot be fetched, or their checksum differs from that in the name.
    """
    if path().is_file():
        return [path()]
    remote = RemoteFile([url], sha256=url.removesuffix(".pth").rpartition("-")[2])
    advice = "or download them elsewhere and name the file as encoder in the recipe"
    pth = download(
        f"The file of the weights {NAME}", remote, path().with_suffix(".pth"), advice, progress
    )
    state = _read(pth)
    with atomic(path()) as partial:
        save_file({name: values.contiguous() for name, values in state.items()}, partial)
    os.remove(pth)
    return [path()]


def load(network: resnet50_unet.ResNet50UNet, source: PathLike) -> None:
    """Give the encoder of a network weights.

    Parameters
    ----------
    network : ResNet50UNet
    source : str or path
        :data:`bids_stroke.models.imagenet.NAME`, or a file of torchvision's (``.pth``) or safetensors.

    Raises
    ------
    ModelError
        If they are not there, or not those of the encoder.
    """
    file = path() if source == NAME else Path(source)
    if not file.is_file():
        raise ModelError(
            f"{file}, the weights of the encoder, is not there; get them with bids_stroke-models fetch "
            f"{NAME}, name a file as encoder in the recipe, or train without (s5_scratch)."
        )
    resnet50_unet.load_encoder(network, _read(file))


def _read(path: Path) -> dict[str, torch.Tensor]:
    """State dictionary of a file; nothing in it is executed."""
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # pickle, zip and OS errors alike
        reason = " ".join(str(error).split())[:200]
        raise ModelError(f"{path} cannot be read as weights ({reason}); get it again.") from None
