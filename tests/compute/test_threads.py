"""Tests of the number of threads of libraries that are already loaded."""

import os
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import numpy as np
from threadpoolctl import threadpool_info

from bids_stroke.compute import isolated
from bids_stroke.compute.threads import use_one_thread


def threads():
    """Return the number of threads of each linear algebra library of this process."""
    np.ones((2, 2)) @ np.ones((2, 2))
    return [library["num_threads"] for library in threadpool_info()]


def threads_in_subprocess(*initializer):
    """Return the number of threads in a subprocess, in which this module has loaded NumPy."""
    with ProcessPoolExecutor(1, get_context("spawn"), *initializer) as pool:
        return pool.submit(threads).result()


def test_worker_uses_one_thread_after_loading_libraries(monkeypatch):
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        monkeypatch.setenv(name, "2")
    assert set(threads_in_subprocess()) == {2}
    assert set(threads_in_subprocess(use_one_thread)) == {1}


def test_process_inherits_the_threads_of_an_environment(monkeypatch):
    """Sessions do this, because they fork from a process that has loaded NumPy."""
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    assert set(threads_in_subprocess(isolated.inherit_environment, (environment,))) == {1}
