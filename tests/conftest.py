"""Options of pytest, and fixtures shared by the tests."""

import os
from pathlib import Path

import pytest

#: Script that needs a package that only fuzzing uses; the search for examples would import it.
collect_ignore = ["fuzz"]


def pytest_addoption(parser):
    """Add the options of exhaustive tests."""
    parser.addoption("--rounds", type=int, default=20, help="number of rounds of repeated tests")
    parser.addoption("--table", type=Path, help="page for the table of invalid input and faults")


@pytest.fixture
def rounds(request):
    """Return the number of rounds of a repeated test."""
    return request.config.getoption("rounds")


@pytest.fixture(scope="session")
def shared():
    """Return the folder of real scans, which are not part of the project."""
    default = Path(__file__).parents[2] / "shared"
    path = Path(os.environ.get("BIDS_STROKE_SHARED", default)) / "data"
    if not path.is_dir():
        pytest.skip(f"{path} with real scans is missing; set BIDS_STROKE_SHARED to its parent")
    return path
