"""Table of the results of the tests of invalid input and faults."""

import os
from pathlib import Path

import pytest
from faults.running import Table, masks, participant, run


@pytest.fixture(scope="session")
def table():
    """Collect the cases; write them to the page ``BIDS_STROKE_TABLE``, if set."""
    rows = Table()
    yield rows
    if "BIDS_STROKE_TABLE" in os.environ:
        rows.write(Path(os.environ["BIDS_STROKE_TABLE"]))


@pytest.fixture(scope="session")
def bids(tmp_path_factory):
    """One participant with a lesion mask in template space."""
    return masks(tmp_path_factory.mktemp("masks") / "bids", "01")


@pytest.fixture(scope="session")
def undisturbed(bids):
    """Derivatives of both levels without faults."""
    out = bids.parent / "undisturbed"
    assert run(*participant(bids, out)).returncode == 0
    assert run(bids, out, "group").returncode == 0
    return out
