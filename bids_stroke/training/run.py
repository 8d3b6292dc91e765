"""Training on patients: preparation and split of the scans, and training by the recipe's engine."""

from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import yaml

from bids_stroke.errors import InvalidModelError, UsageError
from bids_stroke.models import catalog, weights
from bids_stroke.models.adaptation import Report, adapt
from bids_stroke.models.card import Card
from bids_stroke.utils.files import PathLike, atomic
from bids_stroke.utils.text import enumeration

from . import finetuned_card
from .export import RECIPE, SPLIT
from .finetuning_recipe import FinetuningRecipe
from .patients import groups, preparation, split
from .patients.patient import Parts, Patient, alphanumeric
from .recipe_settings import (
    DataSettings,
    NNUNetRecipe,
    PatientRecipe,
    RunsRecipe,
    Stage,
    StagedRecipe,
)
from .recipes import parse_patients

if TYPE_CHECKING:
    import torch

    from .engine.stages import StageSummary


def train_on_patients(
    recipe: PatientRecipe,
    datasets: Sequence[tuple[Path, Path]],
    out: PathLike,
    *,
    split_path: Path | None = None,
    fold: int | None = None,
    initial: str | None = None,
    processes: int = 1,
    sources: Path | None = None,
    minutes: float | None = None,
    report: Callable[[str], object] = print,
) -> dict[str, Any]:
    """Train the network of a recipe on patients.

    Parameters
    ----------
    recipe : PatientRecipe
    datasets : sequence of (Path, Path)
        BIDS datasets and the folders of their lesion masks.
    out : Path
        Output folder. It also contains ``recipe.yaml``, ``split.tsv``, and the prepared scans in
        ``cache``.
    split_path : Path, optional
        Split to use; by default, the split in ``out`` if it exists, or a new split.
    fold : int, optional
        Fold for validation, for recipes with folds (default 0).
    initial : str, optional
        Model to start from, adapted to the recipe's network. It overrides the recipe's ``initial``.
    processes : int
        Number of processes for the preparation.
    sources : Path, optional
        For fine-tuning, folder with further sources of simulated strokes.
    minutes : float, optional
        For fine-tuning, limit of the duration of the training.
    report : callable
        Function that receives messages for the user.

    Returns
    -------
    dict
        Summary of the training, JSON-serializable.

    Raises
    ------
    UsageError
        If ``out`` contains a training by another recipe, or the fold does not exist.
    DatasetError
        If a stage of the recipe, or a part that fine-tuning needs, has no patients.
    """
    out = Path(out)
    out.mkdir(parents=True, exist_ok=True)
    folds = recipe.split.folds
    if fold is not None and not (folds and 0 <= fold < folds):
        raise UsageError(
            f"--fold {fold} does not exist; the recipe has {folds or 0} folds, numbered from 0."
        )
    target = alphanumeric(datasets[-1][0].name)
    content = recipe.content | {"target": target}
    if initial and isinstance(recipe, FinetuningRecipe):
        content["initial"] = initial
    recipe = parse_patients(content, recipe.name)
    _check_before_preparation(recipe, out)
    data = recipe.data
    patients = preparation.prepare_patients(
        datasets,
        recipe.prepared if isinstance(recipe, FinetuningRecipe) else data.contrasts,
        out / "cache",
        data.brain_extraction,
        processes=processes,
        report=report,
        reference=data.reference,
    )
    patients = _usable(patients, data, report)
    table = _split(recipe, patients, split_path, out)
    assigned = split.assign_parts(patients, table)
    if unlisted := [patient.name for patient, part in assigned if not part]:
        path = split_path or out / SPLIT
        report(f"Left out, because {path} does not list their subjects: {enumeration(unlisted)}.")
    parts = split.divide(patients, table, (fold or 0) if folds else None, recipe.split.by_slice)
    groups.check_stages(_stages(recipe), parts, target)
    if isinstance(recipe, FinetuningRecipe):
        finetuned_card.check_parts(parts)
        made_from = finetuned_card.fingerprint(recipe.model, assigned)
        if summary := finetuned_card.read_result(out, made_from):
            report(f"{out} already contains this result; give another folder to train again.")
            return summary
        _save(recipe, table, parts, out, report)
        return _finetune(recipe, parts, made_from, out, sources, minutes, processes, report)
    _save(recipe, table, parts, out, report)
    start = initial or recipe.initial
    return _train(recipe, parts, table, out, fold or 0, source_card(start), processes)


def _stages(recipe: PatientRecipe) -> list[Stage]:
    """Return the stages of all networks of a recipe; nnU-Net has none."""
    if isinstance(recipe, RunsRecipe):
        return [stage for run in recipe.runs.values() for stage in run.stages]
    return list(recipe.stages) if isinstance(recipe, StagedRecipe) else []


def _check_before_preparation(recipe: PatientRecipe, out: Path) -> None:
    """Check that the output folder does not contain a training by another recipe, and the weights of a
    model for fine-tuning."""
    saved = out / RECIPE
    if saved.is_file() and yaml.safe_load(saved.read_text()) != recipe.content:
        raise UsageError(f"{out} contains a training by another recipe; give another folder.")
    if isinstance(recipe, FinetuningRecipe):
        weights.load(recipe.model)


def _save(
    recipe: PatientRecipe,
    table: pd.DataFrame,
    parts: Parts,
    out: Path,
    report: Callable[[str], object],
) -> None:
    """Write the recipe and the split, and report the number of scans."""
    split.write(table, out / SPLIT)
    with atomic(out / RECIPE) as partial:
        partial.write_text(yaml.safe_dump(recipe.content, sort_keys=False))
    report(", ".join(f"{len(scans)} scans for {part}" for part, scans in parts.items() if scans) + ".")
    if not parts["validation"]:
        report("No validation scores are computed, because the split has no subject for validation.")


def _usable(
    patients: Sequence[Patient], data: DataSettings, report: Callable[[str], object]
) -> list[Patient]:
    """Return the patients with all contrasts of an input, and report the others."""
    usable = []
    for patient in patients:
        if any(set(group) <= set(patient.contrasts) for group in data.groups):
            usable.append(patient)
        else:
            contrasts = ", ".join(patient.contrasts)
            inputs = " or ".join("+".join(group) for group in data.groups)
            report(f"{patient.name} is left out: it has {contrasts}, but not {inputs}.")
    return usable


def _split(
    recipe: PatientRecipe, patients: Sequence[Patient], split_path: Path | None, out: Path
) -> pd.DataFrame:
    """Read the given split or that of an earlier call, or draw a new split."""
    path = split_path or out / SPLIT
    if split_path or path.is_file():
        return split.read(path)
    return split.make(patients, recipe.split, recipe.seed, recipe.target)


def source_card(model: str | None) -> Card | None:
    """Return the card of the model to start from, or None without a model.

    Raises
    ------
    InvalidModelError
        If the model is an ensemble.
    """
    if not model:
        return None
    source = catalog.load(model)
    if not isinstance(source, Card):
        raise InvalidModelError(f"{source.name} is an ensemble; start from one of its members.")
    return source


def _train(
    recipe: PatientRecipe,
    parts: Parts,
    table: pd.DataFrame,
    out: Path,
    fold: int,
    source: Card | None,
    processes: int,
) -> dict[str, Any]:
    """Train with the engine of the recipe."""
    if isinstance(recipe, NNUNetRecipe):
        from .engine import nnunet as nnunet_engine

        return asdict(nnunet_engine.train(recipe, parts, table, out, fold, source, processes))
    from .engine import stages

    if isinstance(recipe, RunsRecipe):
        return _train_runs(recipe, parts, out, processes)
    assert isinstance(recipe, StagedRecipe)
    initial = _adapted(source, recipe, out) if source else None
    return _json(stages.train(recipe, parts, out, processes, initial=initial))


def _train_runs(recipe: RunsRecipe, parts: Parts, out: Path, processes: int) -> dict[str, Any]:
    """Train every run of a recipe on the same scans."""
    from . import predictions
    from .engine import stages

    scans = {patient.name: patient for patients in parts.values() for patient in patients}
    paths = stages.prepare_arrays(scans.values(), recipe.data, out / "arrays", processes)
    predictions.write_table(parts, paths, out)
    return {
        name: _json(stages.train(run, parts, out / name, processes, out / "arrays"))
        for name, run in recipe.runs.items()
    }


def _finetune(
    recipe: FinetuningRecipe,
    parts: Parts,
    made_from: str,
    out: Path,
    sources: Path | None,
    minutes: float | None,
    processes: int,
    report: Callable[[str], object],
) -> dict[str, Any]:
    """Fine-tune a model and write its card."""
    from .engine import finetuning, participants, rehearsal

    if recipe.model.name.endswith(finetuned_card.ENDING):
        report(
            f"{recipe.model.name} was fine-tuned before; the scores are too high if the split has "
            "participants of that training for validation or test."
        )
    scans = participants.prepare(parts, recipe.data, out, processes)
    simulator = rehearsal.build(
        recipe, parts["training"], scans["training"], out, sources, processes, report
    )
    outcome = finetuning.finetune(recipe, scans, simulator, out, minutes)
    return finetuned_card.write_result(recipe, outcome, parts, out, made_from)


def _json(summaries: "dict[str, StageSummary]") -> dict[str, Any]:
    return {name: summary.to_json() for name, summary in summaries.items()}


def _adapted(source: Card, recipe: StagedRecipe, out: Path) -> "dict[str, torch.Tensor]":
    """Return the weights of a model, adapted to the network of the recipe."""
    target = weights.build(recipe.network).state_dict()
    channels = [channel.contrast for channel in source.channels]
    state, rows = adapt(weights.state(source), target, channels, recipe.data.contrasts)
    Report(rows).write(out / "adapt.tsv")
    return state
