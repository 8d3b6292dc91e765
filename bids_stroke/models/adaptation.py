"""Adaptation of a trained network to more channels or another plan (Meddahi et al. 2023, 2024).

The tensors of the first convolution are expanded: the weights of new channels are added to those of
the source channels. Other convolutions are resized if their kernel size differs. Tensors of the same
shape are copied. Tensors without a counterpart keep the initialization of the target network.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple, TypeAlias

import pandas as pd
import torch
from torch.nn import functional

from bids_stroke.bids.derivatives import write_tsv
from bids_stroke.errors import InvalidModelError, ModelError, UsageError
from bids_stroke.utils.files import PathLike

from . import weights
from .card import CONTRASTS, Card, Network
from .ensembles import Model
from .writing import describe, write

State: TypeAlias = Mapping[str, torch.Tensor]
#: Initialization of channels that the source lacks (:func:`bids_stroke.models.adaptation.adapt`).
NewChannels: TypeAlias = Literal["duplicated", "zeros"]


class AdaptedTensor(NamedTuple):
    """Adaptation of one tensor: action, and shapes in the source and the target (``32×1×3×3×3``)."""

    tensor: str
    action: str
    source_shape: str | None
    target_shape: str


@dataclass(frozen=True)
class Report:
    """Adaptation of every tensor of a network."""

    rows: list[AdaptedTensor]

    def counts(self) -> dict[str, int]:
        """Return the number of tensors for each action."""
        actions = [row.action for row in self.rows]
        return {action: actions.count(action) for action in dict.fromkeys(actions)}

    def write(self, path: PathLike) -> Path:
        """Write the rows as TSV."""
        return write_tsv(pd.DataFrame(self.rows, columns=list(AdaptedTensor._fields)), path)


@dataclass(frozen=True)
class _Channels:
    """Contrasts of the source and of the target, in channel order, and the initialization of new
    channels."""

    source: Sequence[str]
    target: Sequence[str]
    new: NewChannels


def adapt(
    state: State,
    target: State,
    channels: Sequence[str],
    contrasts: Sequence[str],
    new: NewChannels = "duplicated",
) -> tuple[dict[str, torch.Tensor], list[AdaptedTensor]]:
    """Adapt the weights of one network to another.

    Parameters
    ----------
    state : dict of str to tensor
        Weights of the source network.
    target : dict of str to tensor
        Initial weights of the target network.
    channels, contrasts : sequence of str
        Contrasts of the source and of the target, in channel order.
    new : {"duplicated", "zeros"}
        Weights of channels that the source lacks. ``duplicated``: the mean over the source channels;
        the weights of all channels are then scaled (halved for two channels), so that equal channels
        give the output of one channel. ``zeros``: zeros.

    Returns
    -------
    tuple of (dict of str to tensor, list of AdaptedTensor)
        Weights for the target, and the rows of a :class:`bids_stroke.models.adaptation.Report`.

    Raises
    ------
    ModelError
        If the networks share no tensor, or the target lacks a channel of the source.
    """
    if not set(channels) <= set(contrasts):
        raise ModelError(
            f"The model requires the channels {', '.join(channels)} and cannot be adapted to "
            f"{', '.join(contrasts)}; keep these channels and add others."
        )
    first = next(name for name, initial in target.items() if initial.ndim == 5)
    expansion = _Channels(channels, contrasts, new) if list(channels) != list(contrasts) else None
    adapted: dict[str, torch.Tensor] = {}
    rows: list[AdaptedTensor] = []
    for name, initial in target.items():
        reads_input = initial.ndim == 5 and name in (first, _skip_of(first))
        source = state.get(name)
        adapted[name], action = _fit(source, initial, expansion if reads_input else None)
        shape = None if source is None else _format(source)
        rows.append(AdaptedTensor(name, action, shape, _format(initial)))
    if all(row.action == "new" for row in rows):
        raise ModelError("The networks share no tensor; choose a model of the same family.")
    return adapted, rows


def adapt_model(
    source: Model,
    contrasts: Sequence[str],
    out: PathLike,
    new: NewChannels = "duplicated",
    target: Model | None = None,
) -> tuple[Path, Report]:
    """Adapt a model to more channels and write it as a card for fine-tuning.

    Parameters
    ----------
    source : Card
        Ensembles are not supported.
    contrasts : sequence of str
        Contrasts of the adapted model, in channel order.
    out : Path
        Output folder for ``NAME-T1wFLAIR.yaml``, its weights, and ``adapt.tsv``, which lists the
        adaptation of each tensor.
    new : {"duplicated", "zeros"}
        Initialization of new channels (:func:`bids_stroke.models.adaptation.adapt`).
    target : Card, optional
        Model that defines the network and the plan of the adapted model; its weights are not used.

    Returns
    -------
    tuple of (Path, Report)

    Raises
    ------
    ModelError, UsageError
        If a contrast is unknown, a model is an ensemble, or the networks do not match.
    """
    source = _network_card(source)
    unknown = set(contrasts) - set(CONTRASTS)
    if unknown:
        raise UsageError(f"Unknown contrast {', '.join(unknown)}; use {', '.join(CONTRASTS)}.")
    content = describe(_network_card(target or source)) | {
        "name": f"{source.name}-{''.join(contrasts)}",
        "channels": [{"contrast": contrast} for contrast in contrasts],
        "trained_on": f"Adapted from {source.name} ({source.sha256[:12]}); not fine-tuned yet.",
        "measured": [],
    }
    content.pop("inputs", None)
    content["network"]["arguments"]["in_channels"] = len(contrasts)
    if "plan" in content:
        content["plan"]["masked"] = content["plan"]["masked"][:1] * len(contrasts)
    initial = weights.build(Network(**content["network"])).state_dict()
    channels = [channel.contrast for channel in source.channels]
    states = []
    rows: list[AdaptedTensor] = []
    for fold in source.all_weights:
        state, rows = adapt(weights.state(source, fold), initial, channels, contrasts, new)
        states.append(state)
    report = Report(rows)
    report.write(Path(out) / "adapt.tsv")
    return write(content, states, out, source.licence), report


def _network_card(model: Model) -> Card:
    if not isinstance(model, Card):
        raise InvalidModelError(f"{model.name} is an ensemble; adapt one of its members.")
    return model


def _skip_of(first: str) -> str:
    """Return the name of the skip projection of the residual unit that starts with ``first``."""
    stem = first.partition("conv.")[0]
    return f"{stem}residual.weight"


def _fit(
    source: torch.Tensor | None, initial: torch.Tensor, expansion: _Channels | None
) -> tuple[torch.Tensor, str]:
    """Return the adapted weights of a tensor and the action that was taken."""
    values, actions = source, []
    if values is not None and expansion:
        values = _expand(values, expansion)
        actions.append("expanded")
    if values is not None and values.shape != initial.shape:
        values = _resize(values, initial.shape)
        actions.append("resized")
    if values is None:
        return initial, "new"
    return values.to(initial.dtype), " and ".join(actions) or "copied"


def _expand(values: torch.Tensor, channels: _Channels) -> torch.Tensor:
    """Expand weights (features, channels, …) to more channels; a contrast may have several channels."""
    planes = values.shape[1] // len(channels.source)
    by_contrast = dict(zip(channels.source, values.split(planes, 1), strict=True))
    mean = torch.stack(list(by_contrast.values())).mean(0)
    if channels.new == "zeros":
        parts = [by_contrast.get(c, torch.zeros_like(mean)) for c in channels.target]
    else:
        share = len(channels.source) / len(channels.target)
        parts = [by_contrast.get(c, mean) * share for c in channels.target]
    return torch.cat(parts, 1)


def _resize(values: torch.Tensor, shape: torch.Size) -> torch.Tensor | None:
    """Interpolate the kernel of a convolution to another size, or return None if more differs.

    The weights are scaled by the number of voxels, so that the response to a constant image is nearly
    the same.
    """
    if values.ndim != 5 or values.shape[:2] != shape[:2]:
        return None
    kernel = functional.interpolate(values.float(), tuple(shape[2:]), mode="trilinear")
    scale = values[0, 0].numel() / kernel[0, 0].numel()
    return kernel * scale


def _format(values: torch.Tensor) -> str:
    return "×".join(map(str, values.shape))
