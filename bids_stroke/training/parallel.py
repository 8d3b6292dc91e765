"""Function calls in several processes."""

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
    """Call a function with each tuple of arguments, several side by side.

    An error ends no other call. If a process dies, for lack of memory for example, the calls that are
    not complete are made again, each in a process of its own.

    Yields
    ------
    tuple
        The arguments, and the result or the error that ended the call; as they come.
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
    """Describe the error of a call in a sentence."""
    if isinstance(error, StrokeError):
        return str(error)
    if isinstance(error, BrokenProcessPool):
        return "its process was killed, perhaps for lack of memory; use fewer processes."
    return f"an unexpected error, {type(error).__name__}: {' '.join(str(error).split())}"
