"""Weights of a model: location, verification, loading and writing."""

from collections.abc import Iterator, Mapping
from importlib import import_module
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from safetensors.torch import save as to_bytes

from bids_stroke.errors import ModelError
from bids_stroke.utils.files import PathLike, atomic, checksum

from .card import Card, Network, Weights

#: Checkpoints of nnU-Net v2 and v1, and what to check if the weights do not fit.
_CHECKPOINTS = {
    ".pth": "plans.json and dataset.json",
    ".model": "that the trainer is nnUNetTrainerV2 with the layers of nnU-Net",
}
FAMILIES = ("unet3d", "resunet3d", "dynamic_unet", "planar")


def save(state: Mapping[str, torch.Tensor], path: PathLike) -> Path:
    """Write a state dictionary as safetensors (atomically).

    ``save_file`` of safetensors ignores the umask: only the owner can read its files.
    """
    content = to_bytes({name: values.detach().cpu().contiguous() for name, values in state.items()})
    with atomic(path) as partial:
        partial.write_bytes(content)
    return Path(path)


def locate(card: Card, fold: Weights | None = None) -> Path:
    """Return the path of the weights of ``card``, or of one ``fold``, after verifying the checksum.

    Raises
    ------
    ModelError
        If the file is missing, damaged, or not downloaded yet.
    """
    fold = fold or card.weights
    if not fold.file and not fold.url:
        raise ModelError(f"{card.path} has no weights; add weights: file or weights: url.")
    path = card.weights_path(fold)
    if not path.is_file() and fold.url:
        raise ModelError(
            f"The weights of model {card.name} are not downloaded yet; download them with "
            f"bids_stroke-models fetch {card.path}."
        )
    if not path.is_file():
        raise ModelError(
            f"{path}, the weights of model {card.name}, is missing; install the model again."
        )
    if checksum(path) != fold.sha256:
        raise ModelError(f"{path} does not match the checksum in {card.path}; download it again.")
    return path


def load(card: Card) -> torch.nn.Module:
    """Build the network of ``card`` with its weights, in evaluation mode.

    Raises
    ------
    ModelError
        If the network family is unknown, or the weights are not safetensors or do not fit the network.
    """
    return next(load_folds(card))


def load_folds(card: Card) -> Iterator[torch.nn.Module]:
    """Yield the network of ``card`` with the weights of each fold in turn."""
    for fold in card.all_weights:
        yield network(card, state(card, fold)).eval()


def state(card: Card, fold: Weights | None = None) -> dict[str, torch.Tensor]:
    """Read the state dictionary of a card, or of one ``fold``.

    Raises
    ------
    ModelError
        If the weights cannot be read.
    """
    path = locate(card, fold)
    if path.suffix in _CHECKPOINTS:
        from bids_stroke.models.nnunet.checkpoint import load_state

        return load_state(path)
    try:
        return load_file(path)
    except SafetensorError:
        raise ModelError(
            f"The weights of {card.path} cannot be read; {path} is not a safetensors file."
        ) from None


def network(card: Card, values: Mapping[str, torch.Tensor]) -> torch.nn.Module:
    """Build the network of ``card`` and load a state dictionary.

    Raises
    ------
    ModelError
        If the network family is unknown, or the weights do not fit.
    """
    family = card.network.family
    if family not in FAMILIES:
        raise ModelError(
            f"{card.path} has the unknown network family {family}; use one of {', '.join(FAMILIES)}."
        )
    try:
        built = build(card.network)
        built.load_state_dict(values)
    except (KeyError, TypeError, ValueError, RuntimeError):
        suffix = Path(card.weights.file or "").suffix
        source = _CHECKPOINTS.get(suffix, "network: arguments in the card")
        raise ModelError(
            f"The weights of {card.path} do not fit its network; check {source}."
        ) from None
    return built


def build(network: Network) -> torch.nn.Module:
    """Build a network with initial weights."""
    family = import_module(f"bids_stroke.models.networks.{network.family}")
    return family.build(**network.arguments)
