"""Slices of an image in world space: planes, fields of view, rows of slices."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, NamedTuple, TypeAlias

import nibabel as nib
import numpy as np
from nibabel.affines import apply_affine, voxel_sizes
from numpy.typing import NDArray
from scipy import ndimage

WIDTH = 1500  # width of a figure, pixels
GAP = 6  # smallest gap between panels, pixels
STEP = 0.8  # pixel spacing of a mosaic, mm
CLOSE_UP_WIDTH = 480  # width of a close-up, pixels
CLOSE_UP_MARGIN, CLOSE_UP_HALF_MIN = (
    10,
    28,
)  # margin around a lesion and smallest half field of view, mm
SAGITTAL, CORONAL, AXIAL = 0, 1, 2
PLANES = (AXIAL, CORONAL, SAGITTAL)
#: Kind of the world coordinates of slices.
Coordinates: TypeAlias = Literal["scanner", "template", "midpoint"]


@dataclass(frozen=True)
class Field:
    """Field of view in world space: a box, a margin around it, and the pixel spacing (mm)."""

    low: NDArray[np.floating]
    high: NDArray[np.floating]
    margin: float
    step: float = STEP

    def pixels(self, axis: int) -> tuple[NDArray[np.floating], NDArray[np.floating]]:
        """Return the world coordinates of rows and columns of slices perpendicular to ``axis``."""
        across, up = (other for other in range(3) if other != axis)
        low, high = self.low - self.margin, self.high + self.margin
        rows = np.arange(low[up], high[up], self.step)[::-1]
        return rows, np.arange(low[across], high[across], self.step)

    def shape(self, axis: int) -> tuple[int, int]:
        """Return the numbers of rows and columns of slices perpendicular to ``axis``."""
        rows, columns = self.pixels(axis)
        return rows.size, columns.size

    def columns(self, axis: int) -> int:
        """Return the number of slices perpendicular to ``axis`` that fit side by side."""
        return max(1, (WIDTH + GAP) // (self.shape(axis)[1] + GAP))

    def row(self, axis: int, positions: Iterable[float]) -> list["Cut"]:
        """Create a row of slices perpendicular to ``axis``."""
        return [Cut(self, axis, float(position)) for position in positions]

    def spread(self, axis: int, rows: int = 1) -> list[list["Cut"]]:
        """Create rows of slices over the entire field of view."""
        low, high = self.low[axis], self.high[axis]
        n = rows * self.columns(axis)
        positions = np.round(np.linspace(low + 0.1 * (high - low), high - 0.07 * (high - low), n))
        return [self.row(axis, part) for part in np.split(positions, rows)]

    def planes(self, axes: Iterable[int] = PLANES) -> list[list["Cut"]]:
        """Create a row of slices in each plane over the entire field of view."""
        return [row for axis in axes for row in self.spread(axis)]


class Cut(NamedTuple):
    """Slice perpendicular to world ``axis`` at ``position`` (mm)."""

    field: Field
    axis: int
    position: float


def section(
    img: nib.Nifti1Image, cut: Cut, order: int = 1, outside: float | None = None
) -> NDArray[np.float32]:
    """Sample a slice of ``img`` in world space, in display orientation.

    The value outside of the image is ``outside``, or the minimum of the image.

    Returns
    -------
    (rows, columns) float32 array
        The first row is superior (anterior in axial slices); the first column is left (posterior
        in sagittal slices).
    """
    rows, columns = cut.field.pixels(cut.axis)
    points = np.full((rows.size, columns.size, 3), cut.position)
    across, up = (other for other in range(3) if other != cut.axis)
    points[..., across] = columns
    points[..., up] = rows[:, None]
    voxels = np.moveaxis(apply_affine(np.linalg.inv(img.affine), points), -1, 0)
    data = img.get_fdata(dtype=np.float32)
    return ndimage.map_coordinates(
        data, voxels, order=order, cval=data.min() if outside is None else outside
    )


def field_of_view(img: nib.Nifti1Image, margin: float) -> Field:
    """Compute the box in world space around the bright voxels of ``img`` (a mask or a head)."""
    stride = np.maximum(np.round(2 / voxel_sizes(img.affine)), 1).astype(int)
    data = img.get_fdata(dtype=np.float32)[tuple(slice(None, None, step) for step in stride)]
    low, high = data.min(), max(np.percentile(data, 99.5), data.mean())
    bright = ndimage.binary_opening(data > low + 0.1 * (high - low))
    if not bright.any():
        bright = np.ones(data.shape, bool)
    points = apply_affine(img.affine, np.argwhere(bright) * stride)
    return Field(points.min(axis=0), points.max(axis=0), margin)


def close_up(mask_img: nib.Nifti1Image) -> list[Cut]:
    """Create a row of three large slices through the largest component of a mask, one per plane."""
    mask = np.asanyarray(mask_img.dataobj) > 0
    parts, _ = ndimage.label(mask)
    largest = np.argwhere(parts == np.argmax(np.bincount(parts[mask])))
    world = apply_affine(mask_img.affine, largest)
    center, half = (world.max(0) + world.min(0)) / 2, np.ptp(world, axis=0).max() / 2
    half = max(half + CLOSE_UP_MARGIN, CLOSE_UP_HALF_MIN)
    field = Field(center - half, center + half, 0, step=2 * half / CLOSE_UP_WIDTH)
    rounded = np.round(world)
    return [
        Cut(field, axis, float(values[np.argmax(counts)]))
        for axis in PLANES
        for values, counts in [np.unique(rounded[:, axis], return_counts=True)]
    ]


def through(mask_img: nib.Nifti1Image, axis: int, field: Field) -> list[Cut]:
    """Create a row of evenly spaced slices through a mask; slices without mask voxels are skipped."""
    voxels = np.argwhere(np.asanyarray(mask_img.dataobj) > 0)
    occupied = np.unique(np.round(apply_affine(mask_img.affine, voxels)[:, axis]))
    n = min(field.columns(axis), len(occupied))
    return field.row(axis, occupied[((np.arange(n) + 0.5) / n * len(occupied)).astype(int)])


def through_planes(mask_img: nib.Nifti1Image, field: Field) -> list[list[Cut]]:
    """Create a row of evenly spaced slices through a mask in each plane."""
    return [through(mask_img, axis, field) for axis in PLANES]
