"""A bar with the time left of the whole training; on a pipe, a line per epoch."""

from lightning.pytorch.callbacks import Callback
from rich.console import Console
from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar


class Progress(Callback):
    """Show the epochs of a training."""

    def __init__(self, what):
        self.console = Console(stderr=True)
        self.what = what
        self.bar = None

    def on_train_start(self, trainer, module):
        if not trainer.is_global_zero:
            return
        columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[state]}"))
        self.bar = Bar(
            *columns, TimeRemainingColumn(), console=self.console, disable=not self.console.is_terminal
        )
        total = trainer.max_epochs * trainer.num_training_batches
        self.task = self.bar.add_task(self.what, total=total, completed=trainer.global_step, state="")
        self.bar.start()

    def on_train_batch_end(self, trainer, module, outputs, batch, batch_idx):
        if self.bar:
            self.bar.advance(self.task)

    def on_train_epoch_end(self, trainer, module):
        if not self.bar:
            return
        shown = {k: trainer.callback_metrics.get(k) for k in ("loss", "val_dice")}
        state = ", ".join(f"{k} {float(v):.3f}" for k, v in shown.items() if v is not None)
        state = f"epoch {trainer.current_epoch + 1} of {trainer.max_epochs}, {state}"
        self.bar.update(self.task, state=state)
        if not self.console.is_terminal:
            self.console.print(f"{self.what}: {state}", soft_wrap=True, highlight=False)

    def teardown(self, trainer, module, stage):
        if self.bar:
            self.bar.stop()
