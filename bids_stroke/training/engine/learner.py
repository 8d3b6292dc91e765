"""Lightning module for training on patients: loss, optimizer, frozen modules."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.pytorch.callbacks import Callback
from monai.losses import DiceCELoss
from torch import nn
from torch.optim.lr_scheduler import CosineAnnealingWarmRestarts

from bids_stroke.training.recipe_settings import Loss, Stage
from bids_stroke.utils.files import PathLike

from . import scores
from .samples import Tensors
from .saving import save_weights


class Learner(pl.LightningModule):
    """Training step with BCE and soft Dice inside the brain, Adam, and cosine annealing with restarts.

    Parameters
    ----------
    network : torch.nn.Module
    stage : Stage
    loss : Loss
    """

    def __init__(self, network: nn.Module, stage: Stage, loss: Loss) -> None:
        super().__init__()
        memory_format = torch.channels_last if 1 in stage.tile else torch.channels_last_3d
        self.network = network.to(memory_format=memory_format)  # type: ignore[call-overload]
        self.stage = stage
        self.frozen = [network.get_submodule(name) for name in stage.frozen]
        network.train().requires_grad_(True)
        for module in self.frozen:
            module.requires_grad_(False)
        weight = loss.lesion_weight
        self.loss = DiceCELoss(
            sigmoid=True,
            batch=True,
            weight=None if weight is None else torch.tensor([float(weight)]),
            lambda_ce=loss.bce,
            lambda_dice=loss.dice,
        )

    def on_train_epoch_start(self) -> None:
        """Keep the normalization statistics of frozen modules."""
        for module in self.frozen:
            module.eval()

    def configure_optimizers(self) -> Any:
        """Return Adam for the trainable weights and its schedule."""
        trainable = [weight for weight in self.network.parameters() if weight.requires_grad]
        optimizer = torch.optim.Adam(trainable, lr=self.stage.learning_rate)
        return [optimizer], [CosineAnnealingWarmRestarts(optimizer, self.stage.cycle)]

    def training_step(self, batch: Tensors, batch_idx: int) -> torch.Tensor:
        """Return the loss of a batch."""
        image, label, mask = batch
        loss = self.loss(self._logits(image, mask), label)
        self.log("loss", loss, on_epoch=True, on_step=False, sync_dist=True)
        return loss

    def validation_step(self, batch: Tensors, batch_idx: int) -> None:
        """Log loss and Dice of a scan."""
        image, label, mask = batch
        logits = self._logits(image, mask)
        # A batch is one scan with any number of slices.
        self.log("val_loss", self.loss(logits, label), sync_dist=True, batch_size=1)
        self.log("val_dice", scores.dice(logits > 0, label > 0), sync_dist=True, batch_size=1)

    def _logits(self, image: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        return scores.mask_logits(self.network(image).float(), mask)


class Snapshots(Callback):
    """Callback that writes the weights at the end of selected epochs (counted from 1)."""

    def __init__(self, folder: PathLike, epochs: Sequence[int]) -> None:
        self.folder, self.epochs = Path(folder), epochs

    def on_train_epoch_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        """Write the weights if the epoch is selected."""
        assert isinstance(module, Learner)
        epoch = trainer.current_epoch + 1
        if epoch in self.epochs and trainer.is_global_zero:
            save_weights(module.network, self.folder / f"snapshot-{epoch}.safetensors")
