"""The studies at toy size: their helpers, and the comparison of two output folders."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

STUDIES = Path(__file__).parents[1] / "studies"
NAME = "sub-01/anat/sub-01_space-T1w_label-L"


def write(folder, voxels=(1, 2), volume="1.5", version="1", unit="ml"):
    """An output folder with a mask, its sidecar, a probability and a table."""
    (folder / NAME).parent.mkdir(parents=True)
    data = np.zeros((4, 4, 4), np.uint8)
    data[voxels] = 1
    nib.save(nib.Nifti1Image(data, np.eye(4)), folder / f"{NAME}_mask.nii.gz")
    nib.save(nib.Nifti1Image(data / np.float32(2), np.eye(4)), folder / f"{NAME}_probseg.nii.gz")
    (folder / f"{NAME}_morph.tsv").write_text(f"side\tvolume\nleft\t{volume}\nright\tn/a\n")
    content = {"Units": unit, "Source": str(folder), "GeneratedBy": [{"Version": version}]}
    (folder / f"{NAME}_mask.json").write_text(json.dumps(content))
    return folder


def compare(*arguments):
    """Exit status and lines of the comparison."""
    command = [sys.executable, STUDIES / "compare_outputs.py", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert not done.stderr
    return done.returncode, done.stdout.splitlines()


def test_outputs_alike(tmp_path):
    folders = write(tmp_path / "before"), write(tmp_path / "after", version="2")
    status, lines = compare(*folders)
    assert status == 0
    assert lines[:3] == [f"{kind}: 1 of 1 identical" for kind in ("masks", "images", "tables")]
    assert lines[3:] == ["transforms: 0 of 0 identical", "sidecars: 1 of 1 identical"]


@pytest.mark.parametrize(
    "change, status, line",
    [
        ({"voxels": (1, 3)}, 1, f"  {NAME}_mask.nii.gz: 8 voxels differ by at most 1"),
        ({"volume": "1.75"}, 1, f"  {NAME}_morph.tsv: 1 cells (volume) differ by at most 0.25"),
        ({"volume": "n/a"}, 1, f"  {NAME}_morph.tsv: 1 cells (volume) differ"),
        ({"unit": "mm3"}, 0, f"  {NAME}_mask.json: 1 fields (Units) differ"),
    ],
)
def test_outputs_that_differ(tmp_path, change, status, line):
    result, lines = compare(write(tmp_path / "before"), write(tmp_path / "after", **change))
    assert result == status and line in lines


def test_a_tolerance(tmp_path):
    folders = write(tmp_path / "before"), write(tmp_path / "after", volume="1.51")
    assert compare(*folders)[0] == 1
    assert compare(*folders, "--tolerance", 0.02)[0] == 0


def test_outputs_that_are_missing(tmp_path):
    before = write(tmp_path / "before")
    after = Path(shutil.copytree(before, tmp_path / "after"))
    (after / f"{NAME}_mask.nii.gz").unlink()
    status, lines = compare(before, after)
    assert status == 1 and f"  {NAME}_mask.nii.gz: only before" in lines
