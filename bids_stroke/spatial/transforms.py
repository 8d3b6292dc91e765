"""ANTs images, and application of ANTs transforms to images and points."""

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

import nibabel as nib
import numpy as np
from nibabel.affines import voxel_sizes

from bids_stroke.utils.files import PathLike

from . import image
from .masks import from_fractions, to_fractions

if TYPE_CHECKING:  # slow to load
    from ants import ANTsImage

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
