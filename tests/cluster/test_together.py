"""Participants that are processed at the same moment, into one output folder."""

import json
import os
import subprocess
import sys

import nibabel as nib
import numpy as np
import pytest
from filelock import FileLock

from bids_stroke.bids import record
from bids_stroke.reports.participant import methods
from bids_stroke.spatial.templates import TEMPLATE

LABELS = ("01", "02")


@pytest.fixture(scope="module")
def bids(tmp_path_factory):
    """Two participants with own masks in two template spaces, which the methods text tells apart."""
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


def test_a_session_at_work_is_refused(bids, tmp_path):
    (tmp_path / "logs").mkdir()
    with FileLock(tmp_path / "logs/.sub-01.lock"), start(bids, tmp_path, "01") as run:
        error = run.communicate()[1]
    assert run.returncode == 1
    assert "sub-01 is being processed by another run" in error and "Traceback" not in error


@pytest.mark.skipif(
    "BIDS_STROKE_ROUNDS" not in os.environ,
    reason="takes minutes; set BIDS_STROKE_ROUNDS to the number of rounds, such as 20",
)
def test_no_file_is_lost_or_broken(bids):
    for number in range(int(os.environ["BIDS_STROKE_ROUNDS"])):
        out, index = (bids.parent / f"{name}{number}" for name in ("out", "index"))
        runs = [start(bids, out, label, "--bids-database-dir", str(index)) for label in LABELS]
        for done, error in [(run, run.communicate()[1]) for run in runs]:
            assert done.returncode == 0, error
        check(out)


def check(out):
    """Every file that either run promised is there and can be read; what both write tells of both."""
    records = record.read_all(out)
    assert [known.name for known in records] == [f"sub-{label}" for label in LABELS]
    assert all(known.complete(out) for known in records)
    for path in out.rglob("*.nii.gz"):
        nib.load(path).get_fdata()
    for path in out.rglob("*.json"):
        json.loads(path.read_text())
    for known in records:
        assert f"{known.name}: ok" in (out / f"logs/{known.name}_run.log").read_text()
        assert (out / f"{known.name}.html").read_text().rstrip().endswith("</html>")
    assert len({known.description for known in records}) == 2
    assert (out / "CITATION.md").read_text() == methods.compose(records)
    for name in (".bidsignore", "README", "dataset_description.json", "descriptions.tsv"):
        assert (out / name).stat().st_size
    assert list(out.rglob(".partial*")) == []
