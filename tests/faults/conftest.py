"""Table of the results of the tests of invalid input and faults."""

import pytest
from faults.running import Table, masks, participant, run


@pytest.fixture(scope="session")
def table(request):
    """Collect the cases; write them to the page ``--table``, if given."""
    rows = Table()
    yield rows
    if page := request.config.getoption("table"):
        rows.write(page)


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
