"""The page "File selection" states what the code does."""

import re
from pathlib import Path

from bids_stroke.bids import choice, names, supplied_masks

PAGE = (Path(__file__).parents[1] / "docs" / "files.md").read_text(encoding="utf-8")


def test_selection_rules():
    rules = re.findall(r"^\| (\d+) \|.*\| (yes|no) \|$", PAGE, re.MULTILINE)
    clear = ["yes" if rule.clear else "no" for rule in choice._RULES]
    assert [unambiguous for _, unambiguous in rules] == [*clear, "no"]  # the last rule is the file name
    assert all(f"{side} mm from" in PAGE for side in choice.BRAIN_MM)


def test_entities():
    (row,) = (line for line in PAGE.splitlines() if line.startswith("| entities | `acq`"))
    assert set(re.findall(r"`(\w+)`", row)) == supplied_masks._IMAGE_ENTITIES
    (row,) = (line for line in PAGE.splitlines() if line.startswith("| number or text"))
    assert set(re.findall(r"`(\w+)`", row)) - {"01"} == names.NUMBERED
    for space in names._SCANNER_SPACES:
        assert f"`space-{space}`" in PAGE
