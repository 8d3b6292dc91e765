"""Export the networks of a run and search their best ensembles.

Stacking and agreement windows are searched on validation scans, on the whole brain and by super-region
(Mohapatra et al. 2023).
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pandas as pd

from bids_stroke.bids.derivatives import write_tsv
from bids_stroke.errors import ModelError
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


def search(
    run: PathLike,
    out: PathLike,
    licence: str = UNCHOSEN,
    device: str = "cpu",
    report: Callable[[str], object] = print,
) -> list[Path]:
    """Export the networks of a training, find their best ensembles, and write these as cards.

    Combinations of the best four networks of each group of super-regions are tried on the scans whose
    lesion lies mostly there, by their mean Dice; a group without scans takes all. What is found is
    measured on the test part.

    Parameters
    ----------
    run : Path
        Folder of a training with several runs in the template's space.
    out : Path
        Receives the cards, ``search.tsv`` and, if there is a test part, ``tables``.
    licence : str
        Of the weights.
    device : str
    report : callable
        Takes a line for the user.

    Returns
    -------
    list of Path
        Cards of the ensembles.

    Raises
    ------
    ModelError
        If the training is not complete, or not one of that kind.
    """
    run, out = Path(run), Path(out)
    recipe = export.read_saved_recipe(run) if (run / TABLE).is_file() else None
    if not isinstance(recipe, RunsRecipe):
        raise ModelError(f"{run} is no training with several runs (as by the recipe s1).")
    if recipe.data.space == frame.NATIVE:
        raise ModelError(f"The networks in {run} work in native space, without super-regions.")
    written = [catalog.load(path) for path in export.export(run, out, licence=licence)]
    leaves = {model.name: model for model in written if isinstance(model, Card)}
    predictions = Predictions(run / "predictions", device)
    table = EnsembleSearch(leaves, predictions, read_cases(run, "validation"), report)
    made = table.write(recipe, out)
    write_tsv(pd.DataFrame(table.rows), out / "search.tsv")
    held_out = read_cases(run, "test")
    if held_out:
        models = {title(model): model for model in (*leaves.values(), *map(catalog.load, made))}
        measure(models, predictions, held_out, out, report)
    return made


def measure(
    models: Mapping[str, Card | Ensemble],
    predictions: Predictions,
    cases: Sequence[Case],
    out: Path,
    report: Callable[[str], object] = print,
) -> pd.DataFrame:
    """Compare models on some scans: rows of the evaluation, and tables as the paper's.

    Parameters
    ----------
    models : dict of str to Card or Ensemble
        By :func:`bids_stroke.training.search.title`.
    predictions : Predictions
    cases : sequence of Case
    out : Path
        Receives ``masks``, and ``tables/S1_table1.md`` and so on.
    report : callable
        Takes a line for the user.

    Returns
    -------
    pandas.DataFrame
        Of :func:`bids_stroke.evaluation.run.evaluate`.
    """
    report(f"{len(models)} models are compared on {len(cases)} scans.")
    folders = write_masks(predictions, models, cases, out / "masks")
    rows, _ = evaluate(folders, out / "masks" / "truth")
    for name, table in published_tables.all_tables(rows).items():
        if name.startswith("S1"):
            with atomic(out / "tables" / f"{name}.md") as partial:
                partial.write_text(table.to_markdown(index=False, disable_numparse=True) + "\n")
    return rows


def title(model: Card | Ensemble) -> str:
    """Name of a model as the paper's tables have it."""
    if isinstance(model, Card):
        return model.name
    kind = {"stacking": "stack", "agreement": "AW", "regions": "regions"}.get(model.fusion)
    if kind == "regions":
        fusions = {member.fusion for member in model.members if isinstance(member, Ensemble)}
        kind = "stack" if "stacking" in fusions else "AW"
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
