"""Weights of networks that train, as files."""

from pathlib import Path

from safetensors.torch import save_file
from torch import nn

from bids_stroke.utils.files import PathLike, atomic

WEIGHTS, SUMMARY = "weights.safetensors", "summary.json"


def save_weights(network: nn.Module, path: PathLike) -> Path:
    """Write the state dictionary of ``network`` as safetensors (atomic): parameters as float16, and
    what a normalization has counted as it is."""
    halved = {name for name, _ in network.named_parameters()}
    state = {
        name: (values.half() if name in halved else values).detach().cpu().contiguous()
        for name, values in network.state_dict().items()
    }
    with atomic(path) as partial:
        save_file(state, partial)
    return Path(path)
