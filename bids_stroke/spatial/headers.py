"""Checks of image files and headers: readability, orientation, size and affines."""

import math
from itertools import product
from pathlib import Path

import nibabel as nib
import numpy as np
from nibabel.affines import apply_affine, voxel_sizes
from nibabel.arrayproxy import ArrayProxy
from nibabel.spatialimages import SpatialImage

from bids_stroke.errors import ImageError
from bids_stroke.utils.files import missing_content_reason

#: Smallest number of voxels along each axis of a head, or of a mask or map of a head.
MIN_VOXELS = 8
#: Smallest and largest field of view (mm) of such an image along each axis.
FIELD_OF_VIEW_MM = (40, 600)
#: Largest compression ratio of deflate (RFC 1951: two bits for 258 bytes).
MAX_DEFLATE_RATIO = 1032
#: Distance (voxels) below which two affines are the same except for rounding.
SAME_GRID_TOLERANCE_VOXELS = 0.1
#: Distance (voxels) below which a mask is assigned the grid of its image: nearest-neighbor resampling
#: over less than half a voxel would not move any voxel.
FIT_TOLERANCE_VOXELS = 0.5


def open_checked(path: Path, orientation: str | None = None) -> SpatialImage:
    """Open an image, and check its file and header without reading the voxels.

    Parameters
    ----------
    path : Path
    orientation : {"RAS", "LAS"}, optional
        Orientation to assume if the header has none.

    Raises
    ------
    ImageError
        If the file is missing or is not an image, if its header declares more voxels than the file can
        contain, or if the image is not 3D, not real-valued, or has no orientation or no usable affine.
    """
    if reason := missing_content_reason(path):
        raise ImageError(reason)
    if not path.exists():
        raise ImageError(f"{path} does not exist; check the path.")
    if not path.is_file():  # reading a pipe would block
        raise ImageError(f"{path} cannot be read as an image: it is not a regular file; remove it.")
    try:
        img = nib.load(path)
        if not isinstance(img, SpatialImage):
            raise ValueError("it contains no volume")
        _check_size(img, path)
        _check_offset(img)
    except Exception as error:
        raise unreadable_error(path, error) from None
    _check_volume(img, path)
    check_affine(img, path, orientation)
    return img


def unreadable_error(path: Path, error: Exception) -> ImageError:
    """Return the error for an unreadable file, from any error of nibabel, zlib or the system."""
    reason = " ".join(str(error).split()) or type(error).__name__
    return ImageError(f"{path} cannot be read as an image ({reason}); convert or copy it again.")


def _check_size(img: SpatialImage, path: Path) -> None:
    """Refuse an image whose header declares more voxels than the file can contain, before memory is
    allocated for them."""
    shape = img.shape
    expected_bytes = math.prod(shape) * img.get_data_dtype().itemsize
    max_bytes = path.stat().st_size * (MAX_DEFLATE_RATIO if path.name.endswith("gz") else 1)
    if min(shape, default=0) < 1 or expected_bytes > max_bytes:
        voxels = "×".join(map(str, shape))
        raise ValueError(f"its header declares {voxels} voxels, which the file does not contain")


def _check_offset(img: SpatialImage) -> None:
    """Refuse a NIfTI file whose voxel data would start inside its header; nibabel accepts offset 0."""
    if isinstance(img, nib.Nifti1Image) and isinstance(img.dataobj, ArrayProxy):
        offset, minimum = img.dataobj.offset, img.header.single_vox_offset
        if offset < minimum:
            raise ValueError(f"its vox_offset is {offset}, but voxels start at byte {minimum} or later")


def _check_volume(img: SpatialImage, path: Path) -> None:
    """Refuse an image that is not 3D or not real-valued."""
    shape = shape_of(img)
    if len(shape) != 3:
        raise ImageError(f"{path} has shape {shape}, but a 3D image is required; extract one volume.")
    dtype = img.get_data_dtype()
    if not np.issubdtype(dtype, np.number) or np.issubdtype(dtype, np.complexfloating):
        raise ImageError(f"{path} has voxels of type {dtype}; convert it to one real number per voxel.")


def shape_of(img: SpatialImage) -> tuple[int, ...]:
    """Return the shape of an image without a trailing axis of length one.

    >>> shape_of(nib.Nifti1Image(np.zeros((2, 3, 4, 1)), np.eye(4)))
    (2, 3, 4)
    """
    return img.shape[:3] if len(img.shape) == 4 and img.shape[3] == 1 else img.shape


def check_affine(img: SpatialImage, path: Path, orientation: str | None = None) -> None:
    """Check that an image has a usable affine, and an orientation unless one is assumed.

    Raises
    ------
    ImageError
    """
    if not orientation and not has_orientation(img):
        raise ImageError(
            f"{path} has no orientation (its qform and sform codes are 0), so left and right are "
            "unknown; set its sform or, for a scan or a mask drawn on a scan, use --assume-orientation "
            "RAS or LAS."
        )
    if not is_usable_affine(affine_of(img, orientation)):
        raise ImageError(f"{path} has no usable affine (sform/qform); set its orientation.")


def is_usable_affine(affine: np.ndarray) -> bool:
    """Return whether an affine has 4 x 4 finite numbers and its voxels have a volume."""
    return bool(
        affine.shape == (4, 4)
        and np.isfinite(affine).all()
        and abs(np.linalg.det(affine[:3, :3])) > 1e-6
    )


def has_orientation(img: SpatialImage) -> bool:
    """Return whether the header defines an orientation; for NIfTI, by the qform and sform codes."""
    if not isinstance(img, nib.Nifti1Image):
        return True
    return bool(img.header["qform_code"] or img.header["sform_code"])


def affine_of(img: SpatialImage, orientation: str | None = None) -> np.ndarray:
    """Return the affine of an image; for an image without orientation, that of ``orientation``.

    Parameters
    ----------
    img : nibabel image
    orientation : {"RAS", "LAS"}, optional
        Assumed orientation: the first axis points to the right (RAS) or to the left (LAS), and the
        center of the image is the origin.
    """
    if not orientation or has_orientation(img):
        return np.asarray(img.affine)
    base = np.asarray(img.header.get_base_affine())  # nibabel's default is LAS
    return np.diag([-1.0, 1.0, 1.0, 1.0]) @ base if orientation == "RAS" else base


def check_head(img: SpatialImage, path: Path) -> None:
    """Check that an image has enough voxels for a head, and the size of a head.

    Raises
    ------
    ImageError
    """
    shape = shape_of(img)
    if min(shape[:3]) < MIN_VOXELS:
        raise ImageError(
            f"{path} has {format_shape(shape)} voxels, too few for a head; provide a complete 3D image."
        )
    field, (low, high) = np.array(shape[:3]) * voxel_sizes(img.affine), FIELD_OF_VIEW_MM
    if field.min() < low or field.max() > high:
        raise ImageError(
            f"{path} covers {format_shape(field)} mm, which is not the size of a head; check the voxel "
            "sizes in its header."
        )


def format_shape(numbers: np.ndarray | tuple[float, ...]) -> str:
    """Format the dimensions of a grid, in voxels or mm.

    >>> format_shape((160, 256, 256)), format_shape((1, 0.9375, 0.9375))
    ('160×256×256', '1×0.9375×0.9375')
    """
    return "×".join(f"{number:.4g}" for number in numbers)


def orientation_warning(path: Path, orientation: str | None = None) -> str | None:
    """Describe a missing or contradictory orientation in the header of an image.

    Parameters
    ----------
    path : Path
    orientation : {"RAS", "LAS"}, optional
        Orientation assumed if the header has none.

    Returns
    -------
    str or None
        None if the orientation is unambiguous, or if the header cannot be read.
    """
    try:
        img = nib.Nifti1Image.from_filename(path)
    except Exception:  # unreadable, or not NIfTI: loading the image reports the error
        return None
    qcode, scode = img.header["qform_code"], img.header["sform_code"]
    if not qcode and not scode:
        return (
            f"{path} has no orientation (its qform and sform codes are 0): {orientation} was assumed "
            "(--assume-orientation)."
        )
    if not (qcode and scode):
        return None
    sform = img.header.get_sform()
    try:
        distance = largest_distance(img.shape, img.header.get_qform(), sform)
    except ValueError:  # invalid quaternion
        distance = math.nan
    if distance <= FIT_TOLERANCE_VOXELS * smallest_side(sform):
        return None
    if math.isnan(distance):
        return f"{path} has a qform that is not a rotation: the sform was used."
    return f"{path} has a qform and an sform up to {distance:.4g} mm apart: the sform was used."


def largest_distance(shape: tuple[int, ...], affine: np.ndarray, other: np.ndarray) -> float:
    """Return the largest distance (mm) between two affines over a grid, which occurs at a corner.

    >>> largest_distance((11, 11, 11), np.eye(4), np.diag([1, 1, 1.5, 1]))
    5.0
    """
    corners = np.array(list(product(*((0, size - 1) for size in shape[:3]))))
    shifts = apply_affine(affine, corners) - apply_affine(other, corners)
    return float(np.linalg.norm(shifts, axis=1).max())


def smallest_side(affine: np.ndarray) -> float:
    """Return the smallest side of a voxel (mm).

    >>> smallest_side(np.diag([-1, 1, 3, 1]))
    1.0
    """
    return float(min(voxel_sizes(affine)))
