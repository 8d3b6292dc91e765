"""Tests of the version, the list of changes and the notes of a release."""

import re
import subprocess
from pathlib import Path

import pytest

from bids_stroke import __version__

ROOT = Path(__file__).parents[1]
CHANGES = (ROOT / "CHANGES.md").read_text(encoding="utf-8")
GROUPS = {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}


def release_notes(version):
    """Run the command of the release workflow."""
    command = [ROOT / ".github" / "release_notes.sh", version]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True)


def test_the_citation_has_the_version():
    assert f"\nversion: {__version__}\n" in (ROOT / "CITATION.cff").read_text()


@pytest.mark.parametrize("name", ["Dockerfile", "pyproject.toml", "setup.cfg", "singularity.def"])
def test_the_version_is_not_repeated(name):
    assert __version__ not in (ROOT / name).read_text()


def test_changes_are_listed_by_version_and_kind():
    versions = re.findall(r"^## (.*)$", CHANGES, re.MULTILINE)
    assert versions[0] == "[Unreleased]" and versions[1].startswith(f"[{__version__}] - ")
    dated = re.compile(r"\[\d+\.\d+\.\d+\] - \d{4}-\d\d-\d\d")
    assert all(map(dated.fullmatch, versions[1:]))
    assert set(re.findall(r"^### (.*)$", CHANGES, re.MULTILINE)) <= GROUPS


def test_release_notes_are_the_section_of_a_version():
    notes = release_notes(__version__)
    assert notes.returncode == 0 and notes.stderr == ""
    following = CHANGES.split(f"## [{__version__}] - ")[1].partition("\n")[2]
    assert notes.stdout.strip() and "\n## " not in notes.stdout
    assert following.startswith(f"{notes.stdout}## [0.1.0] - ")


@pytest.mark.parametrize("version", ["0.0.0", "0.1", "Unreleased", ""])
def test_a_version_without_changes_has_no_release_notes(version):
    notes = release_notes(version)
    assert notes.returncode != 0 and notes.stdout == ""
