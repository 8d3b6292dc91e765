"""What a run shows: bars on a terminal, plain lines in a log, a table at the end."""

import logging
import sys
from contextlib import ExitStack

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bars
from rich.table import Table
from rich.text import Text


class Progress:
    """Progress of a run: a context manager.

    Parameters
    ----------
    log : Path
        Plain lines are appended here, and printed where there is no terminal.
    total : int
        Number of sessions to run.
    verbose : int
        Whether to log the start of each step as well.
    """

    def __init__(self, log, total, verbose=0):
        self._verbose = verbose
        logging.raiseExceptions = False  # a full disk is told once, not for each line of the log
        log.parent.mkdir(parents=True, exist_ok=True)
        self._console = Console(stderr=True)
        self._logger = logging.getLogger("bids_stroke.run")
        self._logger.setLevel(logging.INFO)
        self._logger.propagate = False
        handlers = [logging.FileHandler(log)]
        if not self._console.is_terminal:
            handlers.append(logging.StreamHandler(sys.stderr))
        for handler in handlers:
            handler.setFormatter(logging.Formatter("%(asctime)s %(message)s", "%Y-%m-%d %H:%M:%S"))
        self._logger.handlers = handlers
        self._bars = Bars(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.fields[step]}"),
            console=self._console,
            disable=not self._console.is_terminal,
        )
        self._all = self._bars.add_task("sessions", total=total, step="")
        self._tasks = {}
        self._stack = ExitStack()

    def __enter__(self):
        self._stack.enter_context(self._bars)
        return self

    def __exit__(self, *error):
        self._stack.close()
        for handler in self._logger.handlers:
            handler.close()
        self._logger.handlers = []

    def line(self, text):
        """Write a line to the log."""
        self._logger.info(text)

    def event(self, name, kind, *content):
        """Take a message of a child."""
        if kind == "total":
            if name in self._tasks:  # it starts anew
                self._bars.remove_task(self._tasks[name])
            self._tasks[name] = self._bars.add_task(name, total=content[0], step="")
            self.line(f"{name}: started")
        elif kind == "start" and name in self._tasks:
            self._bars.update(self._tasks[name], step=content[0])
            if self._verbose:
                self.line(f"{name}: {content[0]} started")
        elif kind == "end" and name in self._tasks:
            self._bars.advance(self._tasks[name])
            if content[1] >= 1:
                self.line(f"{name}: {content[0]} took {content[1]:.0f} s")

    def ended(self, name, result):
        """A session has ended."""
        if name in self._tasks:
            self._bars.remove_task(self._tasks.pop(name))
        self._bars.advance(self._all)
        reason = f": {result['error']}" if result["error"] else ""
        self.line(f"{name}: {result['status']} after {result['seconds']:.0f} s{reason}")

    def summary(self, rows):
        """Print the table of all sessions."""
        table = Table(title="bids_stroke")
        for column in ("participant", "lesion (ml)", "time", "status", "remark"):
            table.add_column(column, overflow="fold")
        for name, volume, seconds, status, remark in rows:
            table.add_row(
                name,
                "" if volume is None else f"{volume:.1f}",
                "" if seconds is None else f"{int(seconds) // 60}:{int(seconds) % 60:02d}",
                status,
                Text(remark or ""),  # an error may hold brackets, which rich takes for styles
            )
        self._bars.stop()
        Console().print(table)


def plan(todo, done, left_out):
    """Print what would run, and why."""
    for session in todo:
        images = ", ".join(f"{c} {path.name}" for c, path in session.images.items())
        what = images or "its lesion mask alone"
        print(f"{session.name}: would run on {what}; {session.reference} is the reference")
        for note in session.notes:
            print(f"  {note}")
    for session in done:
        print(f"{session.name}: up to date")
    for one in left_out:
        print(f"{one.name}: left out: {one.reason}")
