"""Layers of the interactive viewer, quantized on one grid."""

import gzip
from base64 import b64encode
from dataclasses import dataclass
from typing import NamedTuple

import nibabel as nib
import numpy as np
from matplotlib import colormaps
from matplotlib.colors import to_hex
from nibabel.affines import voxel_sizes
from nibabel.spaces import vox2out_vox
from numpy.typing import NDArray
from scipy import ndimage

from bids_stroke.reports.figures.palette import DARKEST, OUTLINE
from bids_stroke.spatial import image
from bids_stroke.spatial.grid import blank, bounding_box, regrid, resample
from bids_stroke.spatial.masks import resample_mask

MARGIN_MM = 15  # of the head that is kept around the brain
FINEST_MM = 1.0
#: Colors of values that increase, as in the figures.
RAMP = tuple(to_hex(color) for color in colormaps["plasma"](np.linspace(DARKEST, 1, 9)))
TRACT = ("#0f766e", OUTLINE, "#ccfff5")
LEVELS = (256, 128, 64, 32)  # of gray: the first that fits


@dataclass(frozen=True)
class Layer:
    """An image that the viewer shows.

    Attributes
    ----------
    title : str
    img : nib.Nifti1Image
        On the grid of the viewer.
    low, high : float
        Values that have the first and the last of ``colors``.
    colors : tuple of str
        ``#rrggbb``; gray without any.
    opacity : float
        0-1.
    shown : bool
        Whether it is shown at first.
    unit : str, optional
        Written behind a value; a mask has none.
    """

    title: str
    img: nib.Nifti1Image
    low: float
    high: float
    colors: tuple[str, ...] = ()
    opacity: float = 1.0
    shown: bool = True
    unit: str | None = None


class ViewerField(NamedTuple):
    """The field of a viewer: an image along the axes of the world, which of its voxels are near the
    brain, and the brain mask on its grid."""

    img: nib.Nifti1Image
    near: NDArray[np.bool_]
    brain_img: nib.Nifti1Image


def field(img: nib.Nifti1Image, brain_img: nib.Nifti1Image) -> ViewerField:
    """Cut the field of a viewer out of an image.

    Parameters
    ----------
    img, brain_img : nib.Nifti1Image
        An image, and the mask of its brain.

    Returns
    -------
    ViewerField
        Voxels no finer than ``FINEST_MM``, in the box around the voxels within ``MARGIN_MM`` of the
        brain.
    """
    grid = image.conform(img)
    zooms = voxel_sizes(grid.affine)
    if zooms.min() < 0.99 * FINEST_MM:
        zooms = np.maximum(zooms, FINEST_MM)
        grid = regrid(grid, zooms)
    if not np.allclose(grid.affine[:3, :3], np.diag(zooms), atol=1e-4):
        shape, affine = vox2out_vox(grid, np.full(3, zooms.min()))
        grid = resample(grid, blank(shape, affine), order=3)
    brain = resample_mask(brain_img, grid)
    outside = np.asanyarray(brain.dataobj) == 0
    near = ndimage.distance_transform_edt(outside, voxel_sizes(grid.affine)) <= MARGIN_MM
    box = bounding_box(near)
    return ViewerField(grid.slicer[box], near[box], brain.slicer[box])


def background(
    title: str, img: nib.Nifti1Image, near: NDArray[np.bool_], brain_img: nib.Nifti1Image
) -> Layer:
    """Make the gray layer of an image: black where it is not ``near`` the brain, clipped at the
    extremes, its window from the 0.5 to the 99.5 percentile of the brain."""
    data = img.get_fdata(dtype=np.float32)
    least, most = np.percentile(data[near], (0.1, 99.9))
    inside = data[np.asanyarray(brain_img.dataobj) > 0]
    low, high = np.percentile(inside if inside.size else data, (0.5, 99.5))
    clipped = np.where(near, np.clip(data, least, most), least)
    return Layer(title, image.like(clipped, img, np.float32), float(low), float(high))


def packed(img: nib.Nifti1Image, levels: int = LEVELS[0]) -> str:
    """Encode an image as gzipped NIfTI in Base64: integers unchanged, other values quantized to
    ``levels`` gray levels between the extremes (one byte a voxel; the header holds the scale)."""
    data = np.asanyarray(img.dataobj)
    if np.issubdtype(data.dtype, np.integer):
        out = nib.Nifti1Image(data, img.affine)
    else:
        low, step = data.min(), np.ptp(data) / (levels - 1) or 1
        out = nib.Nifti1Image(low + step * np.round((data - low) / step), img.affine)
        out.set_data_dtype(np.uint8)
    return b64encode(gzip.compress(out.to_bytes(), mtime=0)).decode()
