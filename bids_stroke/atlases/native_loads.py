"""Weighted load of a tract on the grid of a session, without a transformation of the lesion."""

from collections.abc import Mapping, Sequence
from itertools import product
from typing import NamedTuple

import nibabel as nib
import numpy as np
from nibabel.affines import apply_affine
from numpy.typing import NDArray
from scipy import ndimage

from bids_stroke.spatial.grid import bounding_box, voxel_volume
from bids_stroke.spatial.image import conform
from bids_stroke.spatial.transforms import move_points
from bids_stroke.utils.files import PathLike

_STEP = 2  # voxels between the points that are transformed; the fields are smooth
_PARTS = 2  # parts of a template voxel along each axis


class Weights(NamedTuple):
    """Contribution of each voxel to the weighted load of one side of a tract.

    ``voxels`` are positions in the flattened array (x fastest), ascending; ``ml`` their contributions.
    All other voxels contribute nothing.
    """

    voxels: NDArray[np.int64]
    ml: NDArray[np.float64]


def native_weights(
    tract: Mapping[str, nib.Nifti1Image],
    axis: str,
    reference: nib.Nifti1Image,
    to_template: Sequence[PathLike],
) -> dict[str, Weights]:
    """Compute the contribution of each voxel of a grid to the weighted load.

    The weighted load is linear in the lesion
    (:func:`bids_stroke.atlases.loads.measure_loads`): the contribution of a voxel is the sum of the
    contributions of the template voxels that it covers. Each template voxel is split into eight parts,
    and each part belongs to the voxel of the grid that contains its center. The sum over the voxels of
    a lesion is an estimate of its weighted load, because the load is measured on a mask in the
    template, and this mask is binary.

    Parameters
    ----------
    tract : dict of str to nib.Nifti1Image
        Probability of the sides ``L`` and ``R``, from :func:`bids_stroke.atlases.tracts.load_tract`.
    axis : {"x", "y", "z"}
        Axis along which the tract runs.
    reference : nib.Nifti1Image, (x, y, z)
        Image on the grid.
    to_template : sequence of path
        Transforms of images from the space of ``reference`` to the template.

    Returns
    -------
    dict of str to Weights
        ``L`` and ``R``.
    """
    sides = {key: conform(img) for key, img in tract.items()}
    template = sides["L"]
    probabilities = {key: img.get_fdata(dtype=np.float32) for key, img in sides.items()}
    support = np.any([probability > 0 for probability in probabilities.values()], axis=0)
    voxels = np.argwhere(support)
    contributions = {
        key: _contributions(probability, axis, voxel_volume(template) / 1000)[support]
        for key, probability in probabilities.items()
    }
    covered = _covered_voxels(voxels, support, template, reference, to_template)
    positions, inverse = np.unique(np.ravel(covered), return_inverse=True)
    weights = {}
    for key, ml in contributions.items():
        sums = np.bincount(inverse, np.tile(ml / _PARTS**3, len(covered))).astype(np.float64)
        keep = (positions >= 0) & (sums > 0)
        weights[key] = Weights(positions[keep], sums[keep])
    return weights


def _contributions(probability: NDArray[np.float32], axis: str, voxel_ml: float) -> NDArray[np.float64]:
    """Return the contribution of each template voxel to the weighted load (ml)."""
    others = tuple(number for number, name in enumerate("xyz") if name != axis)
    area = probability.sum(others, keepdims=True, dtype=float)
    ratio = np.divide(area.max(), area, out=np.zeros_like(area), where=area > 0)
    return voxel_ml * probability * ratio


def _covered_voxels(
    voxels: NDArray[np.int64],
    support: NDArray[np.bool_],
    template: nib.Nifti1Image,
    reference: nib.Nifti1Image,
    to_template: Sequence[PathLike],
) -> NDArray[np.int64]:
    """Return the voxel of ``reference`` that contains each part of the template voxels, as positions in
    the flattened array; -1 outside. The result has a row for each part."""
    box = bounding_box(support, margin=1)
    axes = [np.arange(side.start, side.stop + _STEP, _STEP) for side in box]
    lattice = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1)
    points = move_points(apply_affine(template.affine, lattice.reshape(-1, 3)), to_template)
    moved = apply_affine(np.linalg.inv(reference.affine), points).T.reshape(3, *lattice.shape[:3])
    start = np.array([side.start for side in box])
    offsets = (np.arange(_PARTS) + 0.5) / _PARTS - 0.5
    covered = []
    for offset in product(offsets, repeat=3):
        positions = ((voxels + offset - start) / _STEP).T
        native = [ndimage.map_coordinates(m, positions, order=1, mode="nearest") for m in moved]
        indices = np.rint(native).astype(np.int64).T
        inside = ((indices >= 0) & (indices < reference.shape[:3])).all(1)
        clipped = np.where(inside, indices.T, 0)
        flat = np.ravel_multi_index(tuple(clipped), reference.shape[:3], order="F")
        covered.append(np.where(inside, flat, -1))
    return np.array(covered)
