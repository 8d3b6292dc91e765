"""Lightning module for training on simulated strokes: loss, learning rate, averaged weights."""

import math
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import numpy as np
import torch
from lightning.pytorch.callbacks import Callback
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from bids_stroke.compute import devices
from bids_stroke.training.recipe_settings import Input, SimulationTraining

from . import samples, scores
from .clock import get_clock
from .saving import save_weights

THRESHOLDS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7)


def update_average(
    decay: float, averaged: list[torch.Tensor], current: list[torch.Tensor], count: torch.Tensor
) -> None:
    """Update an exponential moving average after ``count`` updates.

    The decay increases to ``decay``, so that the average of a short training does not contain the
    initial weights (``tf.train.ExponentialMovingAverage``).
    """
    start = (1 + int(count)) / (10 + int(count))
    get_ema_multi_avg_fn(min(decay, start))(averaged, current, count)


class Segmenter(pl.LightningModule):
    """Training step with weighted Dice and cross-entropy inside the brain, and AdamW.

    The learning rate is constant after a warm-up. With ``decay``, it decreases to zero along a cosine
    over the budget of the trainer's :class:`bids_stroke.training.engine.clock.Clock`. An exponential
    moving average of the weights is validated and exported.
    """

    def __init__(
        self,
        network: nn.Module,
        settings: SimulationTraining,
        inputs: Sequence[Input],
        decay: bool = False,
    ) -> None:
        super().__init__()
        self.network = devices.place_network(network, "cpu")  # Lightning moves it to the device
        self.average = AveragedModel(
            network, multi_avg_fn=partial(update_average, settings.ema_decay), use_buffers=True
        )
        self.settings = settings
        self.names = ["+".join(entry.contrasts) for entry in inputs]
        self.decay = decay
        self.pool = samples.SamplePool(samples.POOL_SIZE, seed=0)
        self.scores: list[list[float]] = []

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Return AdamW for all weights."""
        return torch.optim.AdamW(
            self.network.parameters(),
            lr=self.settings.learning_rate,
            weight_decay=self.settings.weight_decay,
        )

    def learning_rate(self, step: int, spent: float) -> float:
        """Return the learning rate of a step when a share ``spent`` (0 to 1) of the budget is used."""
        rate = self.settings.learning_rate * min(1.0, (step + 1) / self.settings.warmup_steps)
        # A Python float, because checkpoints must not contain NumPy types.
        return rate * 0.5 * (1 + math.cos(math.pi * spent)) if self.decay else rate

    def on_after_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:
        """Add earlier samples to a training batch."""
        return self.pool.batch(batch, self.settings.batch) if self.trainer.training else batch

    def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:
        """Set the learning rate."""
        clock = get_clock(self.trainer)
        rate = self.learning_rate(self.global_step, clock.budget_fraction(self.global_step))
        for group in self.trainer.optimizers[0].param_groups:
            group["lr"] = rate

    def training_step(self, batch: samples.Batch, batch_idx: int) -> torch.Tensor:
        """Return the loss of a batch."""
        image, label, mask, weight = batch
        # Samples run one by one on a CPU, so that norms need no copies (devices.place_network).
        parts = image.split(1) if image.device.type == "cpu" else [image]
        logits = torch.cat([self.network(part) for part in parts]).float()
        loss = scores.weighted_loss(
            scores.mask_logits(logits, mask), label, weight, self.settings.dice_smoothing
        )
        self.log("loss", loss, prog_bar=True)
        return loss

    def on_train_batch_end(self, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Update the averaged weights."""
        self.average.update_parameters(self.network)

    def validation_step(
        self,
        batch: tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor],
        batch_idx: int,
    ) -> None:
        """Store the Dice by threshold of each sample with a lesion."""
        image, label, mask, entry = batch
        probability = self.average(image).float().sigmoid() * mask
        for p, truth, index in zip(probability, label > 0, entry.tolist(), strict=True):
            if truth.any():
                self.scores.append([index, *(scores.dice(p > t, truth) for t in THRESHOLDS)])

    def on_validation_epoch_end(self) -> None:
        """Log the mean Dice by threshold, and by input at a threshold of 0.5."""
        if not self.scores:
            return
        table, self.scores = np.array(self.scores), []
        columns = zip(THRESHOLDS, table[:, 1:].mean(0), strict=True)
        values = {f"dice_{t}": float(mean) for t, mean in columns}
        values["minutes"] = get_clock(self.trainer).minutes
        column = 1 + THRESHOLDS.index(0.5)
        for index in np.unique(table[:, 0]).astype(int):
            values[self.names[index]] = float(table[table[:, 0] == index, column].mean())
        self.log_dict(values, on_epoch=True)


class AveragedWeights(Callback):
    """Callback that writes the averaged weights after each validation."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def on_validation_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        """Write the weights, except in the sanity check before training."""
        assert isinstance(module, Segmenter)
        if not trainer.sanity_checking:
            save_weights(module.average.module, self.path)
