"""Headers of images: files that can be read, orientation, size; affines and their distances."""

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

#: A head, a mask or a map of it has at least so many voxels along each axis, and a field of view (mm)
#: within these.
FEWEST_VOXELS = 8
FIELD_OF_VIEW_MM = (40, 600)
#: Bytes that one byte of a compressed file can hold at most (RFC 1951: 258 of two bits).
DEFLATE_AT_MOST = 1032
#: Distance (in voxels) below which affines agree although they differ by rounding.
SAME_GRID_VOXELS = 0.1
#: The same for a mask that is put on the grid of its image: below half a voxel, resampling by the
#: nearest voxel would leave every voxel in its place.
FITTED_VOXELS = 0.5


def open_checked(path: Path, orientation: str | None = None) -> SpatialImage:
    """Open an image, and check its file and its header without reading the voxels.

    Parameters
    ----------
    path : Path
    orientation : {"RAS", "LAS"}, optional
        Directions of the axes of an image whose header states none.

    Raises
    ------
    ImageError
        If the file is missing or no image, its header states more voxels than it can hold, or the
        image is not 3D, not of real numbers, or has no orientation or no usable affine.
    """
    if reason := missing_content_reason(path):
        raise ImageError(reason)
    if not path.exists():
        raise ImageError(f"{path} does not exist; check the path.")
    if not path.is_file():  # a pipe would be waited for
        raise ImageError(f"{path} cannot be read as an image: it is not a regular file; remove it.")
    try:
        img = nib.load(path)
        if not isinstance(img, SpatialImage):
            raise ValueError("it holds no volume")
        _check_size(img, path)
        _check_offset(img)
    except Exception as error:
        raise unreadable(path, error) from None
    _check_volume(img, path)
    check_affine(img, path, orientation)
    return img


def unreadable(path: Path, error: Exception) -> ImageError:
    """Name what nibabel, zlib or the system raised: all errors mean an unreadable file."""
    reason = " ".join(str(error).split()) or type(error).__name__
    return ImageError(f"{path} cannot be read as an image ({reason}); convert or copy it again.")


def _check_size(img: SpatialImage, path: Path) -> None:
    """Refuse an image whose header states more voxels than the file can hold, before memory is taken
    for them."""
    sides = img.shape
    needed = math.prod(sides) * img.get_data_dtype().itemsize
    most = path.stat().st_size * (DEFLATE_AT_MOST if path.name.endswith("gz") else 1)
    if min(sides, default=0) < 1 or needed > most:
        shape = "×".join(map(str, sides))
        raise ValueError(f"its header states {shape} voxels, which the file does not hold")


def _check_offset(img: SpatialImage) -> None:
    """Refuse a NIfTI file whose voxels would begin inside its header; nibabel refuses all such offsets
    but 0."""
    if isinstance(img, nib.Nifti1Image) and isinstance(img.dataobj, ArrayProxy):
        offset, least = img.dataobj.offset, img.header.single_vox_offset
        if offset < least:
            raise ValueError(f"its vox_offset is {offset}, but voxels begin at byte {least} or later")


def _check_volume(img: SpatialImage, path: Path) -> None:
    """Refuse an image that is not 3D, or not of real numbers."""
    shape = shape_of(img)
    if len(shape) != 3:
        raise ImageError(f"{path} has shape {shape}, but a 3D image is needed; extract one volume.")
    kind = img.get_data_dtype()
    if not np.issubdtype(kind, np.number) or np.issubdtype(kind, np.complexfloating):
        raise ImageError(f"{path} holds {kind} voxels; convert it to one real number each.")


def shape_of(img: SpatialImage) -> tuple[int, ...]:
    """Shape of an image without a trailing axis of length one."""
    return img.shape[:3] if len(img.shape) == 4 and img.shape[3] == 1 else img.shape


def check_affine(img: SpatialImage, path: Path, orientation: str | None = None) -> None:
    """Refuse an image without orientation, unless one is assumed, or without usable affine."""
    if not orientation and not has_orientation(img):
        raise ImageError(
            f"{path} states no orientation (its qform and sform codes are 0), so that left and right "
            "are unknown; set its sform or, for a scan or a mask that was drawn on it, give "
            "--assume-orientation RAS or LAS."
        )
    affine = affine_of(img, orientation)
    if not (np.isfinite(affine).all() and abs(np.linalg.det(affine[:3, :3])) > 1e-6):
        raise ImageError(f"{path} has no usable affine (sform/qform); set its orientation.")


def has_orientation(img: SpatialImage) -> bool:
    """Return whether the header states where the image lies: NIfTI by the codes of qform and sform."""
    if not isinstance(img, nib.Nifti1Image):
        return True
    return bool(img.header["qform_code"] or img.header["sform_code"])


def affine_of(img: SpatialImage, orientation: str | None = None) -> np.ndarray:
    """Affine of an image; of one without orientation, that of the ``orientation`` that is assumed.

    Parameters
    ----------
    img : nibabel image
    orientation : {"RAS", "LAS"}, optional
        The first axis points to the right, or to the left; the center of the image is the origin.
    """
    if not orientation or has_orientation(img):
        return np.asarray(img.affine)
    base = np.asarray(img.header.get_base_affine())  # nibabel's default is LAS
    return np.diag([-1.0, 1.0, 1.0, 1.0]) @ base if orientation == "RAS" else base


def check_head(img: SpatialImage, path: Path) -> None:
    """Refuse an image that has too few voxels for a head, or not the size of one."""
    shape = shape_of(img)
    if min(shape[:3]) < FEWEST_VOXELS:
        raise ImageError(
            f"{path} has {format_shape(shape)} voxels, too few for a head; give a whole 3D image."
        )
    field, (low, high) = np.array(shape[:3]) * voxel_sizes(img.affine), FIELD_OF_VIEW_MM
    if field.min() < low or field.max() > high:
        raise ImageError(
            f"{path} covers {format_shape(field)} mm, which is no head; check the voxel sizes in its "
            "header."
        )


def format_shape(numbers: np.ndarray | tuple[float, ...]) -> str:
    """Write sides of a grid, in voxels or mm, as ``2×3×4``."""
    return "×".join(f"{number:.4g}" for number in numbers)


def orientation_remark(path: Path, orientation: str | None = None) -> str | None:
    """Describe a missing or contradictory orientation in the header of an image.

    Parameters
    ----------
    path : Path
    orientation : {"RAS", "LAS"}, optional
        That which is assumed where there is none.

    Returns
    -------
    str or None
        None if the orientation is clear, or if the header cannot be read.
    """
    try:
        img = nib.Nifti1Image.from_filename(path)
    except Exception:  # unreadable, or no NIfTI: loading it reports the error
        return None
    qcode, scode = img.header["qform_code"], img.header["sform_code"]
    if not qcode and not scode:
        return (
            f"{path} states no orientation (its qform and sform codes are 0): it was taken as "
            f"{orientation}, as --assume-orientation says."
        )
    if not (qcode and scode):
        return None
    sform = img.header.get_sform()
    try:
        distance = largest_distance(img.shape, img.header.get_qform(), sform)
    except ValueError:  # its quaternion is none
        distance = math.nan
    if distance <= FITTED_VOXELS * smallest_side(sform):
        return None
    if math.isnan(distance):
        return f"{path} has a qform that is no rotation: the sform was taken."
    return (
        f"{path} has a qform and an sform that are up to {distance:.4g} mm apart: the sform was taken."
    )


def largest_distance(shape: tuple[int, ...], affine: np.ndarray, other: np.ndarray) -> float:
    """Largest distance (mm) between two affines over a grid; it occurs at a corner."""
    corners = np.array(list(product(*((0, size - 1) for size in shape[:3]))))
    apart = apply_affine(affine, corners) - apply_affine(other, corners)
    return float(np.linalg.norm(apart, axis=1).max())


def smallest_side(affine: np.ndarray) -> float:
    """Smallest side of a voxel (mm)."""
    return float(min(voxel_sizes(affine)))
