"""Cards and their weights, written."""

from pathlib import Path

from safetensors.torch import save_file

from bids_stroke.utils import files, safe_yaml
from bids_stroke.utils.files import atomic

from . import catalog

UNCHOSEN = "not chosen yet"  # licence of weights that someone trained


def describe(card):
    """The content of a card without weights, plain enough for YAML."""
    content = {
        "name": card.name,
        "network": card.network,
        "channels": [{"contrast": c.contrast, "required": c.required} for c in card.channels],
        "inputs": [list(group) for group in card.inputs],
        "space": card.space,
        "spacing": list(card.spacing),
        "tile": list(card.tile),
        "window": card.window and list(card.window),
        "normalization": card.normalization,
        "plan": card.plan,
        "threshold": card.threshold,
        "min_component_mm3": card.min_component_mm3,
        "trained_on": card.trained_on,
        "measured": card.measured,
        "notes": card.notes,
        "citation": card.citation,
    }
    optional = ("inputs", "window", "plan")
    return {key: value for key, value in content.items() if value or key not in optional}


def write(content, states, out, licence=UNCHOSEN):
    """Write a card, and the weights of each of its folds as safetensors beside it.

    Parameters
    ----------
    content : dict
        The card without weights.
    states : sequence of dict of str to tensor
    out : Path
        Receives ``NAME.yaml``.

    Returns
    -------
    Path
        Of the card, which was read back.
    """
    sections = []
    for number, state in enumerate(states):
        name = f"{content['name']}-fold{number}" if len(states) > 1 else content["name"]
        path = Path(out) / f"{name}.safetensors"
        with atomic(path) as partial:
            save_file({key: values.contiguous() for key, values in state.items()}, partial)
        known = {"sha256": files.checksum(path), "bytes": path.stat().st_size}
        sections.append({"file": path.name, **known, "licence": licence})
    more = {"folds": sections[1:]} if len(sections) > 1 else {}
    return write_card({**content, "weights": sections[0], **more}, out)


def write_card(content, out):
    """Write a card whose weights are there, and read it back."""
    path = Path(out) / f"{content['name']}.yaml"
    with atomic(path) as partial:
        partial.write_text(safe_yaml.text(content))
    catalog.load(path)
    return path
