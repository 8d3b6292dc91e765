"""Image layers of the interactive viewer, quantized and on a common grid."""

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

MARGIN_MM = 15  # margin around the brain in which the head is shown
MIN_ZOOM_MM = 1.0
#: Sequential colormap, as in the figures.
RAMP = tuple(to_hex(color) for color in colormaps["plasma"](np.linspace(DARKEST, 1, 9)))
TRACT = ("#0f766e", OUTLINE, "#ccfff5")
#: Colormap of negative values.
COLD = tuple(to_hex(color) for color in colormaps["winter"](np.linspace(0, 1, 9)))
_COMPRESSION = 6  # gzip level; 9 takes longer for a file of almost the same size
LEVELS = (256, 128, 64, 32)  # numbers of gray levels; the first that fits is used


@dataclass(frozen=True)
class Layer:
    """Image shown in the viewer.

    Attributes
    ----------
    title : str
    img : nib.Nifti1Image
        Image on the grid of the viewer.
    low, high : float
        Values of the first and the last color.
    colors : tuple of str
        Colormap as ``#rrggbb``; empty for gray.
    opacity : float
        Initial opacity (0-1).
    shown : bool
        Whether the layer is visible initially.
    unit : str, optional
        Unit of the displayed value; None for masks.
    threshold : float, optional
        Smallest visible value initially, which the user can change; None for all values from ``low``.
    """

    title: str
    img: nib.Nifti1Image
    low: float
    high: float
    colors: tuple[str, ...] = ()
    opacity: float = 1.0
    shown: bool = True
    unit: str | None = None
    threshold: float | None = None


class ViewerField(NamedTuple):
    """Field of view of a viewer: image aligned with world axes, and on the same grid the mask of
    voxels near the brain and the brain mask."""

    img: nib.Nifti1Image
    near: NDArray[np.bool_]
    brain_img: nib.Nifti1Image


def field(img: nib.Nifti1Image, brain_img: nib.Nifti1Image) -> ViewerField:
    """Crop an image to the field of view of a viewer.

    Parameters
    ----------
    img, brain_img : nib.Nifti1Image
        Image and its brain mask.

    Returns
    -------
    ViewerField
        Bounding box of the voxels within ``MARGIN_MM`` of the brain, with a voxel size of at least
        ``MIN_ZOOM_MM``.
    """
    grid = image.conform(img)
    zooms = voxel_sizes(grid.affine)
    if zooms.min() < 0.99 * MIN_ZOOM_MM:
        zooms = np.maximum(zooms, MIN_ZOOM_MM)
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
    """Create the gray layer of an image.

    Voxels that are not ``near`` the brain are black. Intensities are clipped to the 0.1th and 99.9th
    percentiles; the window extends from the 0.5th to the 99.5th percentile of the brain.
    """
    data = img.get_fdata(dtype=np.float32)
    minimum, maximum = np.percentile(data[near], (0.1, 99.9))
    inside = data[np.asanyarray(brain_img.dataobj) > 0]
    low, high = np.percentile(inside if inside.size else data, (0.5, 99.5))
    clipped = np.where(near, np.clip(data, minimum, maximum), minimum)
    return Layer(title, image.like(clipped, img, np.float32), float(low), float(high))


def encode(img: nib.Nifti1Image, levels: int = LEVELS[0]) -> str:
    """Encode an image as gzipped NIfTI in Base64.

    Integers are unchanged. Other values are quantized to ``levels`` gray levels from minimum to maximum
    (one byte per voxel; the header contains the scale).
    """
    data = np.asanyarray(img.dataobj)
    if np.issubdtype(data.dtype, np.integer):
        out = nib.Nifti1Image(data, img.affine)
    else:
        low, step = data.min(), np.ptp(data) / (levels - 1) or 1
        out = nib.Nifti1Image(low + step * np.round((data - low) / step), img.affine)
        out.set_data_dtype(np.uint8)
    return b64encode(gzip.compress(out.to_bytes(), _COMPRESSION, mtime=0)).decode()
