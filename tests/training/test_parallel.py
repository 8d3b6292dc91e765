"""Parallel calls: an error of one call does not affect the others."""

import os
import signal

from bids_stroke.errors import DatasetError
from bids_stroke.training.parallel import error_message, map_unordered


def work(name):
    if name == "mistaken":
        raise DatasetError("It has no scan.")
    if name == "broken":
        return {}["key"]
    if name == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    return name.upper()


def test_errors_are_returned_with_their_arguments():
    names = ["a", "mistaken", "b", "broken", "killed", "c"]
    results = {name: result for (name,), result in map_unordered(work, [(n,) for n in names], 2)}
    assert sorted(results) == sorted(names)
    assert [results[name] for name in "abc"] == ["A", "B", "C"]
    assert error_message(results["mistaken"]) == "It has no scan."
    assert error_message(results["broken"]) == "unexpected error KeyError: 'key'"
    assert "killed, perhaps for lack of memory" in error_message(results["killed"])
