"""Estimates of the remaining time of a session and of a run."""

from collections.abc import Sequence
from statistics import mean

from .steps import usual_seconds

#: Seconds of assumed steps at the usual pace, which limit the influence of the first steps.
_PRIOR_SECONDS = 10
#: Steps that take a smaller share of their usual duration reuse results of an earlier run.
_SMALLEST_SHARE = 0.05


class SessionEstimate:
    """Remaining time of a session, estimated from the usual and the measured durations of its steps.

    All times are in seconds.

    Parameters
    ----------
    steps : sequence of str
        Names of all steps, at least one.
    """

    def __init__(self, steps: Sequence[str]) -> None:
        self._total = float(sum(map(usual_seconds, steps)))
        self._done = 0.0  # usual duration of the finished steps
        self._usual = self._measured = float(_PRIOR_SECONDS)
        self._running: dict[str, float] = {}

    def start(self, step: str, now: float) -> None:
        """Start a step at the time ``now``."""
        self._running[step] = now

    def end(self, step: str, seconds: float) -> None:
        """End a step after ``seconds``."""
        self._running.pop(step, None)
        usual = usual_seconds(step)
        self._done += usual
        if seconds >= _SMALLEST_SHARE * usual:
            self._usual += usual
            self._measured += seconds

    def share(self, now: float) -> float:
        """Return the share of the session, from 0 to 1, that is finished at the time ``now``."""
        pace = self._measured / self._usual
        steps = list(self._running.items())  # a copy, since the bars are drawn in another thread
        running = sum(min(usual_seconds(step), (now - start) / pace) for step, start in steps)
        return min(1.0, (self._done + running) / self._total)

    def duration(self) -> float:
        """Return the expected duration of the session."""
        return self._total * self._measured / self._usual

    def remaining(self, now: float) -> float:
        """Return the remaining time at the time ``now``."""
        return (1 - self.share(now)) * self.duration()


def remaining_of_run(unfinished: float, durations: Sequence[float], parallel: int) -> float | None:
    """Return the remaining time (s) of a run.

    Parameters
    ----------
    unfinished : float
        Number of waiting sessions, plus the unfinished shares of the running ones.
    durations : sequence of float
        Durations (s) of the ended sessions, and expected durations of the running ones.
    parallel : int
        Number of sessions that run in parallel.

    Returns
    -------
    float or None
        None before the first session has started.

    >>> remaining_of_run(7.5, [100, 140], parallel=2)
    450.0
    """
    return unfinished * mean(durations) / max(1, parallel) if durations else None
