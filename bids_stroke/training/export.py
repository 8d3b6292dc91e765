"""Export of a finished training as model cards."""

from dataclasses import asdict
from pathlib import Path

import pandas as pd
from safetensors.torch import load_file

from bids_stroke.errors import InvalidModelError, ModelError
from bids_stroke.models import catalog, frame, weights
from bids_stroke.models.card import Card
from bids_stroke.models.nnunet.contents import is_results_folder
from bids_stroke.models.writing import UNCHOSEN, describe, write, write_card
from bids_stroke.utils.files import PathLike

from .finetuning_recipe import FinetuningRecipe
from .patients import split
from .recipe_settings import NNUNetRecipe, PatientRecipe, RunsRecipe, Section, StagedRecipe
from .recipes import parse_patients, read_content

RESULTS = "results"  # folder of nnU-Net's results in the training folder
LOWEST_LOSS = "checkpoint_lowest_loss.pth"  # written by bids_stroke.training.engine.nnunet_trainer
RECIPE, SPLIT = "recipe.yaml", "split.tsv"


def export(
    run: PathLike, out: PathLike, name: str | None = None, licence: str = UNCHOSEN
) -> list[Path]:
    """Write the model cards of a training on patients.

    Parameters
    ----------
    run : Path
        Output folder of ``bids_stroke-train``, or results folder of an nnU-Net.
    out : Path
        Output folder for ``NAME.yaml`` and the weights as safetensors. Snapshots are written with a
        card each and a card ``NAME-E.yaml`` of their ensemble. For several runs, a card of each run
        and of each ensemble of the recipe is written.
    name : str, optional
        Name of the model, by default the name of the recipe. It is ignored for several runs.
    licence : str
        License of the weights.

    Returns
    -------
    list of Path
        Paths of the cards; ensembles come last.

    Raises
    ------
    ModelError
        If the training is not complete, or is a fine-tuning, which writes its own card.
    """
    run, out = Path(run), Path(out)
    if is_results_folder(run):
        return [_nnunet(f"{catalog.NNUNET}{run}", {}, out, name, licence)]
    recipe = read_saved_recipe(run)
    if isinstance(recipe, NNUNetRecipe):
        return _trained_nnunet(recipe, run, out, name, licence)
    if isinstance(recipe, RunsRecipe):
        return _runs(recipe, run, out, licence)
    if isinstance(recipe, FinetuningRecipe):
        raise ModelError(
            f"{run} is the output of a fine-tuning, which contains the card of the new model if it is "
            "better; use this card."
        )
    assert isinstance(recipe, StagedRecipe)
    return _staged(recipe, run, run / SPLIT, out, name or recipe.name, licence)


def read_saved_recipe(run: Path) -> PatientRecipe:
    """Read the recipe from the output folder of a training on patients.

    Raises
    ------
    InvalidModelError
        If the folder has no recipe.
    """
    path = run / RECIPE
    if not path.is_file():
        raise InvalidModelError(
            f"{run} has no recipe.yaml; give the output folder of a training on patients."
        )
    return parse_patients(read_content(path), str(path))


def _runs(recipe: RunsRecipe, run: Path, out: Path, licence: str) -> list[Path]:
    """Write the cards of every run and of the ensembles of the recipe."""
    cards = [
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
            "trained_on": f"Members trained by recipe {recipe.name}.",
            "measured": [],
            "notes": card["notes"],
            "citation": card["citation"],
        }
        cards.append(write_card(content, out))
    return cards


def _trained_nnunet(
    recipe: NNUNetRecipe, run: Path, out: Path, name: str | None, licence: str
) -> list[Path]:
    """Write the card of the nnU-Net of a training and, for several folds, of the best fold."""
    folder = next((run / RESULTS).glob("*/*/plans.json"), None)
    if not folder:
        raise ModelError(f"{run} does not contain a trained nnU-Net; run its training command again.")
    source = f"{catalog.NNUNET}{folder.parent}?checkpoint={recipe.card['checkpoint']}"
    description = {key: value for key, value in recipe.card.items() if key != "checkpoint"}
    description |= _reference(recipe)
    name = name or recipe.name
    cards = [_nnunet(source, description, out, name, licence)]
    if (best := _best_fold(folder.parent, recipe.card["checkpoint"])) is not None:
        note = f"Fold {best}, with the highest Dice on its validation patches."
        description |= {"notes": [note, *description["notes"]]}
        cards.append(_nnunet(f"{source}&folds={best}", description, out, f"{name}-best", licence))
    return cards


def _reference(recipe: PatientRecipe) -> Section:
    """Return the field of a card for the reference contrast of a recipe."""
    return {"reference": recipe.data.reference} if recipe.data.reference else {}


def _best_fold(folder: Path, checkpoint: str) -> int | None:
    """Return the fold whose checkpoint has the highest Dice on its validation patches.

    Return None for less than two folds. Each fold has other validation patients.
    """
    dice = {}
    for path in folder.glob("fold_*/metrics.csv"):
        curves = pd.read_csv(path).drop_duplicates("epoch", keep="last")
        epoch = curves.nsmallest(1, "val_losses") if checkpoint == LOWEST_LOSS else curves.tail(1)
        dice[int(path.parent.name.removeprefix("fold_"))] = float(epoch["mean_fg_dice"].iloc[0])
    return max(dice, key=dice.__getitem__) if len(dice) > 1 else None


def _nnunet(source: str, description: Section, out: Path, name: str | None, licence: str) -> Path:
    """Write the card of an nnU-Net with the weights of its checkpoints."""
    model = catalog.load(source)
    assert isinstance(model, Card)
    states = [weights.state(model, fold) for fold in model.all_weights]
    content = describe(model) | description | {"name": name or model.name}
    return write(content, states, out, licence)


def _staged(
    recipe: StagedRecipe, run: Path, parts: Path, out: Path, name: str, licence: str
) -> list[Path]:
    """Write the cards of a network and of its snapshots; ``parts`` is the path of the split."""
    stage = recipe.stages[-1]
    folder = run / stage.name
    if not (folder / "summary.json").is_file():
        raise ModelError(f"The training in {run} is not complete; run its training command again.")
    common = _description(recipe, parts, run)
    final = write({"name": name, **common}, [load_file(folder / "weights.safetensors")], out, licence)
    members = []
    for epoch in stage.snapshots:
        state = load_file(folder / f"snapshot-{epoch}.safetensors")
        members.append(write({"name": f"{name}-{epoch}", **common}, [state], out, licence))
    if not members:
        return [final]
    shared = ("threshold", "min_component_mm3", "trained_on", "measured", "citation")
    content = {
        "name": f"{name}-E",
        "members": [path.name for path in members],
        "fusion": "mean",
        **{key: common[key] for key in shared},
        "notes": ["Mean of the probabilities of the snapshots of one training.", *common["notes"]],
    }
    return [final, *members, write_card(content, out)]


def _description(recipe: StagedRecipe, path: Path, run: Path) -> Section:
    """Return the shared content of the cards of a run; ``path`` is the path of the split."""
    data = recipe.data
    parts = split.read(path)["part"].value_counts()
    counts = ", ".join(f"{number} for {part}" for part, number in parts.items())
    trained_on = f"Recipe {recipe.name}; subjects: {counts}."
    if recipe.encoder:
        trained_on += f" The encoder starts from {recipe.encoder}."
    skipped = [s.name for s in recipe.stages if not (run / s.name / "summary.json").is_file()]
    if skipped:
        trained_on += f" No lesion for the stages {', '.join(skipped)}."
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
        "trained_on": trained_on,
        "measured": [],
        **_reference(recipe),
        **recipe.card,
    }
    if data.space == frame.NATIVE:
        content.pop("window", None)
    return content
