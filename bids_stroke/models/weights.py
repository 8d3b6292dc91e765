"""Weights of a model: found beside its card or where they were fetched to, and always checked."""

from importlib import import_module

from bids_stroke.data import DATA
from bids_stroke.errors import ModelError
from bids_stroke.utils.cache import cache_dir
from bids_stroke.utils.files import checksum

FAMILIES = ("unet3d", "resunet3d", "dynamic_unet", "planar")


def locate(card, one=None):
    """Path of the weights of ``card``, or of ``one`` of its folds, after a check of the checksum.

    Raises
    ------
    ModelError
        If the file is missing or damaged, or was not fetched yet.
    """
    one = one or card.weights
    if not one.file and not one.url:
        raise ModelError(f"{card.path} names no weights; add weights: file or url.")
    path = place(card, one)
    if not path.is_file() and one.url:
        raise ModelError(
            f"The weights of model {card.name} are not here yet; get them once with "
            f"bids_stroke-models fetch {card.path}."
        )
    if not path.is_file():
        raise ModelError(f"{path}, the weights of model {card.name}, is missing; install it again.")
    if checksum(path) != one.sha256:
        raise ModelError(f"{path} does not match the checksum in {card.path}; fetch it again.")
    return path


def place(card, one):
    """Where weights are: beside the card, embedded, or in the cache (``$BIDS_STROKE_HOME`` or
    ``~/.cache/bids_stroke``), where they are named by their checksum."""
    if not one.file:
        return cache_dir() / "weights" / f"{card.name}-{one.sha256[:16]}.safetensors"
    beside = card.path.parent / one.file
    embedded = DATA / "weights" / one.file
    return beside if beside.is_file() else embedded


def load(card):
    """Build the network of ``card`` with its weights, ready for inference.

    Raises
    ------
    ModelError
        If the family is unknown, the weights are no safetensors, or do not fit the network.
    """
    return next(load_folds(card))


def load_folds(card):
    """Yield the network of ``card`` with the weights of each fold, one after the other."""
    for one in card.all_weights:
        yield network(card, state(card, one)).eval()


def state(card, one=None):
    """State dictionary of the weights of a card, or of ``one`` of its folds.

    Raises
    ------
    ModelError
        If they cannot be read.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    path = locate(card, one)
    if path.suffix == ".pth":
        from bids_stroke.models.networks.dynamic_unet import canonical
        from bids_stroke.models.nnunet.checkpoint import load_checkpoint

        return canonical(load_checkpoint(path)["network_weights"])
    try:
        return load_file(path)
    except SafetensorError:
        raise ModelError(
            f"The weights of {card.path} do not fit its network; {path} is no safetensors file."
        ) from None


def network(card, values):
    """Build the network of ``card`` and give it weights.

    Raises
    ------
    ModelError
        If the family is unknown, or the weights do not fit.
    """
    family = card.network.get("family")
    if family not in FAMILIES:
        raise ModelError(
            f"{card.path} names the network family {family}; known: {', '.join(FAMILIES)}."
        )
    try:
        built = build(card.network)
        built.load_state_dict(values)
    except (KeyError, TypeError, ValueError, RuntimeError):
        raise ModelError(
            f"The weights of {card.path} do not fit its network; check network: arguments."
        ) from None
    return built


def build(section):
    """The network of a card's ``network`` section, its weights initialized."""
    family = import_module(f"bids_stroke.models.networks.{section['family']}")
    return family.build(**section["arguments"])
