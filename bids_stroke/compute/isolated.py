"""Function calls in a subprocess, which releases its memory when it ends."""

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

#: Advice to the user after a process was killed.
RETRY_ADVICE = "run the same command again to continue, with a smaller --nprocs if memory is short."
_LOG = logging.getLogger("bids_stroke")

_Arguments = TypeVarTuple("_Arguments")
_Result = TypeVar("_Result")


def run(function: Callable[[*_Arguments], _Result], *arguments: *_Arguments) -> _Result:
    """Call a module-level function in a subprocess, and return its result.

    The subprocess inherits the environment and the deterministic setting of this process, its log
    records are handled by this process, and it ends with this process. If this process was not started
    by Python's multiprocessing, for example as a cluster job, it calls the function directly, because
    it does not need to save memory.

    Raises
    ------
    ResourceError
        If the subprocess was killed.
    """
    if multiprocessing.parent_process() is None:
        return function(*arguments)
    torch = sys.modules.get("torch")
    deterministic = torch is not None and torch.are_deterministic_algorithms_enabled()
    context = multiprocessing.get_context("forkserver")
    with ProcessPoolExecutor(1, context, _initialize, (dict(os.environ), deterministic)) as pool:
        try:
            result, records = pool.submit(_call, function, arguments).result()
        except BrokenProcessPool:
            raise ResourceError(
                f"a process was killed, perhaps for lack of memory; {RETRY_ADVICE}"
            ) from None
    for record in records:
        _LOG.handle(record)
    return result


def inherit_environment(environment: Mapping[str, str]) -> None:
    """Replace the environment of this process before most libraries that read it are loaded.

    The number of threads is also set for the libraries of NumPy, which are already loaded.
    """
    os.environ.clear()
    os.environ.update(environment)
    if (number := environment.get("OMP_NUM_THREADS", "")).isdecimal():
        use_threads(int(number))
    tempfile.tempdir = None  # discard the cached folder


def _initialize(environment: Mapping[str, str], deterministic: bool) -> None:
    Thread(target=_end_with_parent, daemon=True).start()
    inherit_environment(environment)
    if deterministic:
        import torch

        torch.use_deterministic_algorithms(True)


def _end_with_parent() -> None:
    """End this process when the session ends, which sends no signal because the session did not fork
    it."""
    if parent := multiprocessing.parent_process():
        wait([parent.sentinel])
        os._exit(1)


def _call(
    function: Callable[[*_Arguments], _Result], arguments: tuple[*_Arguments]
) -> tuple[_Result, list[logging.LogRecord]]:
    records: SimpleQueue[logging.LogRecord] = SimpleQueue()
    handler = QueueHandler(records)
    _LOG.addHandler(handler)
    result = function(*arguments)
    return result, [records.get() for _ in range(records.qsize())]
