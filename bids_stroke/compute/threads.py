"""Threads of the numerical libraries of a process."""

import os

from threadpoolctl import threadpool_limits

#: Variables that libraries read when they are loaded.
VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS")


def use_threads(number: int) -> None:
    """Set the number of threads of this process, for the libraries that are loaded and for those that
    will be."""
    os.environ.update(dict.fromkeys(VARIABLES, str(number)))
    threadpool_limits(number)


def use_one_thread() -> None:
    """Use one thread, in a process that is one of many."""
    use_threads(1)
