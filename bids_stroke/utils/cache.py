"""Files that are computed or downloaded once."""

import hashlib
import json
import os
from pathlib import Path

import nibabel as nib

from bids_stroke import __version__

from .files import atomic


def cache_dir():
    """Where what is downloaded or computed once is kept: ``$BIDS_STROKE_HOME``, or
    ``~/.cache/bids_stroke``."""
    return Path(os.environ.get("BIDS_STROKE_HOME", Path.home() / ".cache" / "bids_stroke"))


def cached_images(name, key, build):
    """Give the images that ``build()`` returns, from the cache where they were made before.

    Parameters
    ----------
    name : str
        Start of the names of the files.
    key : object
        All that the images depend on; JSON must know it.

    Returns
    -------
    list of nib.Nifti1Image
    """
    text = json.dumps([__version__, key], default=str)
    stem = f"{name}-{hashlib.sha256(text.encode()).hexdigest()[:16]}"
    folder = cache_dir() / "maps"
    found = sorted(folder.glob(f"{stem}-*of*.nii"))
    if found and found[0].stem.endswith(f"of{len(found)}"):
        return [nib.load(path) for path in found]
    images = build()
    try:
        for number, img in enumerate(images, 1):
            with atomic(folder / f"{stem}-{number}of{len(images)}.nii") as partial:
                nib.save(img, partial)
    except OSError:  # a cache that cannot be written is none
        pass
    return images
