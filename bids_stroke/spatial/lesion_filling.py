"""Lesion filling at full resolution, with skull, for software that expects an intact head."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import nibabel as nib
import numpy as np
from nibabel.affines import apply_affine, voxel_sizes
from numpy.typing import NDArray
from scipy import ndimage

from . import image
from .grid import bounding_box, voxel_volume
from .transforms import move_points

#: Width of the rim around a lesion, which is filled as well because it is partly lesion. The filling
#: fades out from ``FADE_MM`` on; beyond the rim nothing changes.
RIM_MM, FADE_MM = 3.0, 1.0
#: The intensity of the mirrored tissue is matched to healthy tissue within this distance of the lesion.
RING_MM = 20.0
#: Extent of the local means that match the intensity, and of those that replace missing tissue.
MATCH_MM, SMOOTH_MM = 10.0, 6.0
#: Mirrored tissue may lie this far outside the brain mask, because brains are not symmetric.
OUTSIDE_MM = 2.0
#: Largest ratio of intensities between two voxels of the same tissue.
SAME_TISSUE = 1.5

Array = NDArray[np.float32]


class Filling(NamedTuple):
    """Filled image, and the lesion volumes (mm³) that were filled with mirrored tissue and, where the
    mirrored position is lesioned or outside the brain, with local means of the surrounding tissue."""

    img: nib.Nifti1Image
    mirrored_mm3: float
    interpolated_mm3: float


def fill_lesion(
    img: nib.Nifti1Image,
    brain: nib.Nifti1Image,
    lesion: nib.Nifti1Image,
    to_template: Path,
    from_template: Path,
) -> Filling:
    """Fill a lesion with mirrored tissue of the other hemisphere.

    Each voxel is mapped to a template with the midsagittal plane at x = 0, mirrored, and mapped back;
    the image is interpolated once, at the resulting position. The intensity of the mirrored tissue is
    matched to the surroundings of the lesion by local means. Outside the lesion, the filling fades out
    within :data:`bids_stroke.spatial.lesion_filling.RIM_MM`, inside the brain; all other voxels are
    unchanged. Where the mirrored position is also lesioned, or lies outside the brain, the lesion is
    filled with local means of the surrounding tissue.

    Parameters
    ----------
    img : nib.Nifti1Image
        Bias-corrected head.
    brain, lesion : nib.Nifti1Image
        Masks on its grid.
    to_template, from_template : Path
        Transforms from the image to the template and back.

    Returns
    -------
    Filling
    """
    lesioned = np.asanyarray(lesion.dataobj) > 0
    if not lesioned.any():
        return Filling(image.like(img.get_fdata(dtype=np.float32), img), 0.0, 0.0)
    filled = img.get_fdata(dtype=np.float32).copy()
    spacing = voxel_sizes(img.affine)
    inside = np.asanyarray(brain.dataobj) > 0
    box = bounding_box(lesioned, np.ceil(RING_MM / spacing).astype(int))
    neighborhood = _Neighborhood(filled[box], inside[box], lesioned[box], spacing)
    indices = np.argwhere(neighborhood.weight + neighborhood.ring > 0)
    points = apply_affine(img.affine, indices + [side.start for side in box])
    mirrored = apply_affine(np.linalg.inv(img.affine), _mirror(points, to_template, from_template))
    values = _sample(filled, mirrored, order=3)
    weights = _healthy_weight(inside, lesioned, mirrored, spacing)
    other, usable = (np.zeros(neighborhood.data.shape, np.float32) for _ in range(2))
    other[tuple(indices.T)], usable[tuple(indices.T)] = values, weights
    filled[box] = neighborhood.fill(other, usable)
    voxel_mm3 = float(voxel_volume(img))
    mirrored_mm3 = float(usable[neighborhood.lesion].sum()) * voxel_mm3
    return Filling(
        image.like(filled, img), mirrored_mm3, np.count_nonzero(lesioned) * voxel_mm3 - mirrored_mm3
    )


def _mirror(points: np.ndarray, to_template: Path, from_template: Path) -> np.ndarray:
    """Mirror points at the midsagittal plane of the template."""
    # A transform that maps images from A to B maps points from B to A.
    mirrored = move_points(points, [from_template]) * (-1, 1, 1)
    return move_points(mirrored, [to_template])


def _sample(data: NDArray, voxels: np.ndarray, order: int) -> Array:
    """Interpolate an array at voxel coordinates, clipped to its range; 0 outside the array."""
    values = ndimage.map_coordinates(data, voxels.T, np.float32, order, mode="constant")
    return np.clip(values, data.min(), data.max())


def _healthy_weight(
    inside: NDArray[np.bool_], lesioned: NDArray[np.bool_], voxels: np.ndarray, spacing: Sequence[float]
) -> Array:
    """Weight voxel coordinates: 1 in the healthy brain, fading to 0 toward a lesion and outside the
    brain."""
    from_lesion = ndimage.distance_transform_edt(~lesioned, sampling=spacing).astype(np.float32)
    from_brain = ndimage.distance_transform_edt(~inside, sampling=spacing).astype(np.float32)
    in_volume = np.all((voxels >= 0) & (voxels <= np.array(inside.shape) - 1), axis=1)
    healthy = _sample(from_lesion, voxels, order=1) / RIM_MM
    in_brain = 1 - (_sample(from_brain, voxels, order=1) - OUTSIDE_MM) / RIM_MM
    return _smooth_step(np.minimum(healthy, in_brain)) * in_volume


def _smooth_step(values: NDArray) -> Array:
    """Smoothstep function: map 0–1 to 0–1 with zero slope at both ends; clip values outside 0–1."""
    clipped = np.clip(values, 0, 1)
    return (clipped**2 * (3 - 2 * clipped)).astype(np.float32)


class _Neighborhood:
    """A lesion and the tissue around it.

    ``weight`` is the weight of the filling in each voxel, ``ring`` the surrounding healthy tissue.
    """

    def __init__(
        self, data: Array, inside: NDArray[np.bool_], lesion: NDArray[np.bool_], spacing: np.ndarray
    ) -> None:
        self.data, self.lesion, self._spacing = data, lesion, spacing
        distance = ndimage.distance_transform_edt(~lesion, sampling=spacing)
        fading = (RIM_MM - distance) / (RIM_MM - FADE_MM)
        self.weight = _smooth_step(fading) * (inside | lesion)
        self.ring = inside & (distance > RIM_MM) & (distance <= RING_MM)
        self._healthy = inside & (distance > RIM_MM)

    def fill(self, other: Array, usable: Array) -> Array:
        """Blend in mirrored tissue where it is usable, otherwise local means of the surroundings."""
        matched = other * self._gain(other, usable)
        filling = self.weight > 0
        weights = np.where(filling, usable, self._healthy)
        values = np.where(filling, matched, self.data)
        tissue = usable * matched + (1 - usable) * self._local_mean(values, weights, SMOOTH_MM)
        return np.where(filling, self.data + self.weight * (tissue - self.data), self.data)

    def _gain(self, other: Array, usable: Array) -> Array:
        """Return the local intensity ratio of healthy tissue to mirrored tissue of the same type."""
        pairs = self.ring & (usable > 0.99) & (other > 0) & (self.data > 0)
        pairs &= (self.data < SAME_TISSUE * other) & (other < SAME_TISSUE * self.data)
        if not pairs.any():
            return np.ones_like(other)
        healthy, mirrored = (self._local_mean(data, pairs, MATCH_MM) for data in (self.data, other))
        return healthy / mirrored

    def _local_mean(self, values: Array, mask: NDArray, extent_mm: float) -> Array:
        """Return the local mean of the values in a mask; far from the mask, the mean over the mask."""
        weights = np.asarray(mask, np.float32)
        if not weights.any():
            return np.zeros_like(values)
        overall = float((values * weights).sum() / weights.sum())
        sigma = extent_mm / self._spacing
        local = ndimage.gaussian_filter(values * weights, sigma) + 1e-3 * overall
        return local / (ndimage.gaussian_filter(weights, sigma) + 1e-3)
