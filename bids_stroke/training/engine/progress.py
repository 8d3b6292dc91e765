"""Progress of a training: a bar with the remaining time or, without terminal, a line per epoch."""

from collections.abc import Mapping
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.pytorch.callbacks import Callback
from rich.console import Console
from rich.progress import BarColumn, TaskID, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar


class Progress(Callback):
    """Callback that shows the epochs of a training."""

    def __init__(self, title: str) -> None:
        self.console = Console(stderr=True)
        self.title = title
        self.bar: Bar | None = None
        self.task = TaskID(0)

    def on_train_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        """Show the bar."""
        if not trainer.is_global_zero:
            return
        columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[state]}"))
        self.bar = Bar(
            *columns, TimeRemainingColumn(), console=self.console, disable=not self.console.is_terminal
        )
        total = (trainer.max_epochs or 0) * trainer.num_training_batches
        self.task = self.bar.add_task(self.title, total=total, completed=trainer.global_step, state="")
        self.bar.start()

    def on_train_batch_end(
        self,
        trainer: pl.Trainer,
        module: pl.LightningModule,
        outputs: torch.Tensor | Mapping[str, Any] | None,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """Advance the bar."""
        if self.bar:
            self.bar.advance(self.task)

    def on_train_epoch_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        """Show the scores of the epoch."""
        if not self.bar:
            return
        metrics = trainer.callback_metrics
        scores = [f"{key} {float(metrics[key]):.3f}" for key in ("loss", "val_dice") if key in metrics]
        epoch = f"epoch {trainer.current_epoch + 1} of {trainer.max_epochs}"
        state = f"{epoch}, {', '.join(scores)}"
        self.bar.update(self.task, state=state)
        if not self.console.is_terminal:
            self.console.print(f"{self.title}: {state}", soft_wrap=True, highlight=False)

    def teardown(self, trainer: pl.Trainer, module: pl.LightningModule, stage: str) -> None:
        """Remove the bar."""
        if self.bar:
            self.bar.stop()
