"""Fine-tuning on corrected masks, mixed with simulated strokes."""

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import pandas as pd
import torch
from lightning.pytorch.callbacks import EarlyStopping, ModelCheckpoint
from torch import nn
from torch.utils.data import DataLoader

from bids_stroke.compute import devices
from bids_stroke.models import weights
from bids_stroke.training.finetuning_recipe import FinetuningRecipe
from bids_stroke.training.simulation.synthesis import Simulator

from . import held_out, loop, samples
from .clock import Budget, get_clock
from .held_out import Case, Cases
from .participants import MixedStream, ParticipantSamples, Scan
from .segmenter import Segmenter

POOL_SIZE = 32  # samples stored for reuse
SIMULATED_HEADS = 24  # simulated heads that show forgetting
BEFORE, AFTER = "before", "after"


@dataclass(frozen=True)
class Outcome:
    """Result of a fine-tuning.

    Attributes
    ----------
    steps : int
        Training steps of the weights; 0 if the initial weights are kept.
    minutes : float
        Duration of the training.
    state : dict of str to tensor
        Weights with the highest Dice on the validation participants.
    scores : DataFrame
        :class:`bids_stroke.training.engine.held_out.Score` of each case, with the columns ``part``
        (``validation``, ``test``, ``simulated``) and ``model`` (``before``, ``after``).
    """

    steps: int
    minutes: float
    state: Mapping[str, torch.Tensor]
    scores: pd.DataFrame


class FineTuner(Segmenter):
    """Training step of :class:`bids_stroke.training.engine.segmenter.Segmenter`, with a decaying
    learning rate and the Dice on held-out scans."""

    def __init__(self, network: nn.Module, recipe: FinetuningRecipe) -> None:
        simulation = recipe.simulation
        super().__init__(network, simulation.training, simulation.inputs, decay=True)
        self.card = recipe.model
        self.pool = samples.SamplePool(POOL_SIZE, seed=0)
        self.table: list[held_out.Score] = []

    def validation_step(self, batch: Case, batch_idx: int) -> None:  # type: ignore[override]
        """Store the score of the averaged weights on a case."""
        network = self.average.module
        self.table.append(held_out.score(network, batch, self.card, str(self.device)))

    def on_validation_epoch_end(self) -> None:
        """Log the mean Dice over participants."""
        table = pd.DataFrame(self.table, columns=list(held_out.Score._fields))
        self.table = []
        self.log_dict({"dice": held_out.mean_dice(table), "minutes": get_clock(self.trainer).minutes})


def finetune(
    recipe: FinetuningRecipe,
    scans: Mapping[str, Sequence[Scan]],
    simulator: Simulator,
    out: Path,
    minutes: float | None = None,
) -> Outcome:
    """Fine-tune the model of a recipe on scans of participants, mixed with simulated strokes.

    Training stops early if the Dice on the validation participants no longer increases. If it never
    exceeds the Dice of the initial weights, these are kept.

    Parameters
    ----------
    recipe : FinetuningRecipe
    scans : dict of str to sequence of Scan
        Scans of the parts ``training``, ``validation`` and ``test``.
    simulator : Simulator
    out : Path
        Output folder for checkpoints and logs.
    minutes : float, optional
        Limit of the duration.

    Returns
    -------
    Outcome
    """
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    pl.seed_everything(recipe.seed, workers=True, verbose=False)
    cases = {part: Cases(scans[part], recipe.simulation) for part in ("validation", "test")}
    initial = weights.load(recipe.model)
    before = _scores(recipe, initial, cases, simulator)
    # A tensor as Lightning logs it, so that equal values are equal.
    initial_dice = torch.tensor(held_out.mean_dice(before[before["part"] == "validation"]))
    module = FineTuner(weights.network(recipe.model, weights.state(recipe.model)), recipe)
    best = ModelCheckpoint(
        out / "checkpoints",
        "best",
        monitor="dice",
        mode="max",
        enable_version_counter=False,
        save_weights_only=True,
    )
    stopping = EarlyStopping("dice", mode="max", patience=recipe.finetuning.patience)
    stopping.best_score = initial_dice
    budget = Budget(minutes, recipe.finetuning.steps)
    trainer = loop.build_trainer(recipe.simulation.training, out, budget, [best, stopping])
    stream = _stream(recipe, scans["training"], simulator)
    trainer.fit(module, *_loaders(recipe, stream, cases["validation"]))
    duration = round(get_clock(trainer).minutes, 1)
    steps, network, after = 0, initial, before
    assert best.best_model_score is not None  # a training ends with a validation
    if best.best_model_score > initial_dice:
        checkpoint = torch.load(best.best_model_path, weights_only=True)
        module.load_state_dict(checkpoint["state_dict"])
        steps, network = checkpoint["global_step"], module.average.module
        after = _scores(recipe, network, cases, simulator)
    table = pd.concat([before.assign(model=BEFORE), after.assign(model=AFTER)], ignore_index=True)
    state = {name: values.detach().cpu() for name, values in network.state_dict().items()}
    return Outcome(steps, duration, state, table)


def _stream(recipe: FinetuningRecipe, scans: Sequence[Scan], simulator: Simulator) -> MixedStream:
    simulated = samples.SampleStream(simulator, recipe.simulation, [recipe.simulation.sample_seed])
    drawn = ParticipantSamples(scans, recipe.simulation)
    return MixedStream(simulated, drawn, recipe.finetuning.simulated, recipe.seed)


def _loaders(
    recipe: FinetuningRecipe, stream: MixedStream, validation: Cases
) -> tuple[DataLoader[Any], DataLoader[Case]]:
    settings = recipe.simulation.training
    return (
        DataLoader(stream, max(1, settings.batch // settings.reuse)),
        DataLoader(validation, batch_size=None, collate_fn=lambda case: case),
    )


def _scores(
    recipe: FinetuningRecipe, network: nn.Module, cases: Mapping[str, Cases], simulator: Simulator
) -> pd.DataFrame:
    """Score a network on the held-out scans and on simulated heads."""
    device = devices.resolve("auto")
    simulated = held_out.simulated_cases(simulator, recipe.simulation, SIMULATED_HEADS, recipe.seed)
    parts: dict[str, Iterable[Case]] = {**cases, "simulated": simulated}
    tables = [
        held_out.measure(network, items, recipe.model, device).assign(part=part)
        for part, items in parts.items()
    ]
    return pd.concat(tables, ignore_index=True)
