"""Training on patients in stages (zoom-in and zoom-out of Tomita et al. 2020), with snapshots."""

import json
import logging
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from safetensors.torch import load_file
from torch import nn
from torch.utils.data import DataLoader, Dataset

from bids_stroke.compute import devices
from bids_stroke.errors import DatasetError, UsageError
from bids_stroke.models import imagenet
from bids_stroke.models.networks.planar.encoder_unet import EncoderUNet
from bids_stroke.models.weights import build
from bids_stroke.training import parallel
from bids_stroke.training.patients import groups
from bids_stroke.training.patients.arrays import arrays as patient_arrays
from bids_stroke.training.patients.arrays import read_array
from bids_stroke.training.patients.patient import Parts, Patient
from bids_stroke.training.recipe_settings import (
    GridData,
    Stage,
    StagedRecipe,
    StageTraining,
)
from bids_stroke.utils.files import atomic

from . import slices, tiles
from .learner import Learner, Snapshots
from .progress import Progress
from .samples import Tensors
from .saving import SUMMARY, WEIGHTS, loggers, save_weights

_PARTS = ("training", "intermediate", "validation")


@dataclass(frozen=True)
class StageSummary:
    """Summary of a stage: epochs, number of scans by part, and loss and Dice of the last epoch."""

    epochs: int
    scans: dict[str, int]
    scores: dict[str, float]

    def to_json(self) -> dict[str, Any]:
        """Return the content of ``summary.json``."""
        return {"epochs": self.epochs, "scans": self.scans, **self.scores}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> "StageSummary":
        """Read the content of ``summary.json``."""
        scores = {key: value for key, value in content.items() if key not in ("epochs", "scans")}
        return cls(content["epochs"], content["scans"], scores)


def train(
    recipe: StagedRecipe,
    parts: Parts,
    out: Path,
    processes: int = 1,
    arrays: Path | None = None,
    initial: Mapping[str, torch.Tensor] | None = None,
) -> dict[str, StageSummary]:
    """Train the network of a recipe on patients, stage by stage.

    Complete stages are skipped, and an interrupted stage continues from its last epoch. Each stage
    writes ``STAGE/weights.safetensors``, ``snapshot-EPOCH.safetensors``, logs (CSV and TensorBoard) and
    ``summary.json``.

    Parameters
    ----------
    recipe : StagedRecipe
    parts : dict of str to list of Patient
        Patients of the parts ``training``, ``intermediate`` and ``validation``. Without the last, no
        validation scores are computed.
    out : Path
        Output folder.
    processes : int
        Number of processes for resampling scans to the network's grid.
    arrays : Path, optional
        Folder for scans on the network's grid, which several trainings can share; by default a folder
        in ``out``.
    initial : dict of str to tensor, optional
        Weights to start from.

    Returns
    -------
    dict of str to StageSummary
        Summary of each stage by its name.

    Raises
    ------
    DatasetError
        If a scan cannot be used, or the training scans do not fit the recipe.
    """
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    scans = {patient.name: patient for part in _PARTS for patient in parts[part]}
    paths = prepare_arrays(scans.values(), recipe.data, arrays or out / "arrays", processes)
    region_of = _region_of(paths, recipe.data)
    pl.seed_everything(recipe.seed, workers=True, verbose=False)
    network = _network(recipe, initial)
    validation = sorted(paths[patient.name] for patient in parts["validation"])
    summaries = {}
    for stage in recipe.stages:
        patients = groups.select_patients(stage.group, parts, recipe.target, region_of)
        if not patients and isinstance(stage.group, list):
            continue  # the lesions of the intermediate patients are in other regions
        training = sorted(paths[patient.name] for patient in patients)
        tiles.check(training, stage.tile, "training")
        files = {"training": training, "validation": validation}
        folder = out / stage.name
        summaries[stage.name] = _run(stage, network, files, recipe, folder)
        network.load_state_dict(load_file(folder / WEIGHTS))
    return summaries


def prepare_arrays(
    scans: Iterable[Patient], data: GridData, folder: Path, processes: int
) -> dict[str, Path]:
    """Resample the scans of patients to the grid of a recipe's ``data`` unless done before.

    Returns
    -------
    dict of str to Path
        Archive (:func:`bids_stroke.training.patients.arrays.arrays`) of each patient by name.

    Raises
    ------
    DatasetError
        If a scan cannot be resampled.
    """
    folder.mkdir(parents=True, exist_ok=True)
    jobs = [(patient, data.contrasts, data.space, data.spacing, folder) for patient in scans]
    paths = {}
    for (patient, *_), path in parallel.map_unordered(patient_arrays, jobs, processes):
        if isinstance(path, Exception):
            raise DatasetError(
                f"{patient.name} cannot be used: {parallel.error_message(path)}"
            ) from path
        paths[patient.name] = path
    return paths


def _network(recipe: StagedRecipe, initial: Mapping[str, torch.Tensor] | None) -> nn.Module:
    """Build the network of a recipe with its initial weights."""
    network = build(recipe.network)
    if recipe.encoder:
        net = getattr(network, "net", None)
        if not isinstance(net, EncoderUNet):
            raise UsageError(
                f"Recipe {recipe.name} sets an encoder, which only the networks resnet50_unet and "
                "efficientnet_lite0_unet support; remove it."
            )
        imagenet.load(net, recipe.encoder)
    if initial is not None:
        network.load_state_dict(initial)
    return network


def _region_of(paths: Mapping[str, Path], data: GridData) -> Callable[[Patient], str | None]:
    """Return a function that locates the super-region of a patient's lesion."""

    @cache
    def locator() -> groups.RegionLocator:
        return groups.RegionLocator(data.spacing)

    @cache
    def region_of(patient: Patient) -> str | None:
        return locator().locate(read_array(paths[patient.name], "label"))

    return region_of


def _datasets(
    stage: Stage, files: Mapping[str, Sequence[Path]], recipe: StagedRecipe
) -> tuple[Dataset[Tensors], Dataset[Tensors]]:
    """Return the training and validation datasets of a stage."""
    data, settings = recipe.data, recipe.training
    if 1 not in stage.tile:
        shared = (stage.tile, data.contrasts, data.groups)
        training = tiles.Tiles(files["training"], *shared, flip=settings.flip)
        return training, tiles.Tiles(files["validation"], *shared, random=False)
    held_out = recipe.split if recipe.split.by_slice else None
    return (
        slices.Slices(files["training"], stage.tile, settings.slices, settings.augmentation, held_out),
        slices.Slices(
            files["validation"],
            stage.tile,
            held_out=held_out,
            part="validation" if held_out else "training",
        ),
    )


def _loaders(
    stage: Stage, files: Mapping[str, Sequence[Path]], recipe: StagedRecipe
) -> tuple[DataLoader[Tensors], DataLoader[Tensors]]:
    """Return the loaders of training batches and of single validation scans."""
    settings = recipe.training
    training, validation = _datasets(stage, files, recipe)
    workers: dict[str, Any] = {
        "num_workers": settings.workers,
        "persistent_workers": settings.workers > 0,
        "collate_fn": slices.collate if 1 in stage.tile else None,
    }
    return (
        DataLoader(training, settings.batch, shuffle=True, **workers),
        DataLoader(validation, 1, **workers),
    )


def _run(
    stage: Stage,
    network: nn.Module,
    files: Mapping[str, Sequence[Path]],
    recipe: StagedRecipe,
    out: Path,
) -> StageSummary:
    """Train or continue a stage unless it is complete."""
    summary_path = out / SUMMARY
    if summary_path.is_file():
        return StageSummary.from_json(json.loads(summary_path.read_text()))
    training, validation = _loaders(stage, files, recipe)
    trainer = _trainer(stage, recipe.training, out, bool(files["validation"]))
    last = out / "checkpoints" / "last.ckpt"
    module = Learner(network, stage, recipe.training.loss)
    checkpoint = last if last.exists() else None
    trainer.fit(module, training, validation, ckpt_path=checkpoint, weights_only=True)
    summary = StageSummary(
        epochs=trainer.current_epoch,
        scans={part: len(paths) for part, paths in files.items()},
        scores={key: round(float(value), 4) for key, value in trainer.callback_metrics.items()},
    )
    if trainer.is_global_zero:
        save_weights(module.network, out / WEIGHTS)
        with atomic(summary_path) as partial:
            partial.write_text(json.dumps(summary.to_json(), indent=2))
    trainer.strategy.barrier()
    return summary


def _trainer(stage: Stage, settings: StageTraining, out: Path, validated: bool) -> pl.Trainer:
    return pl.Trainer(
        accelerator="auto",
        devices="auto",
        num_nodes=int(os.environ.get("SLURM_NNODES", 1)),
        precision=devices.precision(),
        max_epochs=stage.epochs,
        gradient_clip_val=settings.clip,
        limit_val_batches=1.0 if validated else 0,
        num_sanity_val_steps=0,
        enable_model_summary=False,
        enable_progress_bar=False,
        log_every_n_steps=1,
        logger=loggers(out),
        callbacks=[
            # Snapshots precede checkpoints, so that an interruption in between repeats the epoch.
            Snapshots(out, stage.snapshots),
            # Without a monitored metric, the latest checkpoint is kept.
            ModelCheckpoint(
                out / "checkpoints",
                "last",
                save_on_train_epoch_end=True,
                enable_version_counter=False,
            ),
            Progress(f"{out.parent.name}, {stage.name}"),
        ],
    )
