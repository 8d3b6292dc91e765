"""Cards made of what a training left."""

from pathlib import Path

import yaml
from safetensors.torch import load_file

from bids_stroke.errors import ModelError
from bids_stroke.models import catalog, frame, weights
from bids_stroke.models.writing import UNCHOSEN, describe, write, write_card
from bids_stroke.training.patients import split

from . import recipes

RESULTS = "results"  # of an nnU-Net, in the folder of its training
SPLIT = "split.tsv"


def export(run, out, name=None, licence=UNCHOSEN):
    """Make cards of a training on patients.

    Parameters
    ----------
    run : Path
        Folder of ``bids_stroke-train``, or results folder of an nnU-Net.
    out : Path
        Receives ``NAME.yaml`` and weights as safetensors; for snapshots, a card of each, and one of
        the ensemble, ``NAME-E.yaml``; for several runs, a card of each and of each ensemble of the
        recipe.
    name : str, optional
        Default: that of the recipe. Several runs have their own.
    licence : str

    Returns
    -------
    list of Path
        The cards; that of an ensemble comes last.

    Raises
    ------
    ModelError
        If the training is not complete.
    """
    run = Path(run)
    if (run / "plans.json").is_file():
        return [_nnunet(f"{catalog.NNUNET}{run}", {}, out, name, licence)]
    if not (run / "recipe.yaml").is_file():
        raise ModelError(f"{run} has no recipe.yaml; give the folder of a training on patients.")
    recipe = yaml.safe_load((run / "recipe.yaml").read_text())
    name = name or recipe["name"]
    if "nnunet" in recipe:
        card = recipe["card"]
        folder = next((run / RESULTS).glob("*/*/plans.json"), None)
        if not folder:
            raise ModelError(f"{run} holds no trained nnU-Net yet; give its command again.")
        source = f"{catalog.NNUNET}{folder.parent}?checkpoint={card['checkpoint']}"
        described = {key: value for key, value in card.items() if key != "checkpoint"}
        return [_nnunet(source, described, out, name, licence)]
    if "runs" in recipe:
        return _several(recipe, run, out, licence)
    return _staged(recipe, run, run / SPLIT, out, name, licence)


def _several(recipe, run, out, licence):
    """Cards of every run, and of the ensembles that the recipe names."""
    made = [
        path
        for name, one in recipes.expand_runs(recipe).items()
        for path in _staged(one, run / name, run / SPLIT, out, name, licence)
    ]
    card = recipe["card"]
    for name, content in recipe.get("ensembles", {}).items():
        content = {
            "name": name,
            **content,
            "members": [f"{member}.yaml" for member in content["members"]],
            "threshold": 0.5,
            "min_component_mm3": card["min_component_mm3"],
            "trained_on": f"Members by the recipe {recipe['name']}.",
            "measured": [],
            "notes": card["notes"],
            "citation": card["citation"],
        }
        made.append(write_card(content, out))
    return made


def _nnunet(source, described, out, name, licence):
    """A card of an nnU-Net: its checkpoints without all that is not weights."""
    model = catalog.load(source)
    states = [weights.state(model, one) for one in model.all_weights]
    content = describe(model) | described | {"name": name or model.name}
    return write(content, states, out, licence)


def _staged(recipe, run, parts, out, name, licence):
    stage = recipe["stages"][-1]
    folder = run / stage["name"]
    if not (folder / "summary.json").is_file():
        raise ModelError(f"The training in {run} is not complete; give its command again.")
    common = _described(recipe, parts)
    one = write({"name": name, **common}, [load_file(folder / "weights.safetensors")], out, licence)
    members = []
    for epoch in stage.get("snapshots", ()):
        state = load_file(folder / f"snapshot-{epoch}.safetensors")
        members.append(write({"name": f"{name}-{epoch}", **common}, [state], out, licence))
    if not members:
        return [one]
    kept = ("threshold", "min_component_mm3", "trained_on", "measured", "citation")
    content = {
        "name": f"{name}-E",
        "members": [path.name for path in members],
        "fusion": "mean",
        **{key: common[key] for key in kept},
        "notes": ["Mean of the probabilities of snapshots of one training.", *common["notes"]],
    }
    return [one, *members, write_card(content, out)]


def _described(recipe, path):
    """What the cards of a run share; ``path`` is that of the split."""
    data, card = recipe["data"], recipe["card"]
    parts = split.read(path)["part"].value_counts()
    counts = ", ".join(f"{number} for {part}" for part, number in parts.items())
    groups = data.get("inputs") or [data["contrasts"]]
    content = {
        "network": recipe["network"],
        "channels": [
            {"contrast": contrast, "required": all(contrast in group for group in groups)}
            for contrast in data["contrasts"]
        ],
        "inputs": sorted(groups, key=len, reverse=True),
        "space": data["space"],
        "spacing": data["spacing"],
        "tile": recipe["stages"][-1]["tile"],
        "normalization": "zscore",
        "trained_on": f"Recipe {recipe['name']}; subjects: {counts}.",
        "measured": [],
        **card,
    }
    if data["space"] == frame.NATIVE:
        content.pop("window", None)
    return content
