"""Comparison of the sessions of a participant, from their derivatives to the report and group table."""

import json
import subprocess
import sys
from pathlib import Path

import longitudinals
import numpy as np
import pandas as pd
import pytest

from bids_stroke.bids import longitudinal
from bids_stroke.bids import record as records
from bids_stroke.bids.derivatives import write_dataset_files
from bids_stroke.execution.group_longitudinal import write_changes
from bids_stroke.execution.longitudinal import compare_participant, is_due
from bids_stroke.execution.plan import source_datasets
from bids_stroke.execution.supervisor import Supervisor, Task
from bids_stroke.reports import methods
from bids_stroke.reports.participant.report import participant_report
from bids_stroke.spatial import image

MOTION = longitudinals.motion((6, -5, 4), (8, -6, 5))
STABLE, NEW = (-30, 10, 20), (25, -30, 10)
MERGED = [((25, 25, 14), 7), ((25, 25, -10), 7)]


def compare(settings, subject="sub-01"):
    """Run the task that compares sessions; return its result."""
    tasks = [Task("comparison", compare_participant, subject)]
    with Supervisor(settings, tasks) as supervisor:
        ((_, result),) = supervisor.results()
    return result


@pytest.fixture(scope="module")
def compared(tmp_path_factory):
    """Compare two sessions of sub-01 and return the settings; a third session has failed."""
    settings = longitudinals.settings(tmp_path_factory.mktemp("longitudinal"))
    out = settings.output_dir
    longitudinals.session(out, "sub-01_ses-1", [(STABLE, 12), *MERGED], interval=(7, 14))
    lesions = [(STABLE, 13), (NEW, 9), ((25, 25, 2), 16)]
    longitudinals.session(out, "sub-01_ses-2", lesions, MOTION, seed=1, interval=(20, 40))
    longitudinals.failed_session(out, "sub-01_ses-3")
    longitudinals.session(out, "sub-02_ses-1", [(STABLE, 12)])
    times = {"ses-1": "2020-01-01T10:00:00", "ses-2": "2020-03-01T10:00:00"}
    longitudinals.write_times(settings.bids_dir, "sub-01", times)
    (settings.bids_dir / "dataset_description.json").write_text(
        '{"Name": "x", "BIDSVersion": "1.10.0"}'
    )
    write_dataset_files(source_datasets(settings))
    participant_report(out, "sub-01")
    assert is_due(settings, "sub-01") and not is_due(settings, "sub-02")
    assert compare(settings).error is None
    return settings


@pytest.fixture
def record(compared):
    return longitudinal.read_current(compared.output_dir, "sub-01")


@pytest.mark.slow
def test_classes_and_volumes(compared, record):
    path = compared.output_dir / "sub-01/anat/sub-01_label-L_desc-longitudinal_morph.tsv"
    table = pd.read_csv(path, sep="\t")
    assert sorted(table["class"].dropna()) == ["merged", "new", "stable"]
    assert (table["days"] == 60).all() and (table["comparable"] == "yes").all()
    entire = table.iloc[0]
    volumes = [
        np.count_nonzero(image.load(compared.output_dir / record.outputs[role]).dataobj) / 1000
        for role in ("mask@ses-1", "mask@ses-2")
    ]
    assert volumes == pytest.approx(entire[["previous_volume_ml", "volume_ml"]].tolist(), rel=0.02)
    assert entire[["change_low90_ml", "change_high90_ml"]].tolist() == [6, 33]
    assert entire["brain_dice"] > 0.95 and entire["registration_disagreement_mm"] < 2
    described = json.loads(path.with_suffix(".json").read_text())
    assert list(described) == list(table)


@pytest.mark.slow
def test_masks_overlap_in_the_midpoint_space(compared, record):
    masks = [
        image.load(compared.output_dir / record.outputs[f"mask@{session}"])
        for session in ("ses-1", "ses-2")
    ]
    assert (masks[0].affine == masks[1].affine).all()
    first, second = (np.asarray(mask.dataobj) > 0 for mask in masks)
    assert np.count_nonzero(first & second) > 0.85 * np.count_nonzero(first)


@pytest.mark.slow
def test_the_report_shows_the_changes(compared):
    page = (compared.output_dir / "sub-01.html").read_text()
    assert page.count('<div id="longitudinal">') == 1
    assert "Changes between sessions" in page and "after 60 days" in page
    assert "lesions: 1 merged, 1 stable, 1 new" in page or "1 stable" in page
    assert "90% interval +6 to +33 ml" in page
    assert "sub-01_ses-3 is not compared: its processing failed." in page


@pytest.mark.slow
def test_group_table_and_notices(compared):
    out = compared.output_dir
    finished = [item for item in records.read_all(out) if item.status == "ok"]
    notices = write_changes(out, finished)
    table = pd.read_csv(out / "group_longitudinal.tsv", sep="\t")
    assert table["participant_id"].unique() == ["sub-01"] and len(table) == 4
    assert any("with others: sub-01_ses-3 (its processing failed)." in text for text in notices)
    assert any("with a single session: sub-02." in text for text in notices)
    without_second = [item for item in finished if item.name != "sub-01_ses-2"]
    assert "lacks the changes of sub-01" in " ".join(write_changes(out, without_second))
    assert pd.read_csv(out / "group_longitudinal.tsv", sep="\t").empty
    assert write_changes(out, [item for item in finished if item.name.startswith("sub-02")]) == []
    assert not (out / "group_longitudinal.tsv").exists()


@pytest.mark.slow
def test_methods_describe_the_comparison_once(compared):
    methods.write(compared.output_dir)
    text = (compared.output_dir / "CITATION.md").read_text()
    assert text.count("registered rigidly to their midpoint space") == 1
    assert "longitudinal_sub" not in text


@pytest.mark.slow
def test_the_validator_accepts_the_names(compared):
    validator = Path(sys.executable).with_name("bids-validator-deno")
    command = [validator, compared.output_dir, "--format", "json"]
    done = subprocess.run(command, capture_output=True, text=True)
    issues = json.loads(done.stdout)["issues"]["issues"]
    errors = [issue for issue in issues if issue["severity"] == "error"]
    assert [issue for issue in errors if "midpoint" in str(issue) or "longitudinal" in str(issue)] == []


@pytest.mark.slow
def test_a_changed_session_invalidates_the_comparison(compared, record):
    out = compared.output_dir
    assert not is_due(compared, "sub-01")
    times = {"ses-1": "2020-01-01T10:00:00", "ses-2": "2020-03-02T10:00:00"}
    longitudinals.write_times(compared.bids_dir, "sub-01", times)
    assert is_due(compared, "sub-01"), "the acquisition times have changed"
    times["ses-2"] = "2020-03-01T10:00:00"
    longitudinals.write_times(compared.bids_dir, "sub-01", times)
    assert not is_due(compared, "sub-01")
    session = records.read(out, "sub-01_ses-2")
    session.date = "2026-01-02"
    session.write(out)
    assert is_due(compared, "sub-01")
    assert longitudinal.read_current(out, "sub-01") is None
    finished = [item for item in records.read_all(out) if item.status == "ok"]
    assert "sub-01 have not been compared since they were processed" in write_changes(out, finished)[0]
    session.date = "2026-01-01"
    session.write(out)
    assert not is_due(compared, "sub-01")


def test_too_few_usable_sessions_leave_no_outputs(tmp_path):
    settings = longitudinals.settings(tmp_path)
    out = settings.output_dir
    longitudinals.session(out, "sub-01_ses-1", [(STABLE, 12)])
    longitudinals.failed_session(out, "sub-01_ses-2")
    participant_report(out, "sub-01")
    assert compare(settings).status == "ok" and not is_due(settings, "sub-01")
    assert longitudinal.read_current(out, "sub-01").outputs == {}
    page = (out / "sub-01.html").read_text()
    assert "sub-01_ses-2 is not compared: its processing failed." in page
    (out / "logs/sub-01_ses-2_run.json").unlink()
    assert is_due(settings, "sub-01") and compare(settings).status == "ok"
    assert not (out / "logs/longitudinal_sub-01_run.json").exists()


def test_a_failed_comparison_has_a_reason(tmp_path):
    settings = longitudinals.settings(tmp_path)
    out = settings.output_dir
    for number in (1, 2):
        session = longitudinals.session(out, f"sub-01_ses-{number}", [(STABLE, 12)])
    session.require(out, "components").write_text("")
    result = compare(settings)
    assert result.status == "failed" and "cannot be read as a table" in result.error
    assert is_due(settings, "sub-01")
    finished = [item for item in records.read_all(out) if item.status == "ok"]
    (notice,) = write_changes(out, finished)
    assert notice.startswith("The comparison of sessions failed: sub-01 (")


@pytest.mark.slow
def test_a_damaged_table_does_not_affect_the_sessions_in_the_report(compared, record):
    out = compared.output_dir
    path = record.require(out, longitudinal.TABLE)
    text = path.read_text()
    path.write_text("")
    participant_report(out, "sub-01")
    page = (out / "sub-01.html").read_text()
    assert "The comparison of the sessions failed: their files cannot be shown" in page
    assert "Session 2" in page
    path.write_text(text)
