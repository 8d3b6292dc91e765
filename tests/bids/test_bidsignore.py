import shutil
import subprocess

import pytest

from bids_stroke.bids.bidsignore import BidsIgnore

PATHS = [
    "sub-01/anat/sub-01_T1w.nii.gz",
    "sub-01/anat/sub-01_acq-b_T1w.nii.gz",
    "sub-01/anat/sub-01_acq-c_T1w.nii.gz",
    "sub-02/ses-1/anat/sub-02_ses-1_T1w.nii.gz",
    "sub-02/ses-2/anat/sub-02_ses-2_T2w.nii.gz",
    "sub-10/anat/sub-10_run-1_FLAIR.nii.gz",
    "extra/sub-03/anat/x.nii",
]
#: Content of .bidsignore, and the indices of the ignored paths, derived manually from gitignore(5).
CASES = [
    ("", []),
    ("# *\n\n", []),
    ("*_T2w.nii.gz\n", [4]),
    ("sub-02\n", [3, 4]),
    ("sub-02/\r\n", [3, 4]),
    ("/sub-01/anat/*acq-[bc]*\n", [1, 2]),
    ("sub-0?/anat/\n", [0, 1, 2]),  # a pattern with a slash applies from the root
    ("anat/\n", [0, 1, 2, 3, 4, 5, 6]),
    ("anat/sub-01*\n", []),
    ("**/anat/sub-01*\n", [0, 1, 2]),
    ("sub-02/**/anat\n", [3, 4]),
    ("sub-01/**\n", [0, 1, 2]),
    ("*T1w*\n!*acq-*\n", [0, 3]),
    ("sub-02/\n!sub-02/ses-1/anat/*\n", [3, 4]),  # files below an ignored folder cannot be re-included
    ("*[!1]_T1w.nii.gz\n", [1, 2]),
    ("\\#x\n", []),
    ("\ufeffsub-10/\n", [5]),
    ("*run-1_FLAIR.nii.gz   \n", [5]),
    ("[z-a]\nsub-10/\n", [5]),
]


@pytest.mark.parametrize(("content", "listed"), CASES)
def test_patterns(tmp_path, content, listed):
    (tmp_path / ".bidsignore").write_text(content, encoding="utf-8")
    ignore = BidsIgnore(tmp_path)
    assert [number for number, path in enumerate(PATHS) if ignore.ignores(path)] == listed


@pytest.mark.skipif(shutil.which("git") is None, reason="git is the reference")
@pytest.mark.parametrize("content", [content for content, _ in CASES if "\r" not in content])
def test_patterns_as_git_reads_them(tmp_path, content):
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    (tmp_path / ".bidsignore").write_text(content, encoding="utf-8")
    (tmp_path / ".gitignore").write_text(content, encoding="utf-8")
    for path in map(tmp_path.joinpath, PATHS):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    done = subprocess.run(
        ["git", "-C", tmp_path, "check-ignore", *PATHS], capture_output=True, text=True
    )
    ignore = BidsIgnore(tmp_path)
    assert [path for path in PATHS if ignore.ignores(path)] == done.stdout.split()


def test_folders(tmp_path):
    """A folder pattern applies to subfolders; a file pattern applies to no folder."""
    (tmp_path / ".bidsignore").write_text("sub-02/ses-1\n*_mask.nii.gz\n")
    ignore = BidsIgnore(tmp_path)
    assert ignore.ignores_folder("sub-02/ses-1") and ignore.ignores_folder("sub-02/ses-1/anat")
    assert not ignore.ignores_folder("sub-02") and not ignore.ignores_folder("sub-01/anat")
