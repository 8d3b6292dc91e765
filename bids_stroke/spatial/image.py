"""Images: open, check, load, conform, save.

Arrays are in nibabel's order (x, y, z); world coordinates are RAS, in mm.
"""

import gzip
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import nibabel as nib
import numpy as np
from nibabel.spatialimages import SpatialImage
from numpy.typing import ArrayLike, DTypeLike, NDArray

from bids_stroke.errors import ImageError
from bids_stroke.utils.files import PathLike, atomic

from . import headers


def open_image(path: PathLike, orientation: str | None = None) -> nib.Nifti1Image:
    """Open an image without reading its voxels, and without any check.

    Parameters
    ----------
    path : path
    orientation : {"RAS", "LAS"}, optional
        Directions of the axes of an image whose header states none.

    Raises
    ------
    ImageError
        If the file is not a NIfTI image.
    """
    img = nib.load(path)
    if not isinstance(img, nib.Nifti1Image):
        raise ImageError(f"{path} is not a NIfTI image; convert it.")
    return _oriented(img, orientation) if orientation else img


def check_header(path: PathLike, orientation: str | None = None) -> None:
    """Check all of a file of the user that can be checked without reading its voxels.

    Parameters
    ----------
    path, orientation
        As for :func:`bids_stroke.spatial.image.load_scan`.

    Raises
    ------
    ImageError
        If the file is missing or no image, its header states more voxels than it can hold, or the
        image is not 3D, has no orientation, no usable affine, too few voxels, or a field of view of no
        head's size.
    """
    path = Path(path)
    headers.check_head(headers.open_checked(path, orientation), path)


def load(path: PathLike) -> nib.Nifti1Image:
    """Load a 3D image.

    A trailing axis of length one is dropped.

    Raises
    ------
    ImageError
        If the file is missing, unreadable, damaged, not 3D, not finite, or has no orientation or no
        usable affine.
    """
    path = Path(path)
    return _read(headers.open_checked(path), path, None)


def load_supplied(path: PathLike, orientation: str | None = None) -> nib.Nifti1Image:
    """Load a mask or a map of the user, as :func:`bids_stroke.spatial.image.load`.

    Parameters
    ----------
    path : path
    orientation : {"RAS", "LAS"}, optional
        Directions of the axes of an image whose header states none. Such an image has its center at
        the origin: this does for scans and for masks that were drawn on them, but not in a template.

    Raises
    ------
    ImageError
        Also if it has too few voxels, or a field of view of no head's size.
    """
    path = Path(path)
    img = headers.open_checked(path, orientation)
    headers.check_head(img, path)
    return _read(img, path, orientation)


def load_scan(path: PathLike, orientation: str | None = None) -> nib.Nifti1Image:
    """Load a raw scan of a head, as :func:`bids_stroke.spatial.image.load_supplied`.

    Raises
    ------
    ImageError
        Also if it has no contrast.
    """
    img = load_supplied(path, orientation)
    data = np.asanyarray(img.dataobj)
    if data.min() == data.max():
        raise ImageError(f"{path} holds the value {data.flat[0]:g} alone; export it again.")
    return img


@contextmanager
def undamaged(img: SpatialImage, path: PathLike) -> Iterator[SpatialImage]:
    """Yield an opened image for reading in one pass; at the end, compare a compressed file with the
    checksum behind its content, which nibabel, that stops at the last voxel, does not read.

    Raises
    ------
    ImageError
        If the file cannot be read, or was damaged in copying.
    """
    if not (str(path).endswith(".gz") and isinstance(img, nib.Nifti1Image)):
        yield img
        return
    with gzip.open(path) as stream:
        try:
            opened = type(img).from_stream(stream)
        except Exception as error:
            raise headers.unreadable(Path(path), error) from None
        yield opened
        try:
            while stream.read(1 << 24):
                pass
        except (OSError, EOFError, zlib.error) as error:
            raise ImageError(f"{path} is damaged ({error}); copy it again.") from None


def _read(img: SpatialImage, path: Path, orientation: str | None) -> nib.Nifti1Image:
    """Read the voxels of an opened image."""
    with undamaged(img, path) as opened:
        try:
            data = np.asanyarray(opened.dataobj)
        except Exception as error:
            raise headers.unreadable(path, error) from None
    if data.ndim == 4:
        data = data[..., 0]
    if data.dtype.kind == "f" and not np.isfinite(data).all():
        raise ImageError(f"{path} holds NaN or infinite voxels; replace them and try again.")
    image = _oriented(img, orientation, storable(data))
    image.set_filename(str(path))
    return image


def _oriented(
    img: SpatialImage, orientation: str | None, data: NDArray | None = None
) -> nib.Nifti1Image:
    """An image with the assumed orientation where its header has none, and with ``data`` if given."""
    affine = headers.affine_of(img, orientation)
    header = img.header.copy() if isinstance(img, nib.Nifti1Image) else None
    if header is not None and data is not None and not is_storable(header.get_data_dtype()):
        header.set_data_dtype(data.dtype)
    image = nib.Nifti1Image(img.dataobj if data is None else data, affine, header)
    if orientation and not headers.has_orientation(img):
        image.set_sform(affine, 1)
    return image


def is_storable(kind: np.dtype) -> bool:
    """Whether programs read and write images of a type."""
    return kind.kind in "iuf" and (kind.itemsize < 8 or kind == np.float64) and kind != np.float16


def storable(array: NDArray) -> NDArray:
    """An array in the byte order of the machine, and in a type that programs read and write: the one
    place that chooses a type for the voxels of users' files.

    >>> [storable(np.zeros(1, kind)).dtype.name for kind in ("int64", "bool", "float16", ">i2")]
    ['int32', 'uint8', 'float32', 'int16']
    """
    kind = array.dtype.newbyteorder("=")
    if not is_storable(kind):
        kind = _storable_type(array)
    return array.astype(kind, copy=False)


def _storable_type(array: NDArray) -> np.dtype:
    kind = array.dtype
    if kind.kind == "b":
        return np.dtype(np.uint8)
    if kind == np.float16:
        return np.dtype(np.float32)
    limits = np.iinfo(np.int32)
    if kind.kind in "iu" and (
        not array.size or (array.min() >= limits.min and array.max() <= limits.max)
    ):
        return np.dtype(np.int32)
    return np.dtype(np.float64)


def save(img: nib.Nifti1Image, path: PathLike) -> Path:
    """Write ``img`` to ``path`` (``.nii.gz``) atomically and return the path."""
    with atomic(path) as partial:
        nib.save(img, partial)
    return Path(path)


def like(
    array: ArrayLike, reference: nib.Nifti1Image, dtype: DTypeLike | None = None
) -> nib.Nifti1Image:
    """Make an image of ``array`` on the grid of ``reference``, of type ``dtype`` if given.

    The codes of qform and sform are those of ``reference``, or 1 where it has none; the unit is mm. A
    qform cannot hold an affine with shears: its code is 0.
    """
    array = np.asarray(array)
    array = storable(array.astype(dtype or array.dtype, copy=False))
    img = nib.Nifti1Image(array, reference.affine)
    # The codes alone: the qform of a file may be no rotation, which nibabel cannot read. The header
    # rounds to single precision: the affine in memory stays the very one of reference.
    for name, set_form in (("sform_code", img.set_sform), ("qform_code", img.set_qform)):
        set_form(reference.affine, int(reference.header[name]) or 1, update_affine=False)
    distance = headers.largest_distance(img.shape, img.get_qform(), reference.affine)
    if distance > headers.SAME_GRID_VOXELS * headers.smallest_side(reference.affine):
        img.set_qform(None, 0, update_affine=False)
    img.header.set_xyzt_units("mm")
    return img


def conform(img: nib.Nifti1Image) -> nib.Nifti1Image:
    """Reorder the axes of ``img`` to the closest RAS orientation, without interpolation."""
    canonical = nib.as_closest_canonical(img)
    if img.get_filename():
        canonical.set_filename(img.get_filename())
    return canonical


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
