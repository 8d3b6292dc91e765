"""Rendering of a brain in 3D: shaded surface, with the lesion visible through it."""

from typing import NamedTuple

import nibabel as nib
import numpy as np
from nibabel.spaces import vox2out_vox
from numpy.typing import NDArray
from scipy import ndimage

from bids_stroke.spatial import grid

from .palette import LESION, channels
from .slices import AXIAL, CORONAL, SAGITTAL
from .svg import unit

STEP = 1.0  # voxel size and pixel spacing, mm
_MARGIN = 3  # voxels around the brain
_TEXTURE = range(2, 9)  # depths (mm) below the surface whose mean intensity colors it
_OPAQUE_MM = 8  # thickness of a lesion that hides the brain behind it
_VISIBLE_MM = 60  # depth below the surface at which a lesion is fainter by a factor of e


class View(NamedTuple):
    """Direction of view: world axis, whether it starts at the upper end of the axis, and the letters
    of the left and the right edge."""

    name: str
    axis: int
    from_above: bool
    letters: tuple[str, str]


LEFT = View("from the left", SAGITTAL, False, ("A", "P"))
RIGHT = View("from the right", SAGITTAL, True, ("P", "A"))
BEHIND = View("from behind", CORONAL, False, ("L", "R"))
ABOVE = View("from above", AXIAL, True, ("L", "R"))


class Volumes(NamedTuple):
    """Image (0-1), brain mask and lesion mask on the same grid, aligned with the world axes."""

    image: NDArray[np.float32]
    brain: NDArray[np.bool_]
    lesion: NDArray[np.bool_]


def sample(
    background_img: nib.Nifti1Image, brain_img: nib.Nifti1Image, mask_img: nib.Nifti1Image
) -> Volumes:
    """Sample an image, its brain mask and its lesion mask on a grid of ``STEP`` around the brain."""
    inside = np.asanyarray(brain_img.dataobj) > 0
    cropped = brain_img.slicer[grid.bounding_box(inside, _MARGIN)]
    target = grid.blank(*vox2out_vox(cropped, (STEP,) * 3))
    image, brain, lesion = (
        np.asanyarray(grid.resample(img, target, order).dataobj)
        for img, order in ((background_img, 1), (brain_img, 1), (mask_img, 0))
    )
    low, high = np.percentile(image[brain > 0.5], (2, 98))
    return Volumes(unit(image, low, high), brain > 0.5, lesion > 0)


def render(volumes: Volumes, view: View) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """Render the surface of a brain and the lesion behind it.

    The surface is shaded by its slope and by the mean intensity below it, which shows sulci.

    Returns
    -------
    tuple of ((rows, columns, 3) uint8 array, (rows, columns) bool array)
        Red, green and blue, and the outline of the lesion.
    """
    image, brain, lesion = (_along_rays(volume, view) for volume in volumes)
    hit = brain.any(axis=0)
    surface = np.where(hit, brain.argmax(axis=0), len(brain) - 1)
    smooth = ndimage.gaussian_filter(surface.astype(np.float32), 1.5)
    slopes = np.gradient(smooth)
    slope = 1 / np.sqrt(1 + slopes[0] ** 2 + slopes[1] ** 2)
    depths = np.clip(surface + np.array(_TEXTURE)[:, None, None], 0, len(image) - 1)
    texture = np.take_along_axis(image, depths, axis=0).mean(axis=0)
    gray = 255 * (0.2 + 0.8 * slope) * (0.3 + 0.7 * texture) * hit
    thickness = lesion.sum(axis=0)
    below = np.clip(lesion.argmax(axis=0) - surface, 0, None)
    opacity = (1 - np.exp(-thickness / _OPAQUE_MM)) * np.exp(-below / _VISIBLE_MM)
    red = np.array(channels(LESION)) * ((0.3 + 0.7 * slope) * (0.6 + 0.4 * texture))[..., None]
    pixels = (1 - opacity[..., None]) * gray[..., None] + opacity[..., None] * red
    return np.clip(pixels, 0, 255).astype(np.uint8), thickness > 0


def _along_rays(volume: NDArray, view: View) -> NDArray:
    """Order the axes of a volume as depth, rows and columns of a view."""
    rays = np.moveaxis(volume, view.axis, 0)  # the other axes are in the order x, y, z
    if view.from_above:
        rays = rays[::-1]
    pixels = rays.transpose(0, 2, 1)[:, ::-1]
    return pixels[:, :, ::-1] if view is LEFT else pixels
