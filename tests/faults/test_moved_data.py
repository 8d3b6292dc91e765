"""Datasets that were moved, touched or changed between runs, and paths of jobs in an image."""

import os
import shutil

import nibabel as nib
import numpy as np
import pytest
from faults.running import masks, participant, run

from bids_stroke.cli import slurm

pytestmark = pytest.mark.slow

UP_TO_DATE = "sub-01: up to date"


@pytest.fixture
def moved(bids, undisturbed, tmp_path):
    """Copies of a dataset and its derivatives, with other inodes and times."""
    return shutil.copytree(bids, tmp_path / "bids"), shutil.copytree(undisturbed, tmp_path / "out")


def test_another_mount_point_and_new_times(moved, table):
    for path in moved[0].rglob("*"):
        os.utime(path)
    done = run(*participant(*moved))
    assert done.returncode == 0 and UP_TO_DATE in done.stderr
    table.add("Moved data", "another mount point and new times", 0, UP_TO_DATE, "nothing new")


def test_one_voxel_of_a_mask(bids, tmp_path, table):
    """One voxel differs in a file with the same size and a restored time."""
    root, out = masks(tmp_path / "bids", "01"), tmp_path / "out"
    path = next(root.rglob("*_mask.nii.gz"))
    img = nib.load(path)
    data = np.asanyarray(img.dataobj).copy()
    plain = path.with_suffix("")
    nib.save(nib.Nifti1Image(data, img.affine), plain)
    path.unlink()
    assert run(*participant(root, out)).returncode == 0
    before = plain.stat()
    data[tuple(np.argwhere(data)[0])] = 0
    nib.save(nib.Nifti1Image(data, img.affine), plain)
    os.utime(plain, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert plain.stat().st_size == before.st_size
    done = run(*participant(root, out))
    assert done.returncode == 0 and UP_TO_DATE not in done.stderr and "sub-01: ok" in done.stderr
    table.add("Moved data", "one voxel of a mask, size and time as before", 0, "sub-01: ok", "all")


def test_a_path_that_jobs_in_an_image_cannot_see(bids, tmp_path, table, capsys):
    (tmp_path / "b.sif").touch()
    folder = tmp_path / "a,b"
    mask = folder / "sub-01/anat/sub-01_desc-brain_mask.nii.gz"
    mask.parent.mkdir(parents=True)
    nib.save(nib.Nifti1Image(np.ones((2, 2, 2), np.uint8), np.eye(4)), mask)
    options = ["--image", str(tmp_path / "b.sif"), "--derivatives", str(folder)]
    options += ["--lesion-derivatives", str(bids)]
    assert slurm.main([str(bids), str(tmp_path / "out"), *options]) == 2
    seen = capsys.readouterr().err.strip()
    assert "Apptainer cannot bind" in seen
    assert not (tmp_path / "out/logs/slurm").exists()
    table.add("Moved data", "a path with a comma for jobs in an image", 2, seen, "nothing")
