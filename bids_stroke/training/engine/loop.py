"""Training on simulated strokes: from a recipe to weights."""

import csv
import json
from dataclasses import asdict, dataclass
from datetime import timedelta
from pathlib import Path

import lightning.pytorch as pl
import torch
from lightning.pytorch.callbacks import ModelCheckpoint, RichProgressBar, Timer
from safetensors.torch import load_file
from torch.utils.data import DataLoader

from bids_stroke.compute import devices
from bids_stroke.models import weights
from bids_stroke.training.recipe_settings import SimulationRecipe, SimulationTraining
from bids_stroke.training.simulation.synthesis import Simulator
from bids_stroke.utils.files import PathLike, atomic

from . import samples, sources
from .saving import SUMMARY, WEIGHTS, loggers, save_weights
from .segmenter import AveragedWeights, Segmenter, elapsed


@dataclass(frozen=True)
class Summary:
    """What a training came to: Dice by threshold and by input on the validation samples."""

    steps: int
    minutes: float
    validation: dict[str, float]


def train_on_simulations(recipe: SimulationRecipe, out: PathLike, data: PathLike) -> Summary:
    """Find the files, prepare them, and train (see :func:`bids_stroke.training.engine.loop.fit`).

    Parameters
    ----------
    recipe : SimulationRecipe
        A recipe with ``first`` starts from the weights of that training.
    out : path
        Also receives ``split.csv``, which file went to which part, ``cache``, and ``first``.
    data : path
        Where the folders of the recipe's ``sources`` lie.
    """
    out = Path(out)
    out.mkdir(parents=True, exist_ok=True)
    files = sources.parts(recipe, data)
    _write_split(files, out / "split.csv")
    loaded = {part: sources.material(files[part], out / "cache") for part in ("training", "validation")}
    initial: PathLike | None = recipe.initial
    if recipe.first:
        before = out / "first"
        if not (before / SUMMARY).exists():
            _simulate_and_fit(recipe.first, loaded, before, initial)
        initial = before / WEIGHTS
    return _simulate_and_fit(recipe, loaded, out, initial)


def fit(
    recipe: SimulationRecipe,
    training: Simulator,
    validation: Simulator,
    out: PathLike,
    initial: PathLike | None = None,
) -> Summary:
    """Train the recipe's network on two simulators.

    Writes ``weights.safetensors`` (averaged weights), ``checkpoints/last.ckpt`` (from which the
    same call continues after an interruption), ``log/version_*/metrics.csv``, TensorBoard's files
    and, at the end, ``summary.json``.

    Parameters
    ----------
    recipe : SimulationRecipe
    training, validation : Simulator
    out : path
    initial : path, optional
        Weights to start from (safetensors).
    """
    settings, out = recipe.training, Path(out)
    torch.set_num_threads(settings.threads)
    pl.seed_everything(recipe.seed, verbose=False)
    last = out / "checkpoints" / "last.ckpt"
    network = weights.build(recipe.network)
    if initial:
        network.load_state_dict(load_file(initial))
    module = Segmenter(network, settings, recipe.inputs)
    trainer = _trainer(settings, out)
    begun = torch.load(last, weights_only=True)["global_step"] if last.exists() else 0
    # A continued training must not see again what it has seen.
    stream = samples.Stream(training, recipe.channels, recipe.inputs, [recipe.seed, begun])
    fixed = samples.Fixed(
        validation, recipe.channels, recipe.inputs, settings.validation_samples, [recipe.seed, 1]
    )
    loaders = (
        DataLoader(
            stream,
            max(1, settings.batch // settings.reuse),
            num_workers=workers(settings),
            worker_init_fn=samples.single_threaded,
        ),
        DataLoader(fixed, 1),
    )
    trainer.fit(module, *loaders, ckpt_path=last if begun else None, weights_only=True)
    trainer.validate(module, loaders[1], verbose=False)
    save_weights(module.average.module, out / WEIGHTS)
    summary = Summary(
        steps=trainer.global_step,
        minutes=round(elapsed(trainer) / 60, 1),
        validation={k: round(float(v), 4) for k, v in trainer.callback_metrics.items()},
    )
    with atomic(out / SUMMARY) as partial:
        partial.write_text(json.dumps(asdict(summary), indent=2))
    return summary


def workers(settings: SimulationTraining) -> int:
    """Processes that simulate beside a GPU. A CPU simulates between the steps of the training."""
    return settings.workers if torch.cuda.is_available() else 0


def _simulate_and_fit(
    recipe: SimulationRecipe,
    loaded: dict[str, sources.Material],
    out: Path,
    initial: PathLike | None,
) -> Summary:
    device = devices.resolve("auto")
    on = {"training": "cpu" if workers(recipe.training) else device, "validation": device}
    training, validation = (sources.simulator(loaded[part], recipe, on[part]) for part in on)
    return fit(recipe, training, validation, out, initial)


def _write_split(files: dict[str, sources.Files], path: Path) -> None:
    with atomic(path) as partial, partial.open("w", newline="") as stream:
        rows = csv.writer(stream)
        rows.writerow(["part", "folder", "file"])
        for part, kinds in files.items():
            for file in (file for paths in kinds.values() for file in paths):
                rows.writerow([part, file.parent.name, file.name])


def _trainer(settings: SimulationTraining, out: Path) -> pl.Trainer:
    return pl.Trainer(
        accelerator="auto",
        devices=1,
        precision=devices.precision(),
        max_steps=settings.max_steps,
        gradient_clip_val=settings.clip,
        val_check_interval=settings.validation_every,
        check_val_every_n_epoch=None,
        num_sanity_val_steps=0,
        enable_model_summary=False,
        log_every_n_steps=10,
        logger=loggers(out),
        callbacks=[
            Timer(timedelta(seconds=60 * settings.max_minutes), interval="step"),
            AveragedWeights(out / WEIGHTS),
            ModelCheckpoint(
                out / "checkpoints",
                save_last=True,
                save_top_k=0,
                every_n_train_steps=settings.validation_every,
            ),
            RichProgressBar(),
        ],
    )
