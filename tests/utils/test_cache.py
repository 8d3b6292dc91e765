"""Location of the cache folder."""

import pytest

from bids_stroke.utils.cache import cache_dir


@pytest.fixture
def home(tmp_path, monkeypatch):
    """Return an empty home folder without any of the environment variables."""
    for variable in ("BIDS_STROKE_HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def test_the_default_folder(home):
    assert cache_dir() == home / ".cache/bids_stroke"


def test_environment_variables(home, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_dir() == tmp_path / "xdg/bids_stroke"
    monkeypatch.setenv("BIDS_STROKE_HOME", "")
    assert cache_dir() == tmp_path / "xdg/bids_stroke"
    monkeypatch.setenv("BIDS_STROKE_HOME", str(tmp_path / "own"))
    assert cache_dir() == tmp_path / "own"


def test_files_of_earlier_versions_are_found(home, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    (home / ".cache/bids_stroke").mkdir(parents=True)
    assert cache_dir() == home / ".cache/bids_stroke"
