"""Work in a process of its own, which gives its memory back when it ends."""

import logging
import multiprocessing
import os
import sys
import tempfile
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from logging.handlers import QueueHandler
from multiprocessing.connection import wait
from queue import SimpleQueue
from threading import Thread
from typing import TypeVar, TypeVarTuple

from bids_stroke.errors import ResourceError

from .threads import use_threads

#: Message to the user after a process has died.
RETRY_ADVICE = "run the same command again to continue, with a smaller --nprocs if memory is short."
_LOG = logging.getLogger("bids_stroke")

_Arguments = TypeVarTuple("_Arguments")
_Answer = TypeVar("_Answer")


def run(function: Callable[[*_Arguments], _Answer], *arguments: *_Arguments) -> _Answer:
    """Call a function of a module in a process of its own, and return its answer.

    It takes over the environment of this process, and its choice of deterministic results; what it
    logs is logged here, and it ends with this process. A process that no other of Python's has started,
    as a job of a cluster, has nothing to save memory for, and calls the function itself.

    Raises
    ------
    ResourceError
        If the process was killed.
    """
    if multiprocessing.parent_process() is None:
        return function(*arguments)
    torch = sys.modules.get("torch")
    deterministic = torch is not None and torch.are_deterministic_algorithms_enabled()
    context = multiprocessing.get_context("forkserver")
    with ProcessPoolExecutor(1, context, _begin, (dict(os.environ), deterministic)) as pool:
        try:
            answer, records = pool.submit(_call, function, arguments).result()
        except BrokenProcessPool:
            raise ResourceError(
                f"a process was killed, perhaps for lack of memory; {RETRY_ADVICE}"
            ) from None
    for record in records:
        _LOG.handle(record)
    return answer


def inherit_environment(environment: Mapping[str, str]) -> None:
    """Replace the environment of this process, before most of the libraries that read it are loaded;
    NumPy's, which are there, get their number of threads by it."""
    os.environ.clear()
    os.environ.update(environment)
    if (number := environment.get("OMP_NUM_THREADS", "")).isdecimal():
        use_threads(int(number))
    tempfile.tempdir = None  # or a folder that was found before


def _begin(environment: Mapping[str, str], deterministic: bool) -> None:
    Thread(target=_end_with_parent, daemon=True).start()
    inherit_environment(environment)
    if deterministic:
        import torch

        torch.use_deterministic_algorithms(True)


def _end_with_parent() -> None:
    """End with the session, from which this process has not forked: its end sends no signal here."""
    if parent := multiprocessing.parent_process():
        wait([parent.sentinel])
        os._exit(1)


def _call(
    function: Callable[[*_Arguments], _Answer], arguments: tuple[*_Arguments]
) -> tuple[_Answer, list[logging.LogRecord]]:
    records: SimpleQueue[logging.LogRecord] = SimpleQueue()
    handler = QueueHandler(records)
    _LOG.addHandler(handler)
    answer = function(*arguments)
    return answer, [records.get() for _ in range(records.qsize())]
