"""Export of networks to ONNX, for inference with other programs."""

import json
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path

import torch

from bids_stroke.errors import ResourceError
from bids_stroke.models.nnunet import inference as nnunet_inference
from bids_stroke.utils.files import PathLike, atomic

from . import weights
from .card import Card
from .ensembles import Model

#: Names of the input and of the output.
INPUT, OUTPUT = "images", "logits"
_PACKAGES = ("onnx", "onnxscript")


class _Exported(torch.nn.Module):
    """Network from float32 images to the float32 logit of the lesion, optionally in half precision."""

    def __init__(self, network: torch.nn.Module, is_nnunet: bool, half: bool) -> None:
        super().__init__()
        self.network = network.half() if half else network
        self.is_nnunet, self.half_precision = is_nnunet, half

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Map images to logits."""
        output = self.network(images.half() if self.half_precision else images).float()
        return nnunet_inference.foreground_logit(output) if self.is_nnunet else output


def export_onnx(model: Model, out: PathLike, half: bool = False) -> list[Path]:
    """Write each network of a model as an ONNX file.

    The input ``images`` is a tile of the standardized channels, and the output ``logits`` is the logit
    of the lesion, both float32. The metadata of a file state what is needed to prepare the input and
    to combine the tiles (:func:`bids_stroke.models.onnx_export.metadata`).

    Parameters
    ----------
    model : Card or Ensemble
        The networks of an ensemble are exported, not their combination.
    out : path
        Output folder for ``NAME.onnx``, or ``NAME-fold0.onnx`` … for several folds; the names end with
        ``-float16`` in half precision.
    half : bool
        Store the weights, and compute, in half precision.

    Returns
    -------
    list of Path

    Raises
    ------
    ResourceError
        If the packages of the extra ``onnx`` are not installed.
    ModelError
        If the weights are missing or damaged.
    """
    if any(find_spec(package) is None for package in _PACKAGES):
        raise ResourceError(
            "The export to ONNX needs the packages onnx and onnxscript; install them with "
            "pip install bids_stroke[onnx]."
        )
    paths = []
    for card in model.leaves:
        for number, network in enumerate(weights.load_folds(card)):
            stem = f"{card.name}-fold{number}" if card.folds else card.name
            path = Path(out) / f"{stem}{'-float16' if half else ''}.onnx"
            paths.append(_write(card, _Exported(network, card.is_nnunet, half).eval(), path))
    return paths


def input_shape(card: Card) -> tuple[int, ...]:
    """Return the shape of the network's input: one image, its channels, and the tile."""
    if card.is_nnunet:
        tile = nnunet_inference.network_tile(card)
    else:
        tile = tuple(side for axis, side in enumerate(card.tile) if axis != card.plane)
    return (1, len(card.channels) * (2 if card.mirror else 1), *tile)


def metadata(card: Card) -> dict[str, str]:
    """Return the properties of a network that its use requires, as JSON by name."""
    properties = {
        "name": card.name,
        "contrasts": [channel.contrast for channel in card.channels],
        "inputs": card.inputs,
        "mirror": card.mirror,
        "space": card.space,
        "spacing": card.spacing,
        "tile": card.tile,
        "normalization": card.normalization,
        "plan": card.plan and asdict(card.plan),
        "threshold": card.threshold,
        "min_component_mm3": card.min_component_mm3,
        "license": card.licence,
        "citation": card.citation,
    }
    return {name: json.dumps(value) for name, value in properties.items()}


def _write(card: Card, network: torch.nn.Module, path: Path) -> Path:
    example = torch.zeros(input_shape(card))
    with _quiet():
        program = torch.onnx.export(
            network,
            (example,),
            input_names=[INPUT],
            output_names=[OUTPUT],
            dynamo=True,
            verbose=False,
        )
    assert program is not None  # as dynamo=True
    program.model.metadata_props.update(metadata(card))
    with atomic(path) as partial:
        program.save(partial)
    return path


@contextmanager
def _quiet() -> Iterator[None]:
    """Suppress the messages of the exporter, which concern operators of other packages."""
    level = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(action="ignore"):
            yield
    finally:
        logging.disable(level)
