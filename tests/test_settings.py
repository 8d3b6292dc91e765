"""Tests of the checks of settings."""

import json
import os
from dataclasses import FrozenInstanceError, replace
from pathlib import Path

import pytest

from bids_stroke.errors import DatasetError, ResourceError, UsageError
from bids_stroke.settings import Settings

DESCRIPTION = {"Name": "tested", "BIDSVersion": "1.10.0"}


@pytest.fixture
def settings(tmp_path):
    (tmp_path / "bids").mkdir()
    write_description(tmp_path / "bids", json.dumps(DESCRIPTION))
    return Settings(
        bids_dir=tmp_path / "bids",
        output_dir=tmp_path / "out",
        work_dir=tmp_path / "work",
        level="participant",
        bids_filters={},
        model="any",
    )


def write_description(folder, text):
    (folder / "dataset_description.json").write_text(text, encoding="utf-8")


def test_check_creates_no_files(settings, tmp_path):
    settings.check()
    assert [path.name for path in tmp_path.iterdir()] == ["bids"]


def test_settings_cannot_be_changed(settings):
    with pytest.raises(FrozenInstanceError):
        settings.nprocs = 2


def test_missing_dataset(settings, tmp_path):
    with pytest.raises(UsageError, match=r"missing .*is not a folder"):
        replace(settings, bids_dir=tmp_path / "missing").check()


@pytest.mark.parametrize(
    "text, words",
    [
        ("{", "not valid JSON"),
        ("", "not valid JSON"),
        ('["Name", "BIDSVersion"]', "has no Name"),
        ('{"Name": "x"}', "has no Name"),
    ],
)
def test_invalid_description_is_refused_unless_skipped(settings, text, words):
    write_description(settings.bids_dir, text)
    with pytest.raises(DatasetError, match=words) as caught:
        settings.check()
    assert str(settings.bids_dir / "dataset_description.json") in str(caught.value)
    replace(settings, skip_bids_validation=True).check()
    # The group level reads only the derivatives.
    replace(settings, level="group").check()


def test_missing_description_is_refused_unless_skipped(settings):
    (settings.bids_dir / "dataset_description.json").unlink()
    with pytest.raises(DatasetError, match="--skip-bids-validation"):
        settings.check()
    replace(settings, skip_bids_validation=True).check()


def test_description_with_a_byte_order_mark(settings):
    write_description(settings.bids_dir, "\ufeff" + json.dumps(DESCRIPTION))
    settings.check()


def test_description_that_is_not_utf8(settings):
    content = json.dumps(DESCRIPTION | {"Name": "Düsseldorf"}, ensure_ascii=False)
    (settings.bids_dir / "dataset_description.json").write_bytes(content.encode("latin-1"))
    with pytest.raises(DatasetError, match="not valid JSON"):
        settings.check()


def test_missing_derivatives(settings, tmp_path):
    with pytest.raises(UsageError, match=r"missing .*is not a folder"):
        replace(settings, derivatives=(settings.bids_dir, tmp_path / "missing")).check()


@pytest.mark.parametrize("spelling", ["same", "dots", "link"])
def test_output_folder_must_not_be_the_dataset(settings, tmp_path, spelling):
    (tmp_path / "link").symlink_to(settings.bids_dir)
    output = {
        "same": settings.bids_dir,
        "dots": settings.bids_dir / "sub-01" / "..",
        "link": tmp_path / "link",
    }[spelling]
    with pytest.raises(UsageError, match="is the BIDS dataset itself"):
        replace(settings, output_dir=output).check()


def test_output_folder_inside_the_dataset(settings):
    replace(settings, output_dir=settings.bids_dir / "derivatives" / "out").check()


@pytest.mark.parametrize("name", ["output_dir", "work_dir"])
def test_folder_below_a_file_is_refused(settings, tmp_path, name):
    (tmp_path / "file").touch()
    changed = replace(settings, **{name: tmp_path / "file" / "deeper" / "out"})
    with pytest.raises(ResourceError, match="file/deeper/out cannot be written"):
        changed.check()
    replace(changed, dry_run=True).check()


@pytest.mark.skipif(os.geteuid() == 0, reason="root has permission to write anywhere")
def test_folder_without_write_permission_is_refused(settings, tmp_path):
    (tmp_path / "locked").mkdir(mode=0o500)
    with pytest.raises(ResourceError, match="cannot be written"):
        replace(settings, output_dir=tmp_path / "locked" / "out").check()


def test_missing_plugin_file(settings):
    with pytest.raises(UsageError, match=r"missing\.yml does not exist"):
        replace(settings, plugin_file=Path("/missing.yml")).check()
