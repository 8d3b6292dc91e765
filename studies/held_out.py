"""Simulations on heads and lesions that the embedded model's recipe holds out."""

import hashlib
from dataclasses import replace

import numpy as np
from common import DATA

from bids_stroke.spatial import image
from bids_stroke.training.engine import sources
from bids_stroke.training.recipes import read_recipe

RECIPE = "embedded"


def simulator(part, work, spacing, changes):
    """Make a simulator on the heads and lesions of a part of the recipe's split.

    Parameters
    ----------
    part : str
    work : Path
        Folder of intermediate results.
    spacing : float
        Side of a voxel (mm); samples are as large as in the recipe.
    changes : dict
        What differs from the recipe's ``synthesis`` section.
    """
    recipe = read_recipe(RECIPE)
    tile = [round(n * recipe.spacing / spacing) for n in recipe.tile]
    files = sources.find_files(recipe, DATA)[part]
    recipe = replace(recipe, tile=tile, spacing=spacing, synthesis=recipe.synthesis | changes)
    return sources.build_simulator(sources.load_files(files, work / "cache"), recipe)


def checksum(folder):
    """SHA-256 over the voxels of all images of a cohort."""
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*.nii.gz")):
        digest.update(path.relative_to(folder).as_posix().encode())
        digest.update(np.ascontiguousarray(image.load(path).dataobj).tobytes())
    return digest.hexdigest()
