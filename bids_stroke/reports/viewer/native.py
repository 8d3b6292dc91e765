"""Grid of the reference image of a session, as it is stored, for drawing."""

from pathlib import Path
from typing import NamedTuple

import nibabel as nib
import numpy as np
from nibabel.affines import voxel_sizes
from numpy.typing import NDArray
from scipy import ndimage

from bids_stroke.errors import ImageError
from bids_stroke.spatial import image
from bids_stroke.spatial.grid import bounding_box, same_grid
from bids_stroke.spatial.headers import has_orientation, shape_of

from .layers import MARGIN_MM, MIN_ZOOM_MM

_DATA_OFFSET = 352  # bytes before the voxels of a NIfTI file without extensions


class DrawingField(NamedTuple):
    """Part of the grid of the reference image in which a lesion is drawn.

    Attributes
    ----------
    img : nib.Nifti1Image
        Reference image in RAS order, cropped, not resampled.
    near : ndarray of bool
        Voxels near the brain.
    brain_img : nib.Nifti1Image
        Brain mask.
    mask : ndarray of uint8
        Lesion mask of the session, (x, y, z).
    box : tuple of slice
        Position in the image in RAS order.
    """

    img: nib.Nifti1Image
    near: NDArray[np.bool_]
    brain_img: nib.Nifti1Image
    mask: NDArray[np.uint8]
    box: tuple[slice, ...]


def drawing_field(
    img: nib.Nifti1Image, brain_img: nib.Nifti1Image, mask_img: nib.Nifti1Image
) -> DrawingField:
    """Crop images on the same grid to the voxels within ``MARGIN_MM`` of the brain, and the lesion.

    The axes are reordered to RAS; there is no interpolation.
    """
    img, brain_img, mask_img = map(image.conform, (img, brain_img, mask_img))
    mask = (np.asanyarray(mask_img.dataobj) > 0).astype(np.uint8)
    near = near_brain(np.asanyarray(brain_img.dataobj) > 0, voxel_sizes(img.affine))
    box = bounding_box(near | (mask > 0))
    return DrawingField(img.slicer[box], near[box], brain_img.slicer[box], mask[box], box)


def near_brain(brain: NDArray[np.bool_], zooms: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return voxels that are at most ``MARGIN_MM`` from a brain mask; the whole image if it is empty.

    Distances on a fine grid are computed on every second, third… voxel, which takes less memory. The
    margin is smaller by the largest error.
    """
    if not brain.any():
        return np.ones(brain.shape, bool)
    steps = np.maximum(np.floor(MIN_ZOOM_MM / zooms + 0.01), 1).astype(int)
    coarse = brain[tuple(slice(None, None, step) for step in steps)]
    if not coarse.any():
        coarse, steps = brain, np.ones(3, int)
    reach = MARGIN_MM - np.linalg.norm((steps - 1) * zooms)
    near = ndimage.distance_transform_edt(~coarse, steps * zooms) <= reach
    for axis, step in enumerate(steps):
        near = near.repeat(step, axis) if step > 1 else near
    return near[tuple(map(slice, brain.shape))]


def mask_header(img: nib.Nifti1Image, raw: str | None) -> bytes:
    """Return the bytes before the voxels of a mask on the grid of the reference image.

    Parameters
    ----------
    img : nib.Nifti1Image
        Reference image among the derivatives.
    raw : str or None
        Path of the raw reference image. Orientation, voxel sizes and units are those of its header, or
        those of ``img`` if the file is missing, is not NIfTI-1, or has no orientation.

    Returns
    -------
    bytes
        Header of an image of uint8, and the marker that no extension follows.
    """
    header = (_raw_header(img, raw) or img.header).as_byteswapped("<")
    header.set_data_dtype(np.uint8)
    if shape_of(img) != header.get_data_shape():
        header.set_data_shape(shape_of(img))
    numbers = {"scl_slope": 1, "scl_inter": 0, "cal_min": 0, "cal_max": 0, "intent_code": 0}
    texts = {"magic": b"n+1", "descrip": b"", "aux_file": b"", "db_name": b"", "intent_name": b""}
    for name, value in (numbers | {"vox_offset": _DATA_OFFSET}).items():
        header[name] = value
    for name, text in texts.items():
        header[name] = text
    return bytes(header.binaryblock) + bytes(_DATA_OFFSET - header.sizeof_hdr)


def _raw_header(img: nib.Nifti1Image, raw: str | None) -> nib.Nifti1Header | None:
    if raw is None or not Path(raw).is_file():
        return None
    try:
        raw_img = image.open_image(raw)
    except ImageError:
        return None
    if isinstance(raw_img.header, nib.Nifti2Header) or not has_orientation(raw_img):
        return None
    has_shape = shape_of(raw_img) == shape_of(img)
    return raw_img.header if has_shape and same_grid(raw_img, img) else None


def stored_order(img: nib.Nifti1Image, box: tuple[slice, ...]) -> tuple[int, list[int]]:
    """Return the position of the first voxel of a box in the voxels of a file, and the steps to the
    next voxel along each axis of the image in RAS order.

    >>> las = nib.Nifti1Image(np.zeros((3, 4, 5), np.uint8), np.diag([-1, 1, 1, 1]))
    >>> stored_order(las, (slice(0, 3), slice(1, 4), slice(0, 5)))
    (5, [-1, 3, 12])
    """
    shape = shape_of(img)
    strides = np.cumprod([1, *shape[:2]])
    first, steps = 0, [0, 0, 0]
    for stored_axis, (axis, flip) in enumerate(nib.io_orientation(img.affine).astype(int)):
        steps[axis] = int(flip * strides[stored_axis])
        if flip < 0:
            first += int((shape[stored_axis] - 1) * strides[stored_axis])
    return first + sum(side.start * step for side, step in zip(box, steps, strict=True)), steps
