"""Progress of a run: bars on a terminal, lines in a log, and a final table."""

import logging
import sys
import time
from collections.abc import Container, Iterable
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType

from rich.console import Console
from rich.progress import (
    BarColumn,
    ProgressColumn,
    TaskID,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
)
from rich.progress import Progress as Bars
from rich.progress import Task as Bar
from rich.table import Table
from rich.text import Text

from bids_stroke.bids.sessions import Session, Unused

from .messages import Message, Result, Started, Step
from .plan import Plan
from .remaining import SessionEstimate, remaining_of_run


class _RemainingColumn(ProgressColumn):
    """Column with the estimated remaining time of each bar."""

    def render(self, task: Bar) -> Text:
        """Return the remaining time as text; empty if it is unknown or less than a second."""
        seconds = task.fields["remaining"]() or 0
        return Text(f"{_clock(seconds)} left" if seconds >= 1 else "", style="progress.remaining")


class Progress:
    """Context manager that shows the progress of a run.

    Parameters
    ----------
    log : Path
        File that lines are appended to; they are also printed if there is no terminal.
    total : int
        Number of sessions to run.
    verbose : int
        If positive, the start of each step is logged, too.
    """

    def __init__(self, log: Path, total: int, verbose: int = 0) -> None:
        self._verbose = verbose
        logging.raiseExceptions = False  # report a full disk once, not for each line of the log
        log.parent.mkdir(parents=True, exist_ok=True)
        self._console = Console(stderr=True)
        self._logger = logging.getLogger("bids_stroke.run")
        self._logger.setLevel(logging.INFO)
        self._logger.propagate = False
        handlers: list[logging.Handler] = [logging.FileHandler(log)]
        if not self._console.is_terminal:
            handlers.append(logging.StreamHandler(sys.stderr))
        for handler in handlers:
            handler.setFormatter(logging.Formatter("%(asctime)s %(message)s", "%Y-%m-%d %H:%M:%S"))
        self._logger.handlers = handlers
        self._bars = Bars(
            TextColumn("{task.description}"),
            BarColumn(),
            TaskProgressColumn(),
            TimeElapsedColumn(),
            _RemainingColumn(),
            TextColumn("{task.fields[step]}"),
            console=self._console,
            disable=not self._console.is_terminal,
        )
        self._total, self._ended = total, 0
        self._durations: list[float] = []  # of successful sessions
        self._all = self._bars.add_task("", total=total, step="", remaining=self._remaining)
        self._tasks: dict[str, tuple[TaskID, SessionEstimate]] = {}
        self._update_all()
        self._stack = ExitStack()

    def __enter__(self) -> "Progress":
        self._stack.enter_context(self._bars)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stack.close()
        for handler in self._logger.handlers:
            handler.close()
        self._logger.handlers = []

    def line(self, text: str) -> None:
        """Log a line."""
        self._logger.info(text)

    def message(self, name: str, message: Message) -> None:
        """Show a message from the subprocess of a session."""
        if isinstance(message, Started):
            self._remove(name)  # if it is restarted
            estimate = SessionEstimate(message.steps)
            task = self._bars.add_task(
                name, total=1, step="", remaining=lambda: estimate.remaining(time.monotonic())
            )
            self._tasks[name] = task, estimate
            self.line(f"{name}: started")
        elif isinstance(message, Step) and name in self._tasks:
            self._step(name, message)

    def _step(self, name: str, step: Step) -> None:
        task, estimate = self._tasks[name]
        if step.status == "start":
            estimate.start(step.name, time.monotonic())
            self._bars.update(task, step=step.name)
            if self._verbose:
                self.line(f"{name}: {step.name} started")
        elif step.status == "end":
            estimate.end(step.name, step.seconds)
            self._bars.update(task, completed=estimate.share(time.monotonic()))
            self._update_all()
            if step.seconds >= 1:
                self.line(f"{name}: {step.name} took {step.seconds:.0f} s")

    def ended(self, name: str, result: Result) -> None:
        """Show the result of a session."""
        self._remove(name)
        self._ended += 1
        if result.status == "ok":
            self._durations.append(result.seconds)
        self._update_all()
        reason = f": {result.error}" if result.error else ""
        self.line(f"{name}: {result.status} after {result.seconds:.0f} s{reason}")
        for sentence in result.flags.values():
            self.line(f"{name}: warning: {sentence}")

    def _remove(self, name: str) -> None:
        """Remove the bar of a session, if there is one."""
        if name in self._tasks:
            task, _ = self._tasks.pop(name)
            self._bars.remove_task(task)

    def _estimates(self) -> list[SessionEstimate]:
        """Return the estimates of the running sessions: a copy, since another thread draws the bars."""
        return [estimate for _, estimate in list(self._tasks.values())]

    def _finished(self) -> float:
        """Return the number of finished sessions, plus the finished shares of the running ones."""
        now = time.monotonic()
        return self._ended + sum(estimate.share(now) for estimate in self._estimates())

    def _remaining(self) -> float | None:
        running = [estimate.duration() for estimate in self._estimates()]
        durations = [*self._durations, *running]
        return remaining_of_run(self._total - self._finished(), durations, len(running))

    def _update_all(self) -> None:
        """Update the bar of all sessions."""
        description = f"sessions {self._ended}/{self._total}"
        self._bars.update(self._all, completed=self._finished(), description=description)

    def report_ended(self, name: str, result: Result) -> None:
        """Show the error of the report of a failed session."""
        if result.error:
            self.line(f"{name}: {result.error}")

    def summary(self, rows: Iterable[tuple[str, str, float | None, str, str]]) -> None:
        """Print the table of all sessions."""
        table = Table(title="bids_stroke")
        for column in ("participant", "lesion (ml)", "time", "status", "remark"):
            table.add_column(column, overflow="fold")
        for name, volume, seconds, status, remark in rows:
            table.add_row(
                name,
                volume,
                "" if seconds is None else _clock(seconds),
                status,
                Text(remark or ""),  # rich would parse brackets in an error as styles
            )
        self._bars.stop()
        Console().print(table)


def _clock(seconds: float) -> str:
    """Format a time as minutes and seconds.

    >>> _clock(100.7)
    '1:40'
    """
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"


def print_plan(plan: Plan) -> None:
    """Print which sessions would run, and which files are used and not used, with reasons."""
    for session in plan.sessions:
        done = session.name in plan.done
        processed = session.processed(plan.card)
        print(f"{session.name}: {'up to date' if done else _intention(session, processed)}")
        for note in session.notes:
            print(f"  {note}")
        others = {c: path for c, path in session.images.items() if c not in processed}
        _print_unused(Unused(path, f"{c} is not needed") for c, path in others.items())
        _print_unused(session.unused)
    for notice in plan.notices:
        print(notice)
    for skipped in plan.skipped:
        print(f"{skipped.name}: {skipped.status}: {skipped.reason}")
        _print_unused(skipped.unused)


def _intention(session: Session, processed: Container[str]) -> str:
    images = ", ".join(f"{c} {path.name}" for c, path in session.images.items() if c in processed)
    inputs = images or "its lesion mask only"
    return f"would run on {inputs}; {session.reference} is the reference"


def _print_unused(unused: Iterable[Unused]) -> None:
    for item in unused:
        print(f"  not used: {item}")
