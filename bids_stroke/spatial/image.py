"""Images: open, check, load, conform, save.

Arrays are in nibabel's order (x, y, z); world coordinates are RAS, in mm.
"""

import gzip
import math
import zlib
from collections.abc import Iterable
from pathlib import Path

import nibabel as nib
import numpy as np
from nibabel.affines import voxel_sizes
from nibabel.spatialimages import SpatialImage
from numpy.typing import ArrayLike, DTypeLike, NDArray

from bids_stroke.errors import ImageError
from bids_stroke.utils.files import PathLike, atomic, missing_content_reason

#: A scan of a head has at least so many voxels along each axis, and a field of view (mm) within these.
FEWEST_VOXELS = 8
FIELD_OF_VIEW_MM = (40, 600)
#: Bytes that one byte of a compressed file can hold at most (RFC 1951: 258 of two bits).
DEFLATE_AT_MOST = 1032


def open_image(path: PathLike) -> nib.Nifti1Image:
    """Open an image without reading its voxels, and without any check.

    Raises
    ------
    ImageError
        If the file is not a NIfTI image.
    """
    img = nib.load(path)
    if not isinstance(img, nib.Nifti1Image):
        raise ImageError(f"{path} is not a NIfTI image; convert it.")
    return img


def check_header(path: PathLike) -> None:
    """Check all of a scan of a head that can be checked without reading its voxels.

    Raises
    ------
    ImageError
        If the file is missing or no image, its header states more voxels than it can hold, or the
        image is not 3D, has no usable affine, too few voxels, or a field of view of no head's size.
    """
    path = Path(path)
    _check_head(_open_checked(path), path)


def load(path: PathLike) -> nib.Nifti1Image:
    """Load a 3D image.

    A trailing axis of length one is dropped.

    Raises
    ------
    ImageError
        If the file is missing, unreadable, not 3D, not finite, or has no usable affine.
    """
    path = Path(path)
    return _read(_open_checked(path), path)


def load_scan(path: PathLike) -> nib.Nifti1Image:
    """Load a raw scan of a head, as :func:`bids_stroke.spatial.image.load`.

    Raises
    ------
    ImageError
        Also if it was damaged in copying, has too few voxels, no contrast, or voxels of no head's size.
    """
    path = Path(path)
    header = _open_checked(path)
    _check_head(header, path)
    if path.name.endswith(".gz") and isinstance(header, nib.Nifti1Image):
        img = _read_whole_gzip(type(header), path)
    else:
        img = _read(header, path)
    data = np.asanyarray(img.dataobj)
    if data.min() == data.max():
        raise ImageError(f"{path} holds the value {data.flat[0]:g} alone; export it again.")
    return img


def _open_checked(path: Path) -> SpatialImage:
    """Open an image and check its file and its header."""
    if reason := missing_content_reason(path):
        raise ImageError(reason)
    if not path.exists():
        raise ImageError(f"{path} does not exist; check the path.")
    if not path.is_file():  # a pipe would be waited for
        raise ImageError(f"{path} cannot be read as an image: it is no file; remove it.")
    try:
        img = nib.load(path)
        if not isinstance(img, SpatialImage):
            raise ValueError("it holds no volume")
        _check_size(img, path)
    except Exception as error:
        raise _unreadable(path, error) from None
    _check_volume(img, path)
    return img


def _unreadable(path: Path, error: Exception) -> ImageError:
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
        raise ValueError(f"its header tells of {shape} voxels, which the file does not hold")


def _check_volume(img: SpatialImage, path: Path) -> None:
    """Refuse an image that is not 3D, not of real numbers, or without usable affine."""
    shape = _shape(img)
    if len(shape) != 3:
        raise ImageError(f"{path} has shape {shape}, but a 3D image is needed; extract one volume.")
    kind = img.get_data_dtype()
    if not np.issubdtype(kind, np.number) or np.issubdtype(kind, np.complexfloating):
        raise ImageError(f"{path} holds {kind} voxels; convert it to one real number each.")
    if not (np.isfinite(img.affine).all() and abs(np.linalg.det(img.affine[:3, :3])) > 1e-6):
        raise ImageError(f"{path} has no usable affine (sform/qform); set its orientation.")


def _check_head(img: SpatialImage, path: Path) -> None:
    """Refuse an image that has too few voxels for a head, or none of a head's size."""
    shape = _shape(img)
    if min(shape) < FEWEST_VOXELS:
        raise ImageError(
            f"{path} has {format_shape(shape)} voxels, too few for a head; give a whole 3D image."
        )
    field, (low, high) = np.array(shape) * voxel_sizes(img.affine), FIELD_OF_VIEW_MM
    if field.min() < low or field.max() > high:
        raise ImageError(
            f"{path} covers {format_shape(field)} mm, which is no head; check the voxel sizes in its "
            "header."
        )


def _shape(img: SpatialImage) -> tuple[int, ...]:
    """Shape of an image without a trailing axis of length one."""
    return img.shape[:3] if len(img.shape) == 4 and img.shape[3] == 1 else img.shape


def _read(img: SpatialImage, path: Path) -> nib.Nifti1Image:
    """Read the voxels of an opened image."""
    try:
        data = np.asanyarray(img.dataobj)
    except Exception as error:
        raise _unreadable(path, error) from None
    if data.ndim == 4:
        data = data[..., 0]
    if data.dtype.kind == "f" and not np.isfinite(data).all():
        raise ImageError(f"{path} holds NaN or infinite voxels; replace them and try again.")
    header = img.header.copy() if isinstance(img, nib.Nifti1Image) else None
    image = nib.Nifti1Image(data, img.affine, header)
    image.set_filename(str(path))
    return image


def _read_whole_gzip(kind: type[nib.Nifti1Image], path: Path) -> nib.Nifti1Image:
    """Read an image in one pass to the end of its file, where gzip compares the content with a
    checksum; nibabel stops at the last voxel."""
    with gzip.open(path) as stream:
        try:
            opened = kind.from_stream(stream)
        except Exception as error:
            raise _unreadable(path, error) from None
        img = _read(opened, path)
        try:
            while stream.read(1 << 24):
                pass
        except (OSError, EOFError, zlib.error) as error:
            raise ImageError(f"{path} is damaged ({error}); copy it again.") from None
    return img


def save(img: nib.Nifti1Image, path: PathLike) -> Path:
    """Write ``img`` to ``path`` (``.nii.gz``) atomically and return the path."""
    with atomic(path) as partial:
        nib.save(img, partial)
    return Path(path)


def like(
    array: ArrayLike, reference: nib.Nifti1Image, dtype: DTypeLike | None = None
) -> nib.Nifti1Image:
    """Make an image of ``array`` on the grid of ``reference``, of type ``dtype`` if given.

    The codes of qform and sform are those of ``reference``, or 1 where it has none; the unit is mm.
    """
    array = np.asarray(array)
    array = array.astype(dtype or array.dtype, copy=False)
    img = nib.Nifti1Image(array, reference.affine)
    _, qcode = reference.header.get_qform(coded=True)
    _, scode = reference.header.get_sform(coded=True)
    # The header rounds to single precision: the affine in memory stays the very one of reference.
    img.set_sform(reference.affine, int(scode) or 1, update_affine=False)
    img.set_qform(reference.affine, int(qcode) or 1, update_affine=False)
    img.header.set_xyzt_units("mm")
    return img


def conform(img: nib.Nifti1Image) -> nib.Nifti1Image:
    """Reorder the axes of ``img`` to the closest RAS orientation, without interpolation."""
    canonical = nib.as_closest_canonical(img)
    if img.get_filename():
        canonical.set_filename(img.get_filename())
    return canonical


def format_shape(numbers: Iterable[float]) -> str:
    """Write sides of a grid, in voxels or mm, as ``2×3×4``."""
    return "×".join(f"{number:.4g}" for number in numbers)


def restore(img: nib.Nifti1Image, original: nib.Nifti1Image) -> nib.Nifti1Image:
    """Bring an image in RAS order back to the axis order of ``original``: the exact inverse of
    :func:`bids_stroke.spatial.image.conform`, with the very affine of ``original``."""
    forward = nib.io_orientation(original.affine)
    inverse = nib.orientations.ornt_transform([[0, 1], [1, 1], [2, 1]], forward)
    return like(nib.apply_orientation(np.asanyarray(img.dataobj), inverse), original)


def zscore(data: ArrayLike, mask: ArrayLike) -> NDArray[np.float32]:
    """Standardize ``data`` over ``mask`` (mean 0, standard deviation 1), zero outside the mask.

    Raises
    ------
    ImageError
        If all values in the mask are equal, or the mask is empty.
    """
    data = np.asarray(data, np.float32)
    mask = np.asarray(mask) > 0
    inside = data[mask]
    if not inside.size or inside.min() == inside.max():
        raise ImageError("The brain mask covers no contrast, so it cannot be standardized.")
    return np.where(mask, (data - inside.mean()) / inside.std(), 0).astype(np.float32)
