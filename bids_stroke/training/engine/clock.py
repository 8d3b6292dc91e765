"""Training time and the budget of a call."""

import time
from dataclasses import dataclass
from typing import Any

import lightning.pytorch as pl
from lightning.pytorch.callbacks import Callback


@dataclass(frozen=True)
class Budget:
    """Limits of one call in minutes and steps; None for no limit."""

    minutes: float | None = None
    steps: int | None = None


class Clock(Callback):
    """Callback that stops training at the budget and counts the minutes of all calls.

    Parameters
    ----------
    budget : Budget
    """

    def __init__(self, budget: Budget) -> None:
        self.budget = budget
        self.previous_minutes = 0.0
        self.started = time.monotonic()
        self.first_step = 0

    @property
    def minutes(self) -> float:
        """Minutes of training so far, including previous calls."""
        return self.previous_minutes + self._elapsed()

    def budget_fraction(self, step: int) -> float:
        """Return the used share (0 to 1) of the budget, the larger of time and steps."""
        shares = [0.0]
        if self.budget.minutes:
            shares.append(self._elapsed() / self.budget.minutes)
        if self.budget.steps:
            shares.append((step - self.first_step) / self.budget.steps)
        return min(1.0, max(shares))

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start the clock."""
        self.started = time.monotonic()
        self.first_step = trainer.global_step

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, *args: object
    ) -> None:
        """Stop training when the budget is used up."""
        if self.budget_fraction(trainer.global_step) >= 1:
            trainer.should_stop = True

    def state_dict(self) -> dict[str, Any]:
        """Return the state for the checkpoint."""
        return {"minutes": self.minutes}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the state of a checkpoint."""
        self.previous_minutes = float(state_dict["minutes"])

    def _elapsed(self) -> float:
        return (time.monotonic() - self.started) / 60


def get_clock(trainer: pl.Trainer) -> Clock:
    """Return the clock of a trainer."""
    # Lightning sets the callbacks without declaring them.
    return next(c for c in trainer.callbacks if isinstance(c, Clock))  # type: ignore[attr-defined]
