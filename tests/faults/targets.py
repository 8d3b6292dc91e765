"""What reads files of users, as functions of bytes: nothing but our own errors may come out."""

import tempfile
from pathlib import Path

import numpy as np

from bids_stroke import cohort, image, qc
from bids_stroke.cli import parser, worker
from bids_stroke.errors import StrokeError
from bids_stroke.models import card

#: The end of the file's name, and what reads it.
READERS = {
    "image": (".nii", image.load_scan),
    "packed": (".nii.gz", image.load_scan),
    "table": (".tsv", cohort.people),
    "ratings": (".tsv", qc.ratings),
    "card": (".yaml", card.load),
    "filters": (".json", parser._filters),
    "plugin": (".yaml", worker.plugin),
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
