"""Export of a finished training as model cards."""

from dataclasses import asdict
from pathlib import Path

from safetensors.torch import load_file

from bids_stroke.errors import ModelError
from bids_stroke.models import catalog, frame, weights
from bids_stroke.models.card import Card
from bids_stroke.models.writing import UNCHOSEN, describe, write, write_card
from bids_stroke.utils.files import PathLike

from .patients import split
from .recipe_settings import NNUNetRecipe, PatientRecipe, RunsRecipe, Section, StagedRecipe
from .recipes import parse_patients, read_content

RESULTS = "results"  # of an nnU-Net, in the folder of its training
RECIPE, SPLIT = "recipe.yaml", "split.tsv"


def export(
    run: PathLike, out: PathLike, name: str | None = None, licence: str = UNCHOSEN
) -> list[Path]:
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
    run, out = Path(run), Path(out)
    if (run / "plans.json").is_file():
        return [_nnunet(f"{catalog.NNUNET}{run}", {}, out, name, licence)]
    recipe = read_saved_recipe(run)
    if isinstance(recipe, NNUNetRecipe):
        return [_trained_nnunet(recipe, run, out, name, licence)]
    if isinstance(recipe, RunsRecipe):
        return _several(recipe, run, out, licence)
    assert isinstance(recipe, StagedRecipe)
    return _staged(recipe, run, run / SPLIT, out, name or recipe.name, licence)


def read_saved_recipe(run: Path) -> PatientRecipe:
    """The recipe that a training on patients has written.

    Raises
    ------
    ModelError
        If there is none.
    """
    path = run / RECIPE
    if not path.is_file():
        raise ModelError(f"{run} has no recipe.yaml; give the folder of a training on patients.")
    return parse_patients(read_content(path), str(path))


def _several(recipe: RunsRecipe, run: Path, out: Path, licence: str) -> list[Path]:
    """Cards of every run, and of the ensembles that the recipe names."""
    made = [
        path
        for name, member in recipe.runs.items()
        for path in _staged(member, run / name, run / SPLIT, out, name, licence)
    ]
    card = recipe.card
    for name, ensemble in recipe.ensembles.items():
        content = {
            "name": name,
            **ensemble,
            "members": [f"{member}.yaml" for member in ensemble["members"]],
            "threshold": 0.5,
            "min_component_mm3": card["min_component_mm3"],
            "trained_on": f"Members by the recipe {recipe.name}.",
            "measured": [],
            "notes": card["notes"],
            "citation": card["citation"],
        }
        made.append(write_card(content, out))
    return made


def _trained_nnunet(recipe: NNUNetRecipe, run: Path, out: Path, name: str | None, licence: str) -> Path:
    """A card of the nnU-Net that a training has left."""
    folder = next((run / RESULTS).glob("*/*/plans.json"), None)
    if not folder:
        raise ModelError(f"{run} holds no trained nnU-Net yet; give its command again.")
    source = f"{catalog.NNUNET}{folder.parent}?checkpoint={recipe.card['checkpoint']}"
    described = {key: value for key, value in recipe.card.items() if key != "checkpoint"}
    return _nnunet(source, described, out, name or recipe.name, licence)


def _nnunet(source: str, described: Section, out: Path, name: str | None, licence: str) -> Path:
    """A card of an nnU-Net: its checkpoints without all that is not weights."""
    model = catalog.load(source)
    assert isinstance(model, Card)
    states = [weights.state(model, fold) for fold in model.all_weights]
    content = describe(model) | described | {"name": name or model.name}
    return write(content, states, out, licence)


def _staged(
    recipe: StagedRecipe, run: Path, parts: Path, out: Path, name: str, licence: str
) -> list[Path]:
    """Cards of a network and of its snapshots; ``parts`` is the path of the split."""
    stage = recipe.stages[-1]
    folder = run / stage.name
    if not (folder / "summary.json").is_file():
        raise ModelError(f"The training in {run} is not complete; give its command again.")
    common = _described(recipe, parts)
    final = write({"name": name, **common}, [load_file(folder / "weights.safetensors")], out, licence)
    members = []
    for epoch in stage.snapshots:
        state = load_file(folder / f"snapshot-{epoch}.safetensors")
        members.append(write({"name": f"{name}-{epoch}", **common}, [state], out, licence))
    if not members:
        return [final]
    kept = ("threshold", "min_component_mm3", "trained_on", "measured", "citation")
    content = {
        "name": f"{name}-E",
        "members": [path.name for path in members],
        "fusion": "mean",
        **{key: common[key] for key in kept},
        "notes": ["Mean of the probabilities of snapshots of one training.", *common["notes"]],
    }
    return [final, *members, write_card(content, out)]


def _described(recipe: StagedRecipe, path: Path) -> Section:
    """What the cards of a run share; ``path`` is that of the split."""
    data = recipe.data
    parts = split.read(path)["part"].value_counts()
    counts = ", ".join(f"{number} for {part}" for part, number in parts.items())
    content = {
        "network": asdict(recipe.network),
        "channels": [
            {"contrast": contrast, "required": all(contrast in group for group in data.groups)}
            for contrast in data.contrasts
        ],
        "inputs": sorted(data.groups, key=len, reverse=True),
        "space": data.space,
        "spacing": data.spacing,
        "tile": recipe.stages[-1].tile,
        "normalization": "zscore",
        "trained_on": f"Recipe {recipe.name}; subjects: {counts}.",
        "measured": [],
        **recipe.card,
    }
    if data.space == frame.NATIVE:
        content.pop("window", None)
    return content
