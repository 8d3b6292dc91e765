"""Lightning module for training on simulated strokes: loss, learning rate, averaged weights."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import numpy as np
import torch
from lightning.pytorch.callbacks import Callback, Timer
from monai.losses import DiceCELoss
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from bids_stroke.compute import devices
from bids_stroke.training.recipe_settings import Input, SimulationTraining

from . import samples, scores
from .saving import save_weights

THRESHOLDS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7)


class Segmenter(pl.LightningModule):
    """Dice and cross-entropy inside the brain; AdamW; warm-up, then cosine decay.

    The decay follows the larger share used of the two budgets, steps and wall-clock time, so that
    training ends at a learning rate of zero whichever runs out first. An exponential moving
    average of the weights is what is validated and exported.
    """

    def __init__(
        self, network: nn.Module, settings: SimulationTraining, inputs: Sequence[Input]
    ) -> None:
        super().__init__()
        self.network = devices.place_network(network, "cpu")  # Lightning moves it
        self.average = AveragedModel(
            network, multi_avg_fn=get_ema_multi_avg_fn(settings.ema_decay), use_buffers=True
        )
        self.settings = settings
        self.names = ["+".join(entry.contrasts) for entry in inputs]
        smoothing = settings.dice_smoothing
        # Dice of the whole batch: scan by scan, small lesions drive the network to mark nothing.
        self.loss = DiceCELoss(sigmoid=True, batch=True, smooth_nr=smoothing, smooth_dr=smoothing)
        self.pool = samples.Pool(samples.POOL, seed=0)
        self.scores: list[list[float]] = []

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """AdamW of all weights."""
        return torch.optim.AdamW(
            self.network.parameters(),
            lr=self.settings.learning_rate,
            weight_decay=self.settings.weight_decay,
        )

    def learning_rate(self, step: int, seconds: float) -> float:
        """Learning rate of a step, so many seconds after the start."""
        settings = self.settings
        time_used = seconds / (60 * settings.max_minutes)
        used = min(1.0, max(time_used, step / settings.max_steps))
        warmth = min(1.0, (step + 1) / settings.warmup_steps)
        # A plain number: checkpoints hold no NumPy types.
        return settings.learning_rate * warmth * 0.5 * (1 + math.cos(math.pi * used))

    def on_after_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:
        """Add earlier samples to a batch for training."""
        return self.pool.batch(batch, self.settings.batch) if self.trainer.training else batch

    def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:
        """Set the learning rate."""
        rate = self.learning_rate(self.global_step, elapsed(self.trainer))
        for group in self.trainer.optimizers[0].param_groups:
            group["lr"] = rate

    def training_step(self, batch: samples.Tensors, batch_idx: int) -> torch.Tensor:
        """Loss of a batch."""
        image, label, mask = batch
        # On a CPU one by one, so that norms need no copies (devices.place_network).
        parts = image.split(1) if image.device.type == "cpu" else [image]
        logits = torch.cat([self.network(part) for part in parts]).float()
        loss = self.loss(scores.inside(logits, mask), label)
        self.log("loss", loss, prog_bar=True)
        return loss

    def on_train_batch_end(self, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Update the average of the weights."""
        self.average.update_parameters(self.network)

    def validation_step(
        self,
        batch: tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor],
        batch_idx: int,
    ) -> None:
        """Keep the Dice of each sample with a lesion, by threshold."""
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
        middle = 1 + THRESHOLDS.index(0.5)
        for index in np.unique(table[:, 0]).astype(int):
            values[self.names[index]] = float(table[table[:, 0] == index, middle].mean())
        self.log_dict(values, on_epoch=True)


class AveragedWeights(Callback):
    """Write the averaged weights after each validation."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def on_validation_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        """Write them, but not in the check before training."""
        assert isinstance(module, Segmenter)
        if not trainer.sanity_checking:
            save_weights(module.average.module, self.path)


def elapsed(trainer: pl.Trainer) -> float:
    """Seconds of training so far, those before an interruption included."""
    # Lightning sets the callbacks without declaring them.
    timers = [c for c in trainer.callbacks if isinstance(c, Timer)]  # type: ignore[attr-defined]
    return timers[0].time_elapsed("train")
