"""Lesion overlap and mean tract load in each voxel of the template."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

import nibabel as nib
import numpy as np

from bids_stroke.bids.record import Record
from bids_stroke.spatial import image
from bids_stroke.spatial.templates import TEMPLATE
from bids_stroke.utils.files import PathLike

from .coarse_lesions import coarse_cells, encode


@dataclass(frozen=True)
class Overlap:
    """Lesions of a cohort.

    Attributes
    ----------
    count : nib.Nifti1Image of int32
        Number of lesions in each voxel.
    lesions : list of str
        Lesion of each session in coarse cells, see :func:`bids_stroke.cohort.coarse_lesions.encode`;
        empty text for a session without a lesion.
    """

    count: nib.Nifti1Image
    lesions: list[str]


def overlap(output_dir: PathLike, sessions: Sequence[Record]) -> Overlap:
    """Count the lesions in each voxel of the template.

    Memory hardly grows with the size of the cohort.

    Parameters
    ----------
    output_dir : path
    sessions : sequence of Record
        Records of at least one session.
    """
    masks = (image.load(record.require(output_dir, "lesion_mask", TEMPLATE)) for record in sessions)
    first = next(masks)
    count = np.zeros(np.prod(first.shape), np.int32)
    lesions = []
    for mask in chain([first], masks):
        # Lesions are small: counting their voxels is faster than adding images. Order as on disk.
        voxels = np.flatnonzero(np.ravel(mask.dataobj, order="F") != 0)
        count[voxels] += 1
        lesions.append(encode(coarse_cells(voxels, mask.shape)) if voxels.size else "")
    return Overlap(image.like(count.reshape(first.shape, order="F"), first), lesions)


def load_map(
    count: nib.Nifti1Image, sessions: int, tract: Mapping[str, nib.Nifti1Image]
) -> nib.Nifti1Image:
    """Map the mean tract load of a cohort.

    The value of a voxel is the share of sessions whose lesion covers it times the tract probability.
    The sum of the map times the voxel volume is the mean raw load.

    Parameters
    ----------
    count : nib.Nifti1Image
        Number of lesions in each voxel.
    sessions : int
        Number of sessions.
    tract : dict of str to nib.Nifti1Image
        Tract probability of the sides ``L`` and ``R`` on the same grid.

    Returns
    -------
    nib.Nifti1Image of float32

    Examples
    --------
    >>> count = nib.Nifti1Image(np.array([0, 2, 4], np.int32).reshape(3, 1, 1), np.eye(4))
    >>> side = nib.Nifti1Image(np.full((3, 1, 1), 0.25, np.float32), np.eye(4))
    >>> load_map(count, sessions=4, tract={"L": side, "R": side}).get_fdata().ravel().tolist()
    [0.0, 0.25, 0.5]
    """
    left, right = (tract[side].get_fdata(dtype=np.float32) for side in "LR")
    probability = left + right
    return image.like(np.asanyarray(count.dataobj) / sessions * probability, count, np.float32)
