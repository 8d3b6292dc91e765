"""What reads files of users, as functions of bytes: nothing but our own errors may come out."""

import gzip
import tempfile
from pathlib import Path

import cards
import nibabel as nib
import numpy as np
import yaml

from bids_stroke.cli import parser
from bids_stroke.cohort import participants
from bids_stroke.errors import StrokeError
from bids_stroke.execution import plugins
from bids_stroke.models import catalog
from bids_stroke.models.writing import describe
from bids_stroke.qc import ratings
from bids_stroke.spatial import image

#: The end of the file's name, and what reads it.
READERS = {
    "image": (".nii", image.load_scan),
    "packed": (".nii.gz", image.load_scan),
    "table": (".tsv", participants.read_participants),
    "ratings": (".tsv", ratings.read_ratings),
    "card": (".yaml", catalog.load),
    "filters": (".json", parser._filters),
    "plugin": (".yaml", plugins.read_plugin),
}

RAW = nib.Nifti1Image(
    np.random.default_rng(0).normal(size=(10, 10, 10)).astype(np.float32), np.diag([10.0, 10, 10, 1])
).to_bytes()
WEIGHTS = {"sha256": "0" * 64, "bytes": 1, "licence": "CC0", "file": "w"}
CARD = {**describe(cards.make()), "weights": WEIGHTS}
#: A good file for each reader.
GOOD = {
    "image": RAW,
    "packed": gzip.compress(RAW, 1),
    "table": b"participant_id\tage\tsex\nsub-01\t71\tF\nsub-02\tn/a\tM\n",
    "ratings": b"participant_id\tsession_id\trating\tnotes\nsub-01\tn/a\treject\tmoved\n",
    "card": yaml.safe_dump(CARD).encode(),
    "filters": b'{"t1w": {"acquisition": "mprage", "run": [1, 2]}, "lesion": {"desc": null}}',
    "plugin": b"plugin: MultiProc\nplugin_args: {n_procs: 2}\ngpu_plugin_args: {}\n",
}


def read(name, content):
    """Let a reader read ``content``; what it read, or None after one of our errors."""
    end, reader = READERS[name]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"x{end}"
        path.write_bytes(content)
        try:
            found = reader(path)
        except StrokeError as error:
            assert "\n" not in str(error) and str(path) in str(error), error
            return None
        if reader is image.load_scan:
            data = np.asanyarray(found.dataobj)
            assert data.ndim == 3 and np.isfinite(data).all() and np.isfinite(found.affine).all()
        return found
