"""Readers of user files as functions of bytes; they may raise only the errors of the app."""

import gzip
import tempfile
from functools import partial
from pathlib import Path

import cards
import nibabel as nib
import numpy as np
import yaml

from bids_stroke.cli import config_file, parser
from bids_stroke.cohort import participants
from bids_stroke.errors import StrokeError
from bids_stroke.execution import plugins
from bids_stroke.models import catalog
from bids_stroke.models.writing import describe
from bids_stroke.qc import ratings
from bids_stroke.spatial import image

#: File extension and reader.
READERS = {
    "image": (".nii", image.load_scan),
    "packed": (".nii.gz", image.load_scan),
    "table": (".tsv", participants.read_participants),
    "ratings": (".tsv", lambda path: ratings.read_ratings([path])),
    "card": (".yaml", catalog.load),
    "filters": (".json", parser._filters),
    "plugin": (".yaml", plugins.read_plugin),
    "config": (".toml", partial(config_file.read, level="participant")),
}

RAW = nib.Nifti1Image(
    np.random.default_rng(0).normal(size=(10, 10, 10)).astype(np.float32), np.diag([10.0, 10, 10, 1])
).to_bytes()
WEIGHTS = {"sha256": "0" * 64, "bytes": 1, "licence": "CC0", "file": "w"}
CARD = {**describe(cards.make()), "weights": WEIGHTS}
#: A valid file for each reader.
GOOD = {
    "image": RAW,
    "packed": gzip.compress(RAW, 1),
    "table": b"participant_id\tage\tsex\nsub-01\t71\tF\nsub-02\tn/a\tM\n",
    "ratings": b"participant_id\tsession_id\trating\tnotes\nsub-01\tn/a\treject\tmoved\n",
    "card": yaml.safe_dump(CARD).encode(),
    "filters": b'{"t1w": {"acquisition": "mprage", "run": [1, 2]}, "lesion": {"desc": null}}',
    "config": b"[run]\ndate = 2026-01-01\n[options]\nmirror = true\ncutoffs = [1, 2.5]\nmem = '8G'\n",
    "plugin": b"plugin: MultiProc\nplugin_args: {n_procs: 2}\ngpu_plugin_args: {}\n",
}


def read(name, content):
    """Return the result of a reader for ``content``, or None if it raises an error of the app."""
    extension, reader = READERS[name]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"x{extension}"
        path.write_bytes(content)
        try:
            result = reader(path)
        except StrokeError as error:
            assert "\n" not in str(error) and str(path) in str(error), error
            return None
        if reader is image.load_scan:
            data = np.asanyarray(result.dataobj)
            assert data.ndim == 3 and np.isfinite(data).all() and np.isfinite(result.affine).all()
        return result
