"""Pairs of masks matched by file name."""

from bids_stroke.evaluation import pairs


def test_hidden_files_are_ignored(tmp_path):
    """The hidden files of macOS are not reported as scans without a pair."""
    for folder in ("truth", "predicted"):
        (tmp_path / folder).mkdir()
        for name in ("a.nii.gz", "._a.nii.gz"):
            (tmp_path / folder / name).touch()
    matched = pairs.match_masks({"model": tmp_path / "predicted"}, tmp_path / "truth")
    assert [(pair.participant, pair.problem) for pair in matched] == [("a", None)]
