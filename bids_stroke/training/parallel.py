"""Function calls in several processes."""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from typing import TypeVar

from bids_stroke.errors import StrokeError

Arguments = TypeVar("Arguments", bound=tuple)
Result = TypeVar("Result")


def map_unordered(
    function: Callable[..., Result], jobs: Iterable[Arguments], processes: int
) -> Iterator[tuple[Arguments, Result | StrokeError]]:
    """Call a function with each tuple of arguments, several side by side.

    Yields
    ------
    tuple
        The arguments, and the result or the :class:`bids_stroke.errors.StrokeError` that ended it; as
        they come.
    """
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        futures = {pool.submit(function, *job): job for job in jobs}
        for future in as_completed(futures):
            try:
                yield futures[future], future.result()
            except StrokeError as error:
                yield futures[future], error
