"""A trained network taken to further channels, or to another plan (Meddahi et al. 2023, 2024).

Tensors of the first convolution are expanded: to the weights of the channels that the source knows
come those of the new ones. Other convolutions whose kernel differs are resized. What fits is copied,
and what has no counterpart stays as the target was initialized.
"""

from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import torch
from torch.nn import functional

from bids_stroke.bids.derivatives import write_tsv
from bids_stroke.errors import ModelError

from . import weights
from .card import CONTRASTS
from .writing import describe, write


@dataclass(frozen=True)
class Report:
    """What became of every tensor: rows of name, action, shape in the source and in the target."""

    rows: list

    def counts(self):
        """Tensors by action."""
        actions = [row[1] for row in self.rows]
        return {action: actions.count(action) for action in dict.fromkeys(actions)}

    def write(self, path):
        """Write the rows as TSV."""
        columns = ["tensor", "action", "source_shape", "target_shape"]
        return write_tsv(pd.DataFrame(self.rows, columns=columns), path)


def adapt(state, target, channels, contrasts, new="duplicated"):
    """Make weights fit a network.

    Parameters
    ----------
    state : dict of str to tensor
        The source's weights.
    target : dict of str to tensor
        The network's own, in their shapes.
    channels, contrasts : sequence of str
        Contrasts of the source and of the target, in the order of their channels.
    new : {"duplicated", "zeros"}
        Weights of channels that the source does not know: those of the known ones, all of them
        divided (halved for two channels), so that equal channels give what one gave; or zeros.

    Returns
    -------
    tuple of (dict of str to tensor, list)
        Weights for the target, and the rows of a :class:`Report`.

    Raises
    ------
    ModelError
        If the networks have nothing in common, or the target lacks a channel of the source.
    """
    if not set(channels) <= set(contrasts):
        raise ModelError(
            f"The model takes {', '.join(channels)}; adapt it to these and further channels, "
            f"not to {', '.join(contrasts)}."
        )
    first = next(name for name, values in target.items() if values.ndim == 5)
    inputs = [name for name, values in target.items() if values.ndim == 5 and _reads(name, first)]
    found, rows = {}, []
    for name, wanted in target.items():
        values, actions = state.get(name), []
        if values is not None and name in inputs and list(channels) != list(contrasts):
            values = _expand(values, channels, contrasts, new)
            actions.append("expanded")
        if values is not None and values.shape != wanted.shape:
            values = _resize(values, wanted.shape)
            actions.append("resized")
        action = "new" if values is None else " and ".join(actions) or "copied"
        found[name] = wanted if values is None else values.to(wanted.dtype)
        source = list(state[name].shape) if name in state else None
        rows.append((name, action, _shape(source), _shape(wanted.shape)))
    if all(action == "new" for _, action, _, _ in rows):
        raise ModelError("The networks have nothing in common; choose a model of the same family.")
    return found, rows


def adapt_model(source, contrasts, out, new="duplicated", target=None):
    """Adapt a model to further channels and write it as a card, ready to be fine-tuned.

    Parameters
    ----------
    source : Card
    contrasts : sequence of str
    out : Path
        Receives ``NAME-T1wFLAIR.yaml``, its weights, and ``adapt.tsv``, what became of each tensor.
    new : {"duplicated", "zeros"}
    target : Card, optional
        The model whose network and plan it shall have; its weights are not used.

    Returns
    -------
    tuple of (Path, Report)
    """
    if source.leaves != (source,):
        raise ModelError(f"{source.name} is an ensemble; adapt one of its members.")
    unknown = set(contrasts) - set(CONTRASTS)
    if unknown:
        raise ModelError(f"There is no contrast {', '.join(unknown)}; use {', '.join(CONTRASTS)}.")
    content = describe(target or source) | {
        "name": f"{source.name}-{''.join(contrasts)}",
        "channels": [{"contrast": contrast} for contrast in contrasts],
        "trained_on": f"Adapted from {source.name} ({source.sha256[:12]}), and not fine-tuned yet.",
        "measured": [],
    }
    content.pop("inputs", None)
    count = {"in_channels": len(contrasts)}
    content["network"] = content["network"] | {"arguments": content["network"]["arguments"] | count}
    if content.get("plan"):
        masked = content["plan"]["masked"]
        content["plan"] = content["plan"] | {"masked": masked[:1] * len(contrasts)}
    wanted = weights.build(content["network"]).state_dict()
    channels = [channel.contrast for channel in source.channels]
    states = []
    for one in source.all_weights:
        state, rows = adapt(weights.state(source, one), wanted, channels, contrasts, new)
        states.append(state)
    report = Report(rows)
    report.write(Path(out) / "adapt.tsv")
    return write(content, states, out, source.licence), report


def _reads(name, first):
    """Tell whether a tensor is applied to the network's input: the first convolution, or the
    projection that skips the residual unit that it starts."""
    return name == first or name == _skip_of(first)


def _skip_of(first):
    stem = first.partition("conv.")[0]
    return f"{stem}residual.weight"


def _expand(values, channels, contrasts, new):
    """Weights (features, channels, …) for more channels; several planes may belong to a channel."""
    planes = values.shape[1] // len(channels)
    known = {c: values[:, n * planes : (n + 1) * planes] for n, c in enumerate(channels)}
    mean = torch.stack(list(known.values())).mean(0)
    if new == "zeros":
        parts = [known.get(c, torch.zeros_like(mean)) for c in contrasts]
    else:
        share = len(channels) / len(contrasts)
        parts = [known.get(c, mean) * share for c in contrasts]
    return torch.cat(parts, 1)


def _resize(values, shape):
    """A convolution's kernel interpolated to another size, weaker as it has more weights, so that a
    constant image gives nearly the same; None where more differs."""
    if values.ndim != 5 or values.shape[:2] != shape[:2]:
        return None
    kernel = functional.interpolate(values.float(), tuple(shape[2:]), mode="trilinear")
    scale = values[0, 0].numel() / kernel[0, 0].numel()
    return kernel * scale


def _shape(shape):
    return None if shape is None else "×".join(map(str, shape))
