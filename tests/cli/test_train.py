"""``bids_stroke-train`` reports missing packages before the preparation of the scans."""

import sys

from bids_stroke.cli import train


def test_a_missing_package_is_reported_first(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "lightning", None)
    folders = [tmp_path / name for name in ("bids", "out", "masks")]
    bids, out, masks = map(str, folders)
    assert train.main(["finetune", bids, out, "--labels", masks]) == 2
    assert "Training needs lightning; install it with pip install" in capsys.readouterr().err
    assert not folders[1].exists()
