"""Tests of finding templates in a TemplateFlow folder, and of the errors for missing files."""

import pytest

from bids_stroke.errors import ResourceError, UsageError
from bids_stroke.spatial import template_spaces


@pytest.fixture
def home(tmp_path, monkeypatch):
    """Return an empty TemplateFlow folder without network access."""
    monkeypatch.setenv("TEMPLATEFLOW_HOME", str(tmp_path))
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")  # a closed port
    return tmp_path


def add_files(home, space, *names, text="x"):
    for name in names:
        path = home / f"tpl-{space}" / f"tpl-{space}_{name}.nii.gz"
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)


def test_default_folder_is_that_of_templateflow(tmp_path, monkeypatch):
    monkeypatch.delenv("TEMPLATEFLOW_HOME", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    from templateflow.conf.env import get_templateflow_home  # writes to its folder

    assert template_spaces.home() == get_templateflow_home() == tmp_path / "templateflow"


def test_default_space_is_first_and_unique(home):
    assert (
        template_spaces.find_spaces(())
        == template_spaces.find_spaces((template_spaces.DEFAULT_SPACE.name,) * 2)
        == (template_spaces.DEFAULT_SPACE,)
    )
    assert list(home.iterdir()) == []


def test_finest_available_resolution_is_used(home):
    add_files(home, "MNI152NLin6Asym", "res-02_T1w", "res-02_desc-brain_mask")
    add_files(
        home, "MNI152NLin6Asym", "res-01_T1w", "res-01_desc-brain_mask", text=""
    )  # not downloaded
    add_files(home, "CustomLab", "res-01_T1w", "res-01_desc-brain_mask", "res-02_T1w")
    names = ("CustomLab", template_spaces.DEFAULT_SPACE.name, "MNI152NLin6Asym", "CustomLab")
    spaces = template_spaces.find_spaces(names)
    assert [(space.name, space.resolution) for space in spaces] == [
        (template_spaces.DEFAULT_SPACE.name, "1"),
        ("CustomLab", "1"),
        ("MNI152NLin6Asym", "2"),
    ]
    assert spaces[2].t1w == home / "tpl-MNI152NLin6Asym" / "tpl-MNI152NLin6Asym_res-02_T1w.nii.gz"
    assert spaces[2].brain.name == "tpl-MNI152NLin6Asym_res-02_desc-brain_mask.nii.gz"


def test_missing_file_is_reported_without_network(home):
    add_files(home, "MNI152NLin2009cAsym", "res-01_T1w")
    with pytest.raises(ResourceError) as caught:
        template_spaces.find_spaces(("MNI152NLin2009cAsym",))
    message = str(caught.value)
    assert message.startswith("The template space MNI152NLin2009cAsym needs ")
    assert "tpl-MNI152NLin2009cAsym_res-01_desc-brain_mask.nii.gz" in message
    assert "cannot be downloaded" in message


def test_unknown_space(home):
    with pytest.raises(UsageError, match="no T1w template with a brain mask for the space Atlantis"):
        template_spaces.find_spaces(("Atlantis",))
