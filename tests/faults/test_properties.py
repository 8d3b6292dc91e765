"""Whatever a file holds, its reader gives what it promises or one of our errors, in one line."""

import gzip
import json

import cards
import nibabel as nib
import numpy as np
import pytest
import yaml
from faults import targets
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some

from bids_stroke.models.write import describe

examples = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
values = some.recursive(
    some.none() | some.booleans() | some.integers() | some.floats() | some.text(max_size=8),
    lambda inner: some.lists(inner, max_size=3) | some.dictionaries(some.text(max_size=8), inner),
    max_leaves=6,
)
RAW = nib.Nifti1Image(
    np.random.default_rng(0).normal(size=(10, 10, 10)).astype(np.float32), np.diag([10.0, 10, 10, 1])
).to_bytes()
WEIGHTS = {"sha256": "0" * 64, "bytes": 1, "licence": "CC0", "file": "w"}
CARD = {**describe(cards.make(network={"family": "unet3d", "arguments": {}})), "weights": WEIGHTS}


@pytest.mark.parametrize("name", targets.READERS)
@given(content=some.binary(max_size=400) | some.text(max_size=200).map(lambda text: text.encode()))
@examples
def test_any_bytes(name, content):
    targets.read(name, content)


@pytest.mark.parametrize("name", ["image", "packed"])
@given(changes=some.lists(some.tuples(some.integers(0, 351), some.integers(0, 255)), max_size=6))
@examples
def test_any_header(name, changes):
    raw = bytearray(RAW)
    for place, value in changes:
        raw[place] = value
    targets.read(name, gzip.compress(bytes(raw), 1) if name == "packed" else bytes(raw))


@given(key=some.sampled_from(sorted(CARD)), value=values)
@examples
def test_any_value_in_a_card(key, value):
    targets.read("card", yaml.safe_dump({**CARD, key: value}).encode())


@given(key=some.sampled_from(sorted(WEIGHTS)), value=values)
@examples
def test_any_value_in_the_weights_of_a_card(key, value):
    found = targets.read("card", yaml.safe_dump({**CARD, "weights": {**WEIGHTS, key: value}}).encode())
    if found and found.weights.file:
        assert "/" not in found.weights.file


@given(content=some.dictionaries(some.sampled_from(["t1w", "flair", "x"]), values))
@examples
def test_any_filters(content):
    targets.read("filters", json.dumps(content).encode())


@given(rows=some.lists(some.lists(some.text(max_size=5), min_size=1, max_size=4), max_size=5))
@examples
def test_any_table(rows):
    lines = ["participant_id\tx", *("\t".join(row) for row in rows)]
    found = targets.read("table", "\n".join(lines).encode())
    assert found is None or not found["participant_id"].dropna().duplicated().any()
