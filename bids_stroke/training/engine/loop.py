"""Training on simulated strokes: from a recipe to weights."""

import csv
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import timedelta
from pathlib import Path

import lightning.pytorch as pl
import torch
from lightning.pytorch.callbacks import Callback, ModelCheckpoint, RichProgressBar
from torch.utils.data import DataLoader

from bids_stroke.compute import devices
from bids_stroke.errors import UsageError
from bids_stroke.models import adaptation, weights
from bids_stroke.models.card import Card
from bids_stroke.training.recipe_settings import SimulationRecipe, SimulationTraining
from bids_stroke.training.simulation.synthesis import Simulator
from bids_stroke.utils.files import PathLike, atomic

from . import samples, sources
from .clock import Budget, Clock, get_clock
from .saving import SUMMARY, WEIGHTS, loggers, save_weights
from .segmenter import AveragedWeights, Segmenter

CHECKPOINT_MINUTES = 5


@dataclass(frozen=True)
class Summary:
    """Result of a training; ``validation`` holds the Dice by threshold and by input."""

    steps: int
    minutes: float
    validation: dict[str, float]


def train_on_simulations(
    recipe: SimulationRecipe,
    out: PathLike,
    data: PathLike,
    *,
    minutes: float | None = None,
    steps: int | None = None,
    initial: Card | None = None,
    decay_from: Path | None = None,
) -> Summary:
    """Prepare the source files of a recipe and train (:func:`bids_stroke.training.engine.loop.fit`).

    Parameters
    ----------
    recipe : SimulationRecipe
    out : path
        Output folder. It also contains ``split.csv``, the part of each file, and ``cache``, the
        prepared heads.
    data : path
        Folder that contains the folders of the recipe's ``sources``.
    minutes : float, optional
        Duration of this call.
    steps : int, optional
        Steps of this call.
    initial : Card, optional
        Model to start from.
    decay_from : Path, optional
        Checkpoint from which the learning rate decays to zero.

    Raises
    ------
    UsageError
        If ``decay_from`` does not exist.
    """
    out = Path(out)
    out.mkdir(parents=True, exist_ok=True)
    files = sources.find_files(recipe, data)
    _write_split(files, out / "split.csv")
    loaded = {
        part: sources.load_files(files[part], out / "cache") for part in ("training", "validation")
    }
    device = devices.resolve("auto")
    device_of = {"training": "cpu" if workers(recipe.training) else device, "validation": device}
    training, validation = (
        sources.build_simulator(loaded[part], recipe, device_of[part]) for part in device_of
    )
    if decay_from and not decay_from.is_file():
        raise UsageError(f"{decay_from} does not exist; give the last.ckpt of a training.")
    budget = Budget(minutes or (recipe.training.decay_minutes if decay_from else None), steps)
    start = initial_weights(recipe, initial) if initial else None
    return fit(recipe, training, validation, out, budget, initial=start, decay_from=decay_from)


def fit(
    recipe: SimulationRecipe,
    training: Simulator,
    validation: Simulator,
    out: PathLike,
    budget: Budget,
    *,
    initial: Mapping[str, torch.Tensor] | None = None,
    decay_from: Path | None = None,
) -> Summary:
    """Train the network of a recipe with simulators for training and validation.

    The function writes ``weights.safetensors`` (averaged weights), ``checkpoints/last.ckpt`` every
    five minutes (from which a repeated call continues), ``log/version_*/metrics.csv``, TensorBoard
    files and, at the end, ``summary.json``.

    Parameters
    ----------
    recipe : SimulationRecipe
    training, validation : Simulator
    out : path
    budget : Budget
        Limits of this call.
    initial : dict of str to tensor, optional
        Weights to start from.
    decay_from : Path, optional
        Checkpoint from which the learning rate decays to zero over the budget. An interrupted decay
        starts again from this checkpoint.
    """
    settings, out = recipe.training, Path(out)
    torch.set_num_threads(settings.threads)
    pl.seed_everything(recipe.seed, verbose=False)
    last = decay_from or out / "checkpoints" / "last.ckpt"
    network = weights.build(recipe.network)
    if initial:
        network.load_state_dict(initial)
    module = Segmenter(network, settings, recipe.inputs, decay=decay_from is not None)
    checkpoints = ModelCheckpoint(
        out / "checkpoints",
        save_last=True,
        save_top_k=0,
        train_time_interval=timedelta(minutes=CHECKPOINT_MINUTES),
    )
    trainer = build_trainer(settings, out, budget, [AveragedWeights(out / WEIGHTS), checkpoints])
    first_step = torch.load(last, weights_only=True)["global_step"] if last.exists() else 0
    # A continued training draws new samples.
    stream = samples.SampleStream(training, recipe, [recipe.sample_seed, first_step])
    fixed = samples.ValidationSamples(validation, recipe, [recipe.seed, 1])
    loaders = (
        DataLoader(
            stream,
            max(1, settings.batch // settings.reuse),
            num_workers=workers(settings),
            worker_init_fn=samples.single_threaded,
        ),
        DataLoader(fixed, 1),
    )
    trainer.fit(module, *loaders, ckpt_path=last if first_step else None, weights_only=True)
    trainer.save_checkpoint(out / "checkpoints" / "last.ckpt")
    trainer.validate(module, loaders[1], verbose=False)
    save_weights(module.average.module, out / WEIGHTS)
    summary = Summary(
        steps=trainer.global_step,
        minutes=round(get_clock(trainer).minutes, 1),
        validation={k: round(float(v), 4) for k, v in trainer.callback_metrics.items()},
    )
    with atomic(out / SUMMARY) as partial:
        partial.write_text(json.dumps(asdict(summary), indent=2))
    return summary


def workers(settings: SimulationTraining) -> int:
    """Return the number of processes that simulate for a GPU; on a CPU, the training process does."""
    return settings.workers if torch.cuda.is_available() else 0


def initial_weights(recipe: SimulationRecipe, source: Card) -> dict[str, torch.Tensor]:
    """Adapt the weights of a model to the recipe's network; channels that it lacks start at zero."""
    target = weights.build(recipe.network).state_dict()
    channels = [channel.contrast for channel in source.channels]
    wanted = [*recipe.channels, *(f"mirrored {c}" for c in recipe.channels if recipe.mirror)]
    if source.mirror:
        channels += [f"mirrored {contrast}" for contrast in channels]
    return adaptation.adapt(weights.state(source), target, channels, wanted, "zeros")[0]


def _write_split(files: dict[str, sources.Files], path: Path) -> None:
    with atomic(path) as partial, partial.open("w", newline="") as stream:
        rows = csv.writer(stream)
        rows.writerow(["part", "folder", "file"])
        for part, kinds in files.items():
            for file in (file for paths in kinds.values() for file in paths):
                rows.writerow([part, file.parent.name, file.name])


def build_trainer(
    settings: SimulationTraining, out: Path, budget: Budget, callbacks: Sequence[Callback]
) -> pl.Trainer:
    """Return a trainer that validates at the interval of the settings and ends with the budget."""
    return pl.Trainer(
        accelerator="auto",
        devices=1,
        precision=devices.precision(),
        max_steps=-1,
        gradient_clip_val=settings.clip,
        val_check_interval=settings.validation_every,
        check_val_every_n_epoch=None,
        num_sanity_val_steps=0,
        enable_model_summary=False,
        log_every_n_steps=10,
        logger=loggers(out),
        callbacks=[Clock(budget), *callbacks, RichProgressBar()],
    )
