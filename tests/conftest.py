"""Fixtures shared by the tests."""

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def shared():
    """Return the folder of real scans, which are not part of the project."""
    default = Path(__file__).parents[2] / "shared"
    path = Path(os.environ.get("BIDS_STROKE_SHARED", default)) / "data"
    if not path.is_dir():
        pytest.skip(f"{path} with real scans is missing; set BIDS_STROKE_SHARED to its parent")
    return path
