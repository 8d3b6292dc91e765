"""Search for the best ensembles of the networks of a training (Mohapatra et al. 2023).

Stacking and agreement windows are evaluated on validation scans, for the whole brain and by
super-region.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pandas as pd

from bids_stroke.bids.derivatives import write_tsv
from bids_stroke.errors import InvalidModelError, ModelError
from bids_stroke.evaluation import published_tables
from bids_stroke.evaluation.run import evaluate
from bids_stroke.models import catalog, frame
from bids_stroke.models.card import Card
from bids_stroke.models.ensembles import Ensemble
from bids_stroke.models.writing import UNCHOSEN
from bids_stroke.utils.files import PathLike, atomic

from . import export
from .ensemble_search import EnsembleSearch
from .predictions import TABLE, Case, Predictions, read_cases, write_masks
from .recipe_settings import RunsRecipe

SELECTION = "selection.tsv"


def search(
    run: PathLike,
    out: PathLike,
    licence: str = UNCHOSEN,
    device: str = "cpu",
    report: Callable[[str], object] = print,
) -> list[Path]:
    """Export the networks of a training, and write cards of their best ensembles.

    For each group of super-regions, combinations of the best four networks are compared by their mean
    Dice on the validation scans whose lesion is mostly in the group; a group without scans uses all
    scans. The models that are selected on validation scans are evaluated on the test part.

    Parameters
    ----------
    run : Path
        Output folder of a training with several runs in template space.
    out : Path
        Output folder for the cards, ``search.tsv`` (all candidates), ``selection.tsv`` (models of the
        paper's tables) and, with a test part, ``tables``.
    licence : str
        License of the weights.
    device : str
    report : callable
        Function that receives messages for the user.

    Returns
    -------
    list of Path
        Cards of the ensembles.

    Raises
    ------
    ModelError
        If the training is not complete, has a single run, is in native space, or has no validation
        scans.
    """
    run, out = Path(run), Path(out)
    recipe = export.read_saved_recipe(run) if (run / TABLE).is_file() else None
    if not isinstance(recipe, RunsRecipe):
        raise InvalidModelError(
            f"{run} is not a training with several runs; give the output folder of such a training, "
            "for example by recipe s1."
        )
    if recipe.data.space == frame.NATIVE:
        raise ModelError(
            f"The networks in {run} are in native space; the search by super-region requires template "
            "space."
        )
    validation = read_cases(run, "validation")
    if not validation:
        raise ModelError(
            f"The split of {run} has no subject for validation, on which ensembles are selected; train "
            "with a split that has this part."
        )
    written = [catalog.load(path) for path in export.export(run, out, licence=licence)]
    leaves = {model.name: model for model in written if isinstance(model, Card)}
    predictions = Predictions(run / "predictions", device)
    ensemble_search = EnsembleSearch(leaves, predictions, validation, report)
    cards = ensemble_search.write(recipe, out)
    write_tsv(pd.DataFrame(ensemble_search.rows), out / "search.tsv")
    models = [*leaves.values(), *map(catalog.load, cards)]
    selection = pd.DataFrame(ensemble_search.selected)
    selection["model"] = selection["card"].map({model.name: title(model) for model in models})
    write_tsv(selection, out / SELECTION)
    held_out = read_cases(run, "test")
    if held_out:
        by_title = {title(model): model for model in models}
        measure(by_title, predictions, held_out, out, selection, report)
    return cards


def measure(
    models: Mapping[str, Card | Ensemble],
    predictions: Predictions,
    cases: Sequence[Case],
    out: Path,
    selection: pd.DataFrame,
    report: Callable[[str], object] = print,
) -> pd.DataFrame:
    """Evaluate models on scans, and write tables in the format of the paper.

    Parameters
    ----------
    models : dict of str to Card or Ensemble
        Models by title (:func:`bids_stroke.training.search.title`).
    predictions : Predictions
    cases : sequence of Case
    out : Path
        Output folder for ``masks`` and ``tables/S1_table*.md``.
    selection : pandas.DataFrame
        Models of the tables (:func:`bids_stroke.evaluation.published_tables.s1_table2`).
    report : callable
        Function that receives messages for the user.

    Returns
    -------
    pandas.DataFrame
        Rows of :func:`bids_stroke.evaluation.run.evaluate`.
    """
    report(f"Comparing {len(models)} models on {len(cases)} scans.")
    folders = write_masks(predictions, models, cases, out / "masks")
    rows, _ = evaluate(folders, out / "masks" / "truth")
    tables = {
        "S1_table1": published_tables.s1_table1(rows),
        "S1_table2": published_tables.s1_table2(rows, selection),
        "S1_table3": published_tables.s1_table3(rows, selection),
    }
    for name, table in tables.items():
        with atomic(out / "tables" / f"{name}.md") as partial:
            partial.write_text(table.to_markdown(index=False, disable_numparse=True) + "\n")
    return rows


def title(model: Card | Ensemble) -> str:
    """Return the name of a model in the format of the paper's tables."""
    if isinstance(model, Card):
        return model.name
    kind = {"stacking": "stack", "agreement": "AW", "regions": "regions"}.get(model.fusion)
    if kind == "regions":
        fusions = {member.fusion for member in model.members if isinstance(member, Ensemble)}
        kind = "stack" if "stacking" in fusions else "AW" if "agreement" in fusions else "individual"
    return f"{kind}: {_parts(model)}" if kind else _parts(model)


def _parts(model: Card | Ensemble) -> str:
    if isinstance(model, Card):
        return model.name
    names = ", ".join(member.name for member in model.members)
    match model.fusion:
        case "regions":
            pairs = zip(model.regions, model.members, strict=True)
            return "; ".join(f"[{', '.join(group)}]: {_parts(member)}" for group, member in pairs)
        case "agreement":
            return f"{names} ({model.window}, {model.overlap:g})"
        case _:
            return names
