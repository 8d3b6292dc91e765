"""Filling of a lesion at full resolution, with skull, for programs that expect an intact head."""

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

#: Width of the rim around a lesion that is filled, too, because it is partly lesion: the filling fades
#: out from ``FADE_MM`` on, and beyond the rim nothing changes.
RIM_MM, FADE_MM = 3.0, 1.0
#: Healthy tissue up to this distance from the lesion sets the brightness of the mirrored tissue.
RING_MM = 20.0
#: Extent of the local means that match the brightness, and of those that stand in for tissue.
MATCH_MM, SMOOTH_MM = 10.0, 6.0
#: Mirrored tissue may come from this far outside the brain mask: no brain is symmetric.
OUTSIDE_MM = 2.0
#: Pairs of voxels whose intensities differ by a larger factor are not of one tissue.
SAME_TISSUE = 1.5

Array = NDArray[np.float32]


class Filling(NamedTuple):
    """A filled image, and the volumes (mm³) of the lesion that were filled by mirrored tissue, and by
    means of the surroundings where the mirrored place is lesioned or outside the brain."""

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
    """Fill a lesion with the mirrored tissue of the other hemisphere.

    Each voxel goes through the normalization to a template whose sides part at x = 0, to the other
    side, and back: there the image is interpolated, once. The brightness of the mirrored tissue is
    matched to the surroundings of the lesion by local means. Outside the lesion the filling fades out
    within :data:`bids_stroke.spatial.lesion_filling.RIM_MM`, inside the brain; all other voxels are
    unchanged. Where the mirrored place is lesioned, too, or lies outside the brain, local means of the
    surroundings take the lesion's place.

    Parameters
    ----------
    img : nib.Nifti1Image
        Bias-corrected head.
    brain, lesion : nib.Nifti1Image
        Masks on its grid.
    to_template, from_template : Path
        Transforms that bring the image to the template and back.

    Returns
    -------
    Filling
    """
    hurt = np.asanyarray(lesion.dataobj) > 0
    if not hurt.any():
        return Filling(image.like(img.get_fdata(dtype=np.float32), img), 0.0, 0.0)
    filled = img.get_fdata(dtype=np.float32).copy()
    spacing = voxel_sizes(img.affine)
    inside = np.asanyarray(brain.dataobj) > 0
    box = bounding_box(hurt, np.ceil(RING_MM / spacing).astype(int))
    near = _Neighborhood(filled[box], inside[box], hurt[box], spacing)
    indices = np.argwhere(near.weight + near.ring > 0)
    points = apply_affine(img.affine, indices + [side.start for side in box])
    places = apply_affine(np.linalg.inv(img.affine), _mirrored(points, to_template, from_template))
    values = _sample(filled, places, order=3)
    health = _health(inside, hurt, places, spacing)
    other, usable = (np.zeros(near.data.shape, np.float32) for _ in range(2))
    other[tuple(indices.T)], usable[tuple(indices.T)] = values, health
    filled[box] = near.fill(other, usable)
    voxel_mm3 = float(voxel_volume(img))
    mirrored_mm3 = float(usable[near.lesion].sum()) * voxel_mm3
    return Filling(
        image.like(filled, img), mirrored_mm3, np.count_nonzero(hurt) * voxel_mm3 - mirrored_mm3
    )


def _mirrored(points: np.ndarray, to_template: Path, from_template: Path) -> np.ndarray:
    """Places of points on the other side of the head."""
    # A transform of images brings points the other way.
    across = move_points(points, [from_template]) * (-1, 1, 1)
    return move_points(across, [to_template])


def _sample(data: NDArray, places: np.ndarray, order: int) -> Array:
    """Interpolate an array at voxel coordinates, within its range; 0 outside of it."""
    values = ndimage.map_coordinates(data, places.T, np.float32, order, mode="constant")
    return np.clip(values, data.min(), data.max())


def _health(
    inside: NDArray[np.bool_], hurt: NDArray[np.bool_], places: np.ndarray, spacing: Sequence[float]
) -> Array:
    """How far places are usable: 1 in the healthy brain, fading to 0 towards a lesion and outside the
    brain."""
    from_lesion = ndimage.distance_transform_edt(~hurt, sampling=spacing).astype(np.float32)
    from_brain = ndimage.distance_transform_edt(~inside, sampling=spacing).astype(np.float32)
    within = np.all((places >= 0) & (places <= np.array(inside.shape) - 1), axis=1)
    healthy = _sample(from_lesion, places, order=1) / RIM_MM
    covered = 1 - (_sample(from_brain, places, order=1) - OUTSIDE_MM) / RIM_MM
    return _smooth_step(np.minimum(healthy, covered)) * within


def _smooth_step(values: NDArray) -> Array:
    """Map 0 to 1 onto itself, flat at both ends; values outside become the nearest end."""
    clipped = np.clip(values, 0, 1)
    return (clipped**2 * (3 - 2 * clipped)).astype(np.float32)


class _Neighborhood:
    """A lesion and the tissue around it.

    ``weight`` is the share of the filling in each voxel, ``ring`` the healthy tissue around.
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
        """Blend mirrored tissue in, where it is usable, and means of the surroundings elsewhere."""
        matched = other * self._gain(other, usable)
        filling = self.weight > 0
        known = np.where(filling, usable, self._healthy)
        around = np.where(filling, matched, self.data)
        tissue = usable * matched + (1 - usable) * self._local_mean(around, known, SMOOTH_MM)
        return np.where(filling, self.data + self.weight * (tissue - self.data), self.data)

    def _gain(self, other: Array, usable: Array) -> Array:
        """Local brightness of healthy tissue over that of the mirrored tissue of the same kind."""
        pairs = self.ring & (usable > 0.99) & (other > 0) & (self.data > 0)
        pairs &= (self.data < SAME_TISSUE * other) & (other < SAME_TISSUE * self.data)
        if not pairs.any():
            return np.ones_like(other)
        here, there = (self._local_mean(values, pairs, MATCH_MM) for values in (self.data, other))
        return here / there

    def _local_mean(self, values: Array, mask: NDArray, extent_mm: float) -> Array:
        """Mean of the values in a mask around each voxel; far from the mask, the mean of all."""
        weights = np.asarray(mask, np.float32)
        if not weights.any():
            return np.zeros_like(values)
        whole = float((values * weights).sum() / weights.sum())
        sigma = extent_mm / self._spacing
        near = ndimage.gaussian_filter(values * weights, sigma) + 1e-3 * whole
        return near / (ndimage.gaussian_filter(weights, sigma) + 1e-3)
