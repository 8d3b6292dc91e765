"""Lesions of a cohort as a sparse matrix of participants and voxels of the template at 2 mm."""

from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from multiprocessing import get_context
from pathlib import Path

import nibabel as nib
import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from bids_stroke.spatial import image
from bids_stroke.spatial.grid import blank
from bids_stroke.spatial.masks import resample_mask

SPACING_MM = 2


@dataclass(frozen=True)
class LesionMatrix:
    """Lesions on a grid.

    Attributes
    ----------
    lesions : scipy.sparse.csc_array, (participants, voxels)
        1 in the lesion of each participant. ``voxels`` are those of the grid in C order.
    grid : nib.Nifti1Image
        Empty image with the grid.
    """

    lesions: sparse.csc_array
    grid: nib.Nifti1Image

    def image(self, values: NDArray, voxels: NDArray[np.intp], fill: float = 0.0) -> nib.Nifti1Image:
        """Return an image with values in the voxels of the given indices, ``fill`` in all others."""
        data = np.full(np.prod(self.grid.shape), fill, values.dtype)
        data[voxels] = values
        return image.like(data.reshape(self.grid.shape), self.grid)


@lru_cache(maxsize=1)
def template_2mm() -> nib.Nifti1Image:
    """Return the T1w of the template at 2 mm, on a grid that is symmetric about x = 0."""
    from nilearn.datasets import load_mni152_template

    return load_mni152_template(resolution=SPACING_MM)


def read_lesions(paths: Sequence[Path], mirrored: Sequence[bool], jobs: int = 1) -> LesionMatrix:
    """Read lesion masks in the space of the template.

    Masks are resampled to 2 mm, keeping their volumes.

    Parameters
    ----------
    paths : sequence of Path
        Mask of each participant.
    mirrored : sequence of bool
        Whether to mirror the lesion of each participant to the other hemisphere.
    jobs : int
        Number of processes.

    Raises
    ------
    ImageError
        If a mask cannot be read.
    """
    grid = template_2mm()
    shape = grid.shape
    if jobs == 1:
        rows = list(map(_voxels, paths, mirrored))
    else:
        with ProcessPoolExecutor(min(jobs, len(paths)), get_context("spawn")) as pool:
            rows = list(pool.map(_voxels, paths, mirrored))
    return LesionMatrix(_matrix(rows, int(np.prod(shape))), blank(shape, grid.affine))


def _voxels(path: Path, mirrored: bool) -> NDArray[np.int32]:
    """Return the indices of the lesioned voxels of a mask at 2 mm."""
    grid = template_2mm()
    mask = np.asanyarray(resample_mask(image.conform(image.load(path)), grid).dataobj)
    return np.flatnonzero(mask[::-1] if mirrored else mask).astype(np.int32)


def _matrix(indices: Sequence[NDArray[np.int32]], voxels: int) -> sparse.csc_array:
    starts = np.concatenate([[0], np.cumsum([len(row) for row in indices])])
    columns = np.concatenate(indices)
    shape = len(indices), voxels
    return sparse.csr_array((np.ones(len(columns)), columns, starts), shape).tocsc()
