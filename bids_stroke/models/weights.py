"""Weights of a model: found beside its card or downloaded once, and always checked."""

import hashlib
from importlib import import_module
from importlib.resources import files
from pathlib import Path

from ..errors import ModelError
from ..settings import cache_dir

FAMILIES = ("unet3d",)


def locate(card):
    """Path of the weights of ``card``; a URL is downloaded once to the cache.

    The cache is ``$BIDS_STROKE_HOME`` or ``~/.cache/bids_stroke``.

    Raises
    ------
    ModelError
        If the file is missing or damaged, or cannot be downloaded.
    """
    weights = card.weights
    if weights.file:
        beside = card.path.parent / weights.file
        embedded = Path(str(files("bids_stroke") / "data" / "weights")) / weights.file
        path = beside if beside.is_file() else embedded
    elif weights.url:
        path = _download(card)
    else:
        raise ModelError(f"{card.path} names no weights; add weights: file or url.")
    if not path.is_file():
        raise ModelError(f"{path}, the weights of model {card.name}, is missing; install it again.")
    if hashlib.sha256(path.read_bytes()).hexdigest() != weights.sha256:
        raise ModelError(f"{path} does not match the checksum in {card.path}; fetch it again.")
    return path


def _download(card):
    import pooch

    cache = cache_dir()
    try:
        return Path(
            pooch.retrieve(
                card.weights.url,
                known_hash=f"sha256:{card.weights.sha256}",
                fname=f"{card.name}.safetensors",
                path=cache,
            )
        )
    except (OSError, ValueError) as error:
        raise ModelError(
            f"{card.weights.url}, the weights of model {card.name}, cannot be downloaded "
            f"({error}); download it elsewhere and name it as file in {card.path}."
        ) from None


def load(card):
    """Build the network of ``card`` with its weights, ready for inference.

    Raises
    ------
    ModelError
        If the family is unknown, the weights are no safetensors, or do not fit the network.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    family = card.network.get("family")
    if family not in FAMILIES:
        raise ModelError(
            f"{card.path} names the network family {family}; known: {', '.join(FAMILIES)}."
        )
    path = locate(card)
    try:
        network = import_module(f"bids_stroke.models.{family}").build(**card.network["arguments"])
        network.load_state_dict(load_file(path))
    except (KeyError, TypeError, ValueError, RuntimeError, SafetensorError):
        raise ModelError(
            f"The weights of {card.path} do not fit its network; check network: arguments."
        ) from None
    return network.eval()
