"""A training on patients: scans prepared, split, and given to the recipe's engine."""

from pathlib import Path

import yaml

from bids_stroke.errors import UsageError
from bids_stroke.models import catalog, weights
from bids_stroke.models.adaptation import Report, adapt
from bids_stroke.training.patients import preparation, split
from bids_stroke.utils.files import atomic

from . import recipes


def train_on_patients(
    recipe, datasets, out, *, given=None, fold=None, initial=None, processes=1, tell=print
):
    """Train the recipe's network on patients.

    Parameters
    ----------
    recipe : dict
    datasets : sequence of (Path, Path)
        BIDS datasets, and where their lesion masks lie.
    out : Path
        Also receives ``recipe.yaml``, ``split.tsv``, and the prepared scans in ``cache``.
    given : Path, optional
        A split to follow; one that is in ``out`` already is followed too.
    fold : int, optional
        The fold that validates, for recipes with folds; their default is 0.
    initial : str, optional
        Model to start from, adapted to the recipe's network; instead of the recipe's ``initial``.
    processes : int
        For the preparation.
    tell : callable
        Takes a line for the user.

    Returns
    -------
    dict
        Summary of the training.

    Raises
    ------
    UsageError
        If ``out`` holds a training by another recipe, or the recipe has no such fold.
    """
    out = Path(out)
    out.mkdir(parents=True, exist_ok=True)
    folds = recipe["split"].get("folds")
    if fold is not None and not (folds and 0 <= fold < folds):
        raise UsageError(f"--fold {fold} is not one of the recipe's {folds or 0} folds.")
    recipe = recipe | {"target": preparation.plain(datasets[-1][0].name)}
    written = out / "recipe.yaml"
    if written.is_file() and yaml.safe_load(written.read_text()) != recipe:
        raise UsageError(f"{out} holds a training by another recipe; give another folder.")
    data = recipe["data"]
    found = preparation.gather(
        datasets, data["contrasts"], out / "cache", data["brain_extraction"], "cpu", processes, tell
    )
    found = [one for one in found if _usable(one, data)]
    path = out / "split.tsv"
    if given:
        table = split.read(given)
    elif path.is_file():
        table = split.read(path)
    else:
        table = split.make(found, recipe["split"], recipe["seed"], recipe["target"])
    split.write(table, path)
    with atomic(written) as partial:
        partial.write_text(yaml.safe_dump(recipe, sort_keys=False))
    by_slice = recipe["split"].get("by") == "slice"
    parts = split.divide(found, table, (fold or 0) if folds else None, by_slice)
    tell(", ".join(f"{len(scans)} scans for {part}" for part, scans in parts.items() if scans) + ".")
    start = initial or recipe.get("initial")
    source = catalog.load(start) if start else None
    if "nnunet" in recipe:
        from bids_stroke.training.engine import nnunet as nnunet_engine

        return nnunet_engine.train(recipe, parts, table, out, fold or 0, source, processes)
    from bids_stroke.training.engine import stages

    if "runs" in recipe:
        return _several(recipe, parts, out, processes)
    if source:
        recipe = recipe | {"initial": _adapted(source, recipe, out)}
    return stages.train(recipe, parts, out, processes)


def _several(recipe, parts, out, processes):
    """Train every run of a recipe on the same scans."""
    from bids_stroke.training.engine import stages

    from . import predictions

    scans = {one.name: one for found in parts.values() for one in found}
    paths = stages.on_grid(scans.values(), recipe["data"], out / "arrays", processes)
    predictions.write_table(parts, paths, out)
    return {
        name: stages.train(one, parts, out / name, processes, out / "arrays")
        for name, one in recipes.expand_runs(recipe).items()
    }


def _usable(patient, data):
    groups = data.get("inputs") or [data["contrasts"]]
    return any(set(group) <= set(patient.contrasts) for group in groups)


def _adapted(source, recipe, out):
    """Weights of a model, made to fit the network of the recipe."""
    target = weights.build(recipe["network"]).state_dict()
    channels = [channel.contrast for channel in source.channels]
    state, rows = adapt(weights.state(source), target, channels, recipe["data"]["contrasts"])
    Report(rows).write(out / "adapt.tsv")
    return state
