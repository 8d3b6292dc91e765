"""Files of a training: the weights of its network and its logs."""

from pathlib import Path

from lightning.pytorch.loggers import CSVLogger, Logger, TensorBoardLogger
from safetensors.torch import save_file
from torch import nn

from bids_stroke.utils.files import PathLike, atomic

WEIGHTS, SUMMARY = "weights.safetensors", "summary.json"


def loggers(out: Path) -> list[Logger]:
    """Loggers of the scores of a training, as CSV and for TensorBoard."""
    return [CSVLogger(out, name="log"), TensorBoardLogger(out, name="tensorboard", version="")]


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
