"""Tests that all files state the same version."""

from pathlib import Path

import pytest

from bids_stroke import __version__

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("CHANGES.md", f"## {__version__}"),
        ("CITATION.cff", f"version: {__version__}"),
        ("Dockerfile", f'version="{__version__}"'),
        ("singularity.def", f"image.version {__version__}"),
    ],
)
def test_version(name, line):
    assert line in (ROOT / name).read_text()
