"""For any file content, a reader returns a valid result or raises a one-line error of the app."""

import gzip
import json

import pytest
import yaml
from faults import targets
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some

examples = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
values = some.recursive(
    some.none() | some.booleans() | some.integers() | some.floats() | some.text(max_size=8),
    lambda inner: some.lists(inner, max_size=3) | some.dictionaries(some.text(max_size=8), inner),
    max_leaves=6,
)


@pytest.mark.parametrize("name", targets.READERS)
def test_a_good_file(name):
    assert targets.read(name, targets.GOOD[name]) is not None


@pytest.mark.parametrize("name", targets.READERS)
@given(content=some.binary(max_size=400) | some.text(max_size=200).map(lambda text: text.encode()))
@examples
def test_any_bytes(name, content):
    targets.read(name, content)


@pytest.mark.parametrize("name", ["image", "packed"])
@given(changes=some.lists(some.tuples(some.integers(0, 351), some.integers(0, 255)), max_size=6))
@examples
def test_any_header(name, changes):
    raw = bytearray(targets.RAW)
    for place, value in changes:
        raw[place] = value
    targets.read(name, gzip.compress(bytes(raw), 1) if name == "packed" else bytes(raw))


@given(key=some.sampled_from(sorted(targets.CARD)), value=values)
@examples
def test_any_value_in_a_card(key, value):
    targets.read("card", yaml.safe_dump({**targets.CARD, key: value}).encode())


@given(key=some.sampled_from(sorted(targets.WEIGHTS)), value=values)
@examples
def test_any_value_in_the_weights_of_a_card(key, value):
    weights = {**targets.WEIGHTS, key: value}
    card = targets.read("card", yaml.safe_dump({**targets.CARD, "weights": weights}).encode())
    if card and card.weights.file:
        assert "/" not in card.weights.file


@given(content=some.dictionaries(some.sampled_from(["t1w", "flair", "x"]), values))
@examples
def test_any_filters(content):
    targets.read("filters", json.dumps(content).encode())


@given(rows=some.lists(some.lists(some.text(max_size=5), min_size=1, max_size=4), max_size=5))
@examples
def test_any_table(rows):
    lines = ["participant_id\tx", *("\t".join(row) for row in rows)]
    table = targets.read("table", "\n".join(lines).encode())
    assert table is None or not table["participant_id"].dropna().duplicated().any()
