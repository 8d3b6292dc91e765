"""Grid of head phantoms: axes, surfaces and random fields.

World coordinates are RAS, in mm.
"""

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
from scipy import ndimage

CORNERS = np.array([[-93, -128, -148], [93, 121, 107]])  # of the template's extended grid (mm)
COARSE = 3.0  # mm between the samples of random fields, independent of the resolution of the head
#: Coordinates or radii along three axes.
Triple: TypeAlias = Sequence[float] | np.ndarray


def grid_shape(resolution: float) -> tuple[int, ...]:
    """Return the shape of the template's extended grid."""
    return tuple(map(int, (CORNERS[1] - CORNERS[0]) // resolution + 1))


def grid_axes(resolution: float) -> tuple[np.ndarray, ...]:
    """Return the coordinates (mm) along the template's extended grid as three open arrays."""
    return np.ix_(
        *(
            np.float32(low) + np.arange(size, dtype=np.float32) * np.float32(resolution)
            for low, size in zip(CORNERS[0], grid_shape(resolution), strict=True)
        )
    )


def step(depth: np.ndarray, width: float) -> np.ndarray:
    """Return the fraction of a voxel of ``width`` mm inside a surface, at ``depth`` mm below it."""
    return np.clip(0.5 + depth / width, 0, 1)


def ellipsoid(center: Triple, radii: Triple, resolution: float) -> tuple[tuple[slice, ...], np.ndarray]:
    """Return the box around an ellipsoid (slices of the grid) and the approximate depth (mm) in it."""
    lines = [axis.ravel() for axis in grid_axes(resolution)]
    where = tuple(
        slice(*np.searchsorted(axis, (c - r - 4, c + r + 4)))
        for axis, c, r in zip(lines, center, radii, strict=True)
    )
    inner = np.ix_(*(axis[part] for axis, part in zip(lines, where, strict=True)))
    return where, (1 - radius(inner, center, radii)) * min(radii)


def radius(axes: Sequence[np.ndarray], center: Triple, radii: Triple) -> np.ndarray:
    """Return the distance from the center of an ellipsoid, 1 on its surface."""
    terms = zip(axes, center, radii, strict=True)
    return np.sqrt(sum(((axis - c) / r) ** 2 for axis, c, r in terms))


def random_field(width: float, rng: np.random.Generator) -> np.ndarray:
    """Draw a Gaussian random field of unit variance at ``COARSE`` spacing, smoothed by ``width`` mm."""
    field = rng.standard_normal(grid_shape(COARSE), dtype=np.float32)
    field = ndimage.gaussian_filter(field, width / COARSE)
    return field / field.std()


def enlarge(array: np.ndarray, shape: Sequence[int] | np.ndarray) -> np.ndarray:
    """Interpolate an array to ``shape`` with the first and last samples fixed."""
    return ndimage.zoom(array, np.divide(shape, array.shape), np.float32, order=1)
