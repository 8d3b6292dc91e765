"""ANTs images, and application of ANTs transforms to images and points."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import nibabel as nib
import numpy as np
from nibabel.affines import from_matvec, voxel_sizes

from bids_stroke.utils.files import PathLike, atomic

from . import image
from .masks import from_fractions, to_fractions

if TYPE_CHECKING:  # slow to load
    from ants import ANTsImage, ANTsTransform

#: Matrix from world coordinates of NIfTI (RAS) to those of ITK (LPS), and back.
LPS = np.diag([-1.0, -1.0, 1.0])


def to_ants(img: nib.Nifti1Image) -> "ANTsImage":
    """Convert a 3D nibabel image to an ANTs image (float32)."""
    import ants

    zooms = voxel_sizes(img.affine)
    return ants.from_numpy(
        img.get_fdata(dtype=np.float32),
        origin=list(LPS @ img.affine[:3, 3]),
        spacing=[float(zoom) for zoom in zooms],
        direction=LPS @ (img.affine[:3, :3] / zooms),
    )


def move_points(points: np.ndarray, transforms: Sequence[PathLike]) -> np.ndarray:
    """Map points from the space of one image to the space of another.

    Parameters
    ----------
    points : ndarray, (n, 3)
        Points (RAS, mm).
    transforms : sequence of path
        Transforms in the order in which they are applied to the points. A transform that maps images
        from A to B maps points from B to A.

    Returns
    -------
    ndarray, (n, 3)
    """
    import ants
    import pandas as pd

    moved = pd.DataFrame(np.reshape(points, (-1, 3)) @ LPS, columns=list("xyz"))
    for path in transforms if len(moved) else ():
        moved = ants.apply_transforms_to_points(3, moved, [os.fspath(path)])
    return moved[list("xyz")].to_numpy() @ LPS


def point_matrix(path: PathLike) -> np.ndarray:
    """Return the matrix (4, 4) by which a linear transform maps points (RAS, mm).

    A transform that maps images from A to B maps points from B to A.
    """
    origin, *axes = move_points(np.vstack([np.zeros(3), np.eye(3)]), [path])
    return from_matvec(np.column_stack(axes) - origin[:, None], origin)


def write_matrix(matrix: np.ndarray, path: Path) -> Path:
    """Write the linear transform that maps points (RAS, mm) by a matrix (4, 4)."""
    import ants

    parameters = [*(LPS @ matrix[:3, :3] @ LPS).ravel(), *(LPS @ matrix[:3, 3])]
    transform = ants.create_ants_transform(
        transform_type="AffineTransform",
        dimension=3,
        parameters=list(map(float, parameters)),
        fixed_parameters=[0.0, 0.0, 0.0],
    )
    return write_transform(transform, path)


def write_transform(transform: "ANTsTransform", path: Path) -> Path:
    """Write a transform atomically and return its path."""
    import ants

    with atomic(path) as partial:
        ants.write_transform(transform, str(partial))
    return path


#: Interpolation for each kind of image.
_INTERPOLATION = {
    "image": "bSpline",
    "probability": "linear",
    "mask": "linear",
    "labels": "nearestNeighbor",
}


def apply(
    img: nib.Nifti1Image,
    reference: nib.Nifti1Image,
    transforms: Sequence[PathLike],
    kind: Literal["image", "probability", "mask", "labels"] = "image",
) -> nib.Nifti1Image:
    """Resample ``img`` to the grid of ``reference`` through ``transforms``, with one interpolation.

    Parameters
    ----------
    img, reference : nib.Nifti1Image
        Images on any grids.
    transforms : sequence of path
        Transforms in the order in which they are applied to the image.
    kind : {"image", "probability", "mask", "labels"}
        Kind of image, which determines the interpolation: B-spline, clipped to the range of ``img``;
        linear; covered fractions of voxels, converted to a mask that keeps the volume
        (:mod:`bids_stroke.spatial.masks`); nearest neighbor.

    Returns
    -------
    nib.Nifti1Image
        Image on the grid of ``reference``; uint8 for masks, otherwise float32.
    """
    import ants

    moved = ants.apply_transforms(
        to_ants(reference),
        to_ants(to_fractions(img, reference) if kind == "mask" else img),
        # ANTs applies the last transform first.
        [os.fspath(path) for path in reversed(transforms)],
        interpolator=_INTERPOLATION[kind],
    ).numpy()
    if kind == "mask":
        return image.like(from_fractions(moved), reference, np.uint8)
    if kind == "image":
        data = np.asanyarray(img.dataobj)
        moved = np.clip(moved, data.min(), data.max())
    return image.like(moved, reference, np.float32)
