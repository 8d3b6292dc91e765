"""Parallel function calls in subprocesses."""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from typing import TypeVar

from bids_stroke.errors import StrokeError

Arguments = TypeVar("Arguments", bound=tuple)
Result = TypeVar("Result")


def map_unordered(
    function: Callable[..., Result], jobs: Iterable[Arguments], processes: int
) -> Iterator[tuple[Arguments, Result | Exception]]:
    """Call a function with each tuple of arguments, several in parallel.

    An error does not affect the other calls. If a process is killed, for example because of missing
    memory, incomplete calls are repeated, each in a new subprocess.

    Yields
    ------
    tuple
        Arguments, and the result or the error of the call, in order of completion.
    """
    unfinished = []
    for job, result in _in_pool(function, jobs, processes):
        if isinstance(result, BrokenProcessPool):
            unfinished.append(job)
        else:
            yield job, result
    for job in unfinished:
        yield from _in_pool(function, [job], 1)


def _in_pool(
    function: Callable[..., Result], jobs: Iterable[Arguments], processes: int
) -> Iterator[tuple[Arguments, Result | Exception]]:
    waiting = list(jobs)
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        futures = {}
        try:
            while waiting:
                futures[pool.submit(function, *waiting[-1])] = waiting[-1]
                waiting.pop()
        except BrokenProcessPool as broken:  # a process died while jobs were added
            yield from ((job, broken) for job in waiting)
        for future in as_completed(futures):
            try:
                yield futures[future], future.result()
            except Exception as error:
                yield futures[future], error


def error_message(error: Exception) -> str:
    """Return a one-sentence message for the error of a call."""
    if isinstance(error, StrokeError):
        return str(error)
    if isinstance(error, BrokenProcessPool):
        return "its process was killed, perhaps for lack of memory; use fewer processes."
    return f"unexpected error {type(error).__name__}: {' '.join(str(error).split())}"
