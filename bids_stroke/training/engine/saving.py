"""Output files of a training: weights and logs."""

from pathlib import Path

from lightning.pytorch.loggers import CSVLogger, Logger, TensorBoardLogger
from torch import nn

from bids_stroke.models import weights
from bids_stroke.utils.files import PathLike

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
        name: values.half() if name in parameters else values
        for name, values in network.state_dict().items()
    }
    return weights.save(state, path)
