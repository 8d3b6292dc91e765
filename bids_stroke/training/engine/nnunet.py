"""Training with nnU-Net v2: conversion of the data and settings of the recipe."""

import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from bids_stroke.errors import DatasetError
from bids_stroke.models import weights
from bids_stroke.models.adaptation import Report, adapt
from bids_stroke.models.card import Card, Network
from bids_stroke.models.nnunet import results_folder
from bids_stroke.spatial import image
from bids_stroke.training.export import RESULTS
from bids_stroke.training.parallel import error_message, map_unordered
from bids_stroke.training.patients import split
from bids_stroke.training.patients.patient import Parts, Patient
from bids_stroke.training.recipe_settings import NNUNetRecipe
from bids_stroke.utils.files import PathLike

DATASET = 1
CONFIGURATION = "3d_fullres"
PROCESSES = "nnUNet_n_proc_DA"  # environment variable for the number of augmentation processes
PLANS = "nnUNetPlans"
TRAINER = "nnUNetTrainer"


@dataclass(frozen=True)
class FoldSummary:
    """Results folder of nnU-Net, trained fold, and number of scans by part."""

    results: str
    fold: int
    scans: dict[str, int]


def train(
    recipe: NNUNetRecipe,
    parts: Parts,
    table: pd.DataFrame,
    out: PathLike,
    fold: int = 0,
    source: Card | None = None,
    processes: int = 1,
) -> FoldSummary:
    """Convert, plan, preprocess and train one fold; completed steps are skipped.

    Parameters
    ----------
    recipe : NNUNetRecipe
    parts : dict of str to list of Patient
    table : DataFrame
        Split of the subjects.
    out : Path
        Output folder for ``raw`` and ``preprocessed`` (data of nnU-Net), ``results`` and, with a
        ``source``, ``adapt.tsv``.
    fold : int
    source : Card, optional
        Model to start from, adapted to the plan.
    processes : int
        Number of processes for conversion, planning and preprocessing.

    Returns
    -------
    FoldSummary

    Raises
    ------
    DatasetError
        If a scan cannot be converted, no training scan has a lesion, or validation has no scan.
    """
    name = f"Dataset{DATASET:03d}_{''.join(filter(str.isalnum, recipe.name))}"
    out = Path(out).resolve()
    _environment(out, recipe.nnunet.workers)
    if not any(patient.lesion_ml for patient in parts["training"]):
        raise DatasetError("No training scan contains a lesion; add scans with lesions.")
    split.require(parts, "validation")
    scans = [*parts["training"], *parts["validation"]]
    contrasts = recipe.data.contrasts
    raw, preprocessed = out / "raw" / name, out / "preprocessed" / name
    _convert(scans, raw, recipe, processes)
    if not (preprocessed / "planned").is_file():
        _plan(recipe, processes, preprocessed)
    initial = str(_initial(source, preprocessed, contrasts, out)) if source else None
    _add_settings(preprocessed / "dataset.json", asdict(recipe.nnunet) | {"initial": initial})
    splits = _splits(parts, table, recipe.split.folds)
    (preprocessed / "splits_final.json").write_text(json.dumps(splits))
    results = out / RESULTS / name / f"{TRAINER}__{PLANS}__{CONFIGURATION}"
    folder = results / f"fold_{fold}"
    if not (folder / "checkpoint_final.pth").is_file():
        _run(preprocessed, fold, folder / "checkpoint_latest.pth")
    counts = {part: len(names) for part, names in splits[fold].items()}
    return FoldSummary(str(results), fold, counts)


def _environment(out: Path, workers: int) -> None:
    """Set the environment variables from which nnU-Net reads folders and numbers of processes."""
    for key, folder in (("raw", "raw"), ("preprocessed", "preprocessed"), ("results", RESULTS)):
        os.environ[f"nnUNet_{key}"] = str(out / folder)
    # The planner uses this variable as a number of threads; see _plan.
    os.environ.update({PROCESSES: str(workers), "nnUNet_def_n_proc": str(max(workers, 1))})


def _convert(scans: Sequence[Patient], raw: Path, recipe: NNUNetRecipe, processes: int) -> None:
    """Write skull-stripped images and lesion masks in nnU-Net's layout."""
    raw.mkdir(parents=True, exist_ok=True)
    contrasts = recipe.data.contrasts
    jobs = [(patient, contrasts, raw) for patient in scans]
    for (patient, *_), result in map_unordered(_case, jobs, processes):
        if isinstance(result, Exception):
            raise DatasetError(f"{patient.name} cannot be used: {error_message(result)}") from result
    content = {
        "name": recipe.name,
        "channel_names": {str(n): contrast for n, contrast in enumerate(contrasts)},
        "labels": {"background": 0, "lesion": 1},
        "numTraining": len(scans),
        "file_ending": ".nii.gz",
        "threshold": recipe.card["threshold"],
        "min_component_mm3": recipe.card["min_component_mm3"],
        "reference": recipe.card["citation"],
    }
    (raw / "dataset.json").write_text(json.dumps(content, indent=2))


def _case(patient: Patient, contrasts: Sequence[str], raw: Path) -> Path:
    label = raw / "labelsTr" / f"{patient.name}.nii.gz"
    marker = raw / "imagesTr" / f".{patient.name}-{patient.key[:12]}"
    if marker.is_file():
        return label
    mask = np.asanyarray(patient.load("brain").dataobj) > 0
    for number, contrast in enumerate(contrasts):
        img = patient.load(contrast)
        stripped = image.like(img.get_fdata() * mask, img, np.float32)
        image.save(stripped, raw / "imagesTr" / f"{patient.name}_{number:04d}.nii.gz")
    lesion = patient.load("lesion")
    image.save(image.like((np.asanyarray(lesion.dataobj) > 0) & mask, lesion, np.uint8), label)
    marker.touch()
    return label


def _plan(recipe: NNUNetRecipe, processes: int, preprocessed: Path) -> None:
    from nnunetv2.experiment_planning.plan_and_preprocess_api import (
        extract_fingerprint_dataset,
        plan_experiment_dataset,
        preprocess_dataset,
    )

    settings = recipe.nnunet
    os.environ[PROCESSES] = "1"
    extract_fingerprint_dataset(DATASET, num_processes=processes)
    plan_experiment_dataset(
        DATASET,
        gpu_memory_target_in_gb=settings.gpu_memory_gb,
        overwrite_target_spacing=settings.spacing,
    )
    os.environ[PROCESSES] = str(settings.workers)
    path = preprocessed / f"{PLANS}.json"
    plans = json.loads(path.read_text())
    architecture = plans["configurations"][CONFIGURATION]["architecture"]
    if settings.dropout:
        architecture["arch_kwargs"]["dropout_op"] = "torch.nn.modules.dropout.Dropout3d"
        architecture["arch_kwargs"]["dropout_op_kwargs"] = {"p": settings.dropout}
    path.write_text(json.dumps(plans, indent=2))
    preprocess_dataset(DATASET, PLANS, (CONFIGURATION,), (processes,))
    (preprocessed / "planned").touch()


def _initial(source: Card, preprocessed: Path, contrasts: Sequence[str], out: Path) -> Path:
    """Write the weights of a model, adapted to the plan."""
    plans = json.loads((preprocessed / f"{PLANS}.json").read_text())
    arguments = results_folder.arguments(plans, CONFIGURATION, len(contrasts))
    target = weights.build(Network("dynamic_unet", arguments)).state_dict()
    channels = [channel.contrast for channel in source.channels]
    state, rows = adapt(weights.state(source), target, channels, contrasts)
    Report(rows).write(out / "adapt.tsv")
    return weights.save(state, out / "initial.safetensors")


def _add_settings(path: Path, settings: dict[str, Any]) -> None:
    """Add the recipe's trainer settings to ``dataset.json``."""
    content = json.loads(path.read_text()) | {"bids_stroke": settings}
    path.write_text(json.dumps(content, indent=2))


def _splits(parts: Parts, table: pd.DataFrame, folds: int | None) -> list[dict[str, list[str]]]:
    """Return nnU-Net's list of splits, one per fold."""
    names = {part: [patient.name for patient in parts[part]] for part in ("training", "validation")}
    if not folds:
        return [{"train": names["training"], "val": names["validation"]}]
    patients = [*parts["training"], *parts["validation"]]
    fold_of = {patient.name: int(part) for patient, part in split.assign_parts(patients, table) if part}
    return [
        {
            "train": [name for name, number in fold_of.items() if number != fold],
            "val": [name for name, number in fold_of.items() if number == fold],
        }
        for fold in range(folds)
    ]


def _run(preprocessed: Path, fold: int, latest: Path) -> None:
    """Train on all GPUs of the machine, or on the CPU."""
    gpus = torch.cuda.device_count()
    if gpus < 2:
        _train(None, preprocessed, fold, latest, 1)
        return
    os.environ.setdefault("MASTER_ADDR", "localhost")
    os.environ.setdefault("MASTER_PORT", "29500")
    torch.multiprocessing.spawn(_train, (preprocessed, fold, latest, gpus), gpus)


def _train(rank: int | None, preprocessed: Path, fold: int, latest: Path, gpus: int) -> None:
    from .nnunet_trainer import nnUNetTrainer

    if rank is not None:
        torch.distributed.init_process_group("nccl", rank=rank, world_size=gpus)
        torch.cuda.set_device(rank)
    plans = json.loads((preprocessed / f"{PLANS}.json").read_text())
    trainer = nnUNetTrainer(
        plans | {"continue_training": latest.is_file()},
        CONFIGURATION,
        fold,
        json.loads((preprocessed / "dataset.json").read_text()),
        torch.device("cuda" if torch.cuda.is_available() else "cpu"),
    )
    if latest.is_file():
        trainer.load_checkpoint(str(latest))
    trainer.run_training()
    if rank is not None:
        torch.distributed.destroy_process_group()
