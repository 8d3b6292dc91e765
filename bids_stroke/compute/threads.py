"""Number of threads of numerical libraries."""

import os

from threadpoolctl import threadpool_limits

#: Environment variables that libraries read when they are loaded.
VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS")


def use_threads(number: int) -> None:
    """Set the number of threads of this process, for libraries that are loaded now or later."""
    os.environ.update(dict.fromkeys(VARIABLES, str(number)))
    threadpool_limits(number)


def use_one_thread() -> None:
    """Use one thread, for a process that runs in parallel with others."""
    use_threads(1)
