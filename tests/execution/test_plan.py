"""Detection of sessions that are up to date."""

import json
import os
import shutil
import sys
from dataclasses import replace
from datetime import datetime

import cards
import nibabel as nib
import nnunets
import numpy as np
import pytest

from bids_stroke.bids import logs
from bids_stroke.errors import ResourceError
from bids_stroke.execution.plan import make_plan
from bids_stroke.settings import Settings

SCAN = "sub-01/anat/sub-01_T1w.nii.gz"


@pytest.fixture
def ended(tmp_path):
    """Settings of a run with a complete record of its session."""
    path = tmp_path / "bids" / SCAN
    path.parent.mkdir(parents=True)
    nib.save(nib.Nifti1Image(np.zeros((4, 4, 4), np.uint8), np.eye(4)), path)
    (tmp_path / "bids/dataset_description.json").write_text('{"Name": "a", "BIDSVersion": "1.10.0"}')
    settings = Settings(
        bids_dir=tmp_path / "bids",
        output_dir=tmp_path / "out",
        work_dir=tmp_path / "work",
        level="participant",
        bids_filters={},
    )
    (job,) = make_plan(settings).jobs
    record = job.record()
    record.status = "ok"
    record.write(settings.output_dir)
    return settings


def done(settings):
    return list(make_plan(settings).done)


def test_the_same_again(ended):
    assert done(ended) == ["sub-01"]


def test_the_command_line_and_the_date_do_not_invalidate_a_session(ended):
    again = replace(ended, command="bids_stroke /bids /out participant -v")
    assert done(again) == ["sub-01"]
    (ended.bids_dir / SCAN).write_bytes((ended.bids_dir / SCAN).read_bytes() + b" ")
    (job,) = make_plan(again).jobs
    record = job.record()
    assert record.command == again.command
    assert datetime.fromisoformat(record.date).tzinfo is not None


def test_a_touched_image(ended):
    os.utime(ended.bids_dir / SCAN)
    assert done(ended) == ["sub-01"]


def test_another_mount(ended, tmp_path):
    """Dataset and outputs were moved and have other inodes and times."""
    for name in ("bids", "out"):
        shutil.copytree(tmp_path / name, tmp_path / "mnt" / name)
        shutil.rmtree(tmp_path / name)
    moved = {"bids_dir": tmp_path / "mnt/bids", "output_dir": tmp_path / "mnt/out"}
    assert done(replace(ended, **moved)) == ["sub-01"]


def test_one_voxel(ended):
    """One voxel differs in a file with the same size and time."""
    path = ended.bids_dir / SCAN.removesuffix(".gz")
    (ended.bids_dir / SCAN).unlink()
    nib.save(nib.Nifti1Image(np.zeros((4, 4, 4), np.uint8), np.eye(4)), path)
    (job,) = make_plan(ended).jobs
    record = job.record()
    record.status = "ok"
    record.write(ended.output_dir)
    assert done(ended) == ["sub-01"]
    before = path.stat()
    data = bytearray(path.read_bytes())
    data[-1] = 1
    path.write_bytes(data)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert path.stat().st_size == before.st_size
    assert done(ended) == []


def test_content_that_git_annex_dropped(ended):
    """After the content is fetched again, the session is up to date."""
    path = ended.bids_dir / SCAN
    key = "MD5E-s9--0.nii.gz"
    target = ended.bids_dir / f".git/annex/objects/a/b/{key}/{key}"
    target.parent.mkdir(parents=True)
    shutil.move(path, target)
    path.symlink_to(os.path.relpath(target, path.parent))
    (job,) = make_plan(ended).jobs
    record = job.record()
    record.status = "ok"
    record.write(ended.output_dir)
    shutil.move(target, ended.work_dir)
    plan = make_plan(ended)
    assert not plan.jobs and "datalad get" in plan.skipped[0].reason
    shutil.copy(ended.work_dir, target)
    assert done(ended) == ["sub-01"]


def test_the_record_of_an_earlier_version(ended):
    """It has no file contents, so the session is processed again."""
    path = logs.record_path(ended.output_dir, "sub-01")
    content = json.loads(path.read_text())
    del content["contents"], content["status_of_inputs"]
    path.write_text(json.dumps(content | {"identity": "of an earlier version"}))
    assert done(ended) == []


def test_identity_does_not_depend_on_the_path_of_the_weights():
    card = cards.make()
    moved = replace(card, weights=replace(card.weights, file="/mnt/w"))
    other = replace(card, weights=replace(card.weights, sha256="1"))
    assert card.identity() == moved.identity() != other.identity()


def test_the_labels_of_a_network_for_brain_extraction_are_named(ended, tmp_path):
    folder = nnunets.write(tmp_path / "nn", nnunets.architecture(), (2, 2, 2), (16, 16, 16), steps=0)
    settings = replace(ended, brain_extraction=f"nnunet:{folder}")
    assert make_plan(settings).notices == []
    path = folder / "dataset.json"
    path.write_text(path.read_text().replace('"lesion": 1', '"gray matter": 1, "white matter": 2'))
    assert make_plan(settings).notices == [
        "The brain masks are the union of the labels of Dataset001_Toy: gray matter, white matter."
    ]


def test_missing_deepbet_is_reported(ended, monkeypatch):
    monkeypatch.setitem(sys.modules, "deepbet", None)
    with pytest.raises(ResourceError, match=r"pip install bids_stroke\[deepbet\]"):
        make_plan(replace(ended, brain_extraction="deepbet"))
