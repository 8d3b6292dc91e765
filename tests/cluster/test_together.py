"""Concurrent runs of different participants with the same output folder."""

import json
import subprocess
import sys

import nibabel as nib
import numpy as np
import pytest
from filelock import FileLock

from bids_stroke.bids import record
from bids_stroke.reports import methods
from bids_stroke.spatial.templates import TEMPLATE

LABELS = ("01", "02")


@pytest.fixture(scope="module")
def bids(tmp_path_factory):
    """Two participants with lesion masks in different template spaces, with different methods texts."""
    root = tmp_path_factory.mktemp("together") / "bids"
    mask = np.zeros((197, 233, 189), np.uint8)
    mask[60:70, 100:110, 70:80] = 1
    affine = np.diag([1.0, 1.0, 1.0, 1.0])
    affine[:3, 3] = -98, -134, -72
    for label, space in zip(LABELS, (TEMPLATE, "MNI152NLin6Asym"), strict=True):
        path = root / f"sub-{label}/anat/sub-{label}_space-{space}_label-L_mask.nii.gz"
        path.parent.mkdir(parents=True)
        nib.save(nib.Nifti1Image(mask, affine), path)
    (root / "dataset_description.json").write_text('{"Name": "masks", "BIDSVersion": "1.10.0"}')
    return root


def start(bids, out, label, *options):
    command = [sys.executable, "-m", "bids_stroke", str(bids), str(out), "participant"]
    command += ["--lesion-derivatives", str(bids), "--participant-label", label, *options]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)


def test_a_locked_session_is_refused(bids, tmp_path):
    (tmp_path / "logs").mkdir()
    with FileLock(tmp_path / "logs/.sub-01.lock"), start(bids, tmp_path, "01") as run:
        error = run.communicate()[1]
    assert run.returncode == 1
    assert "sub-01 is being processed by another run" in error and "Traceback" not in error


@pytest.mark.exhaustive
def test_no_file_is_lost_or_broken(bids, rounds):
    for number in range(rounds):
        out, index = (bids.parent / f"{name}{number}" for name in ("out", "index"))
        runs = [start(bids, out, label, "--bids-database-dir", str(index)) for label in LABELS]
        for done, error in [(run, run.communicate()[1]) for run in runs]:
            assert done.returncode == 0, error
        check(out)


def check(out):
    """Check that all recorded files exist and are readable, and that shared files cover both runs."""
    records = record.read_all(out)
    assert [entry.name for entry in records] == [f"sub-{label}" for label in LABELS]
    assert all(entry.complete(out) for entry in records)
    for path in out.rglob("*.nii.gz"):
        nib.load(path).get_fdata()
    for path in out.rglob("*.json"):
        json.loads(path.read_text())
    for entry in records:
        assert f"{entry.name}: ok" in (out / f"logs/{entry.name}_run.log").read_text()
        assert (out / f"{entry.name}.html").read_text().rstrip().endswith("</html>")
    assert len({entry.description for entry in records}) == 2
    composed = methods.compose(records)
    assert (out / "CITATION.md").read_text(encoding="utf-8") == composed.text
    assert (out / "CITATION.bib").read_text(encoding="utf-8") == composed.bibliography
    for name in (".bidsignore", "README", "dataset_description.json", "descriptions.tsv"):
        assert (out / name).stat().st_size
    assert list(out.rglob(".partial*")) == []
