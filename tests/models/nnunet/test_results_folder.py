"""Results folders of nnU-Net as model cards."""

import hashlib
import os
from collections import Counter

import nnunets

from bids_stroke.models import catalog, weights


def test_a_checkpoint_is_read_once_for_its_checksum(tmp_path, monkeypatch):
    """The checksum is computed once per process for repeated calls."""
    network = nnunets.architecture()
    folder = nnunets.write(tmp_path / "m", network, (2, 2, 2), (16, 16, 16), folds=2, steps=0)
    checkpoints = sorted(folder.glob("fold_*/*.pth"))
    for path in checkpoints:
        os.utime(path, ns=(10**18, 10**18))
    read, digest = Counter(), hashlib.file_digest

    def counting(stream, name):
        read[stream.name] += 1
        return digest(stream, name)

    monkeypatch.setattr(hashlib, "file_digest", counting)
    for _ in range(3):
        card = catalog.load(f"nnunet:{folder}")
        for fold in card.all_weights:
            weights.locate(card, fold)
    assert read == {str(path): 1 for path in checkpoints}
