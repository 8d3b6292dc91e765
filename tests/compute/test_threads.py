"""Threads of libraries that are loaded already."""

import os
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import numpy as np
from threadpoolctl import threadpool_info

from bids_stroke.compute import isolated
from bids_stroke.compute.threads import use_one_thread


def threads():
    """Threads of each library of this process that multiplies matrices."""
    np.ones((2, 2)) @ np.ones((2, 2))
    return [library["num_threads"] for library in threadpool_info()]


def in_process(*start):
    """The same in a process of its own, in which this module has loaded NumPy."""
    with ProcessPoolExecutor(1, get_context("spawn"), *start) as pool:
        return pool.submit(threads).result()


def test_a_worker_uses_one_thread_though_its_libraries_are_loaded(monkeypatch):
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        monkeypatch.setenv(name, "2")
    assert set(in_process()) == {2}
    assert set(in_process(use_one_thread)) == {1}


def test_a_process_takes_over_the_threads_of_an_environment(monkeypatch):
    """As sessions do, which fork from a process that has loaded NumPy."""
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    assert set(in_process(isolated.inherit_environment, (environment,))) == {1}
