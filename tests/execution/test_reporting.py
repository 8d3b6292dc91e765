"""Reports of a participant, written from the records of its sessions."""

import derived
import pytest

from bids_stroke.errors import DatasetError
from bids_stroke.execution.reporting import write_reports
from bids_stroke.settings import Settings


@pytest.fixture
def settings(tmp_path, monkeypatch):
    monkeypatch.setenv("BIDS_STROKE_HOME", str(tmp_path / "home"))
    folders = {"bids_dir": tmp_path, "output_dir": tmp_path / "out", "work_dir": tmp_path}
    return Settings(**folders, level="participant", bids_filters={}, tracts=())


def session(out, name):
    """Write the derivatives of a session without tract loads, and its record."""
    record = derived.session(out, name, zooms=(4, 4, 4), flair=False)
    del record.outputs["loads@imgsrcxonerroralert1"]
    record.write(out)
    return record


def viewers(folder):
    return sorted(path.name for path in folder.glob("*_viewer.html"))


def test_only_successful_sessions_have_a_viewer(settings):
    out = settings.output_dir
    for name in ("sub-01_ses-1", "sub-01_ses-2", "sub-011"):
        session(out, name)
    for path in out.rglob("*ses-2*_mask.nii.gz"):
        path.unlink()
    write_reports(settings, "sub-01")
    assert viewers(out) == ["sub-01_ses-1_viewer.html"]


def test_the_session_that_ended_is_shown_with_the_others(settings):
    out = settings.output_dir
    for name in ("sub-01_ses-1", "sub-01_ses-2"):
        ended = session(out, name)
    (out / "logs/sub-01_ses-2_run.json").unlink()
    other = out / "sub-01_ses-1_viewer.html"
    other.write_text("of an earlier run")
    write_reports(settings, "sub-01", ended)
    assert viewers(out) == ["sub-01_ses-1_viewer.html", "sub-01_ses-2_viewer.html"]
    assert other.read_text() == "of an earlier run"
    page = (out / "sub-01.html").read_text()
    assert "Session 1" in page and "Session 2" in page


def test_a_session_that_cannot_be_shown_does_not_fail_others(settings):
    out = settings.output_dir
    damaged, ended = (session(out, name) for name in ("sub-01_ses-1", "sub-01_ses-2"))
    damaged.require(out, "components").write_text("")
    write_reports(settings, "sub-01", ended)
    page = (out / "sub-01.html").read_text()
    assert "Session 2" in page and page.count("Its files cannot be shown") == 2, (
        "at the top and in Errors"
    )
    assert "sub-01_ses-1_space-T1w_label-L_desc-T1lesion_morph.tsv cannot be read as a table" in page
    with pytest.raises(DatasetError, match="cannot be read as a table"):
        write_reports(settings, "sub-01", damaged)
    with pytest.raises(DatasetError, match="cannot be read as a table"):
        write_reports(settings, "sub-01")


def test_a_report_is_not_replaced_by_one_that_lacks_a_session(settings):
    out = settings.output_dir
    session(out, "sub-01")
    page = out / "sub-01.html"
    page.write_text("of an earlier version")
    (out / "logs/sub-01_run.json").write_text("{}")
    with pytest.raises(DatasetError, match=r"sub-01_run\.json is damaged or of another version; run"):
        write_reports(settings, "sub-01")
    assert page.read_text() == "of an earlier version"
