"""Layers of the interactive viewer, quantized on one grid."""

import gzip
from base64 import b64encode
from dataclasses import dataclass

import nibabel as nib
import numpy as np
from matplotlib import colormaps
from matplotlib.colors import to_hex
from nibabel.affines import voxel_sizes
from nibabel.spaces import vox2out_vox
from scipy import ndimage

from bids_stroke.reports.figures.figures import OUTLINE
from bids_stroke.spatial import image
from bids_stroke.spatial.grid import regrid, resample

MARGIN_MM = 15  # of the head that is kept around the brain
FINEST_MM = 1.0
#: As in the figures: the darkest fifth would drown in the brain.
RAMP = tuple(to_hex(color) for color in colormaps["plasma"](np.linspace(0.2, 1, 9)))
TRACT = ("#0f766e", OUTLINE, "#ccfff5")
LEVELS = (256, 128, 64, 32)  # of gray: the first that fits


@dataclass(frozen=True)
class Layer:
    """What is drawn: ``img`` on the grid of the viewer, its values from ``low`` to ``high`` in
    ``colors`` (gray without any). ``unit`` is written behind a value; a mask has none."""

    title: str
    img: nib.Nifti1Image
    low: float
    high: float
    colors: tuple = ()
    opacity: float = 1.0
    shown: bool = True
    unit: str | None = None


def field(img, brain_img):
    """Cut the field of a viewer out of an image.

    Parameters
    ----------
    img, brain_img : nib.Nifti1Image
        An image, and the mask of its brain.

    Returns
    -------
    tuple of (nib.Nifti1Image, ndarray of bool, nib.Nifti1Image)
        The image along the axes of the world, its voxels no finer than ``FINEST_MM``, in the box
        around what is within ``MARGIN_MM`` of the brain; which of its voxels are; and the mask on
        this grid.
    """
    grid = image.conform(img)
    zooms = voxel_sizes(grid.affine)
    if zooms.min() < 0.99 * FINEST_MM:
        zooms = np.maximum(zooms, FINEST_MM)
        grid = regrid(grid, zooms)
    if not np.allclose(grid.affine[:3, :3], np.diag(zooms), atol=1e-4):
        shape, affine = vox2out_vox(grid, np.full(3, zooms.min()))
        upright = nib.Nifti1Image(np.broadcast_to(np.uint8(0), shape), affine)
        grid = resample(grid, upright, order=3)
    brain = mask_on_grid(brain_img, grid)
    outside = np.asanyarray(brain.dataobj) == 0
    near = ndimage.distance_transform_edt(outside, voxel_sizes(grid.affine)) <= MARGIN_MM
    (box,) = ndimage.find_objects(near.astype(np.uint8))
    return grid.slicer[box], near[box], brain.slicer[box]


def background(title, img, near, brain_img):
    """Make the gray layer of an image: black where it is not ``near`` the brain, clipped at the
    extremes, its window from the 0.5 to the 99.5 percentile of the brain."""
    data = img.get_fdata(dtype=np.float32)
    least, most = np.percentile(data[near], (0.1, 99.9))
    inside = data[np.asanyarray(brain_img.dataobj) > 0]
    low, high = np.percentile(inside if inside.size else data, (0.5, 99.5))
    clipped = np.where(near, np.clip(data, least, most), least)
    return Layer(title, image.like(clipped, img, np.float32), float(low), float(high))


def packed(img, levels=LEVELS[0]):
    """Write an image as gzipped NIfTI in Base64: integers as they are, anything else in so many
    ``levels`` between its extremes (one byte a voxel, the header tells the scale)."""
    data = np.asanyarray(img.dataobj)
    if np.issubdtype(data.dtype, np.integer):
        out = nib.Nifti1Image(data, img.affine)
    else:
        low, step = data.min(), np.ptp(data) / (levels - 1) or 1
        out = nib.Nifti1Image(low + step * np.round((data - low) / step), img.affine)
        out.set_data_dtype(np.uint8)
    return b64encode(gzip.compress(out.to_bytes(), mtime=0)).decode()


def mask_on_grid(mask_img, grid):
    """A mask on another grid: linear, then at least one half."""
    return image.like(resample(mask_img, grid).get_fdata() >= 0.5, grid, np.uint8)
