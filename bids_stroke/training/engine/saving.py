"""Output files of a training: weights and logs."""

from pathlib import Path

from lightning.pytorch.loggers import CSVLogger, Logger, TensorBoardLogger
from safetensors.torch import save_file
from torch import nn

from bids_stroke.utils.files import PathLike, atomic

WEIGHTS, SUMMARY = "weights.safetensors", "summary.json"


def loggers(out: Path) -> list[Logger]:
    """Return the loggers of a training (CSV and TensorBoard)."""
    return [CSVLogger(out, name="log"), TensorBoardLogger(out, name="tensorboard", version="")]


def save_weights(network: nn.Module, path: PathLike) -> Path:
    """Write the state dictionary of ``network`` as safetensors (atomically).

    Parameters are stored as float16; buffers keep their type.
    """
    parameters = {name for name, _ in network.named_parameters()}
    state = {
        name: (values.half() if name in parameters else values).detach().cpu().contiguous()
        for name, values in network.state_dict().items()
    }
    with atomic(path) as partial:
        save_file(state, partial)
    return Path(path)
