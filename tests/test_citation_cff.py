"""Tests that CITATION.cff agrees with the references of the package."""

import re
from pathlib import Path

import pytest
import yaml

from bids_stroke.utils import references

ROOT = Path(__file__).parents[1]
CITATION = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))


def plain(value):
    return re.sub(r"[{}\\]", "", value)


def test_the_program_is_cited_alike():
    entry = references.load()["bids_stroke"].fields
    assert CITATION["title"] == plain(entry["title"])
    assert [author["name"] for author in CITATION["authors"]] == [plain(entry["author"])]
    assert str(CITATION["date-released"])[:4] == entry["year"]


def test_the_date_is_that_of_the_version():
    heading = f"\n## [{CITATION['version']}] - {CITATION['date-released']}\n"
    assert heading in (ROOT / "CHANGES.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("reference", CITATION["references"], ids=lambda reference: reference["doi"])
def test_references_agree(reference):
    entries = {entry.fields.get("doi"): entry.fields for entry in references.load().values()}
    entry = entries[reference["doi"]]
    assert reference["title"] == plain(entry["title"])
    assert str(reference["year"]) == entry["year"]
    first = reference["authors"][0]
    assert entry["author"].startswith(f"{first['family-names']}, {first['given-names']}")
