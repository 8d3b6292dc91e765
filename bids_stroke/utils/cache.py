"""Cache of computed and downloaded files."""

import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
from platformdirs import user_cache_path

from bids_stroke import __version__

from .files import atomic

#: Environment variable with the cache folder.
HOME_VARIABLE = "BIDS_STROKE_HOME"


def cache_dir() -> Path:
    """Return the cache folder: ``$BIDS_STROKE_HOME``, or the folder for caches of the system.

    On Linux, the latter is ``$XDG_CACHE_HOME/bids_stroke`` or ``~/.cache/bids_stroke``. If
    ``~/.cache/bids_stroke`` exists, it is used on all systems, because earlier versions wrote to it.
    """
    if folder := os.environ.get(HOME_VARIABLE):
        return Path(folder)
    earlier = os.path.expanduser("~/.cache/bids_stroke")
    return Path(earlier) if os.path.isdir(earlier) else user_cache_path("bids_stroke", appauthor=False)


def cached_images(
    name: str, key: object, build: Callable[[], list[nib.Nifti1Image]]
) -> list[nib.Nifti1Image]:
    """Return the images that ``build()`` returns, from the cache if they were built before.

    Parameters
    ----------
    name : str
        Prefix of the file names in the cache.
    key : object
        Everything on which the images depend, in types that JSON supports.
    build : callable
        Function that builds the images.

    Returns
    -------
    list of nib.Nifti1Image
    """
    text = json.dumps([__version__, key], default=str)
    stem = f"{name}-{hashlib.sha256(text.encode()).hexdigest()[:16]}"
    folder = cache_dir() / "maps"
    paths = sorted(folder.glob(f"{stem}-*of*.nii"))
    if paths and paths[0].stem.endswith(f"of{len(paths)}"):
        return [nib.Nifti1Image.from_filename(path) for path in paths]
    images = build()
    try:
        for number, img in enumerate(images, 1):
            with atomic(folder / f"{stem}-{number}of{len(images)}.nii") as partial:
                nib.save(img, partial)
    except OSError:  # work without a cache if it cannot be written
        pass
    return images
