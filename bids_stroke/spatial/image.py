"""Opening, checking, loading, conforming and saving of images.

Arrays are in the order of nibabel (x, y, z); world coordinates are RAS, in mm.
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
    """Open an image without reading its voxels and without checking it.

    Parameters
    ----------
    path : path
    orientation : {"RAS", "LAS"}, optional
        Orientation to assume if the header has none.

    Raises
    ------
    ImageError
        If the file cannot be read, or is not a NIfTI image.
    """
    try:
        img = nib.load(path)
    except Exception as error:
        raise headers.unreadable_error(Path(path), error) from None
    if not isinstance(img, nib.Nifti1Image):
        raise ImageError(f"{path} is not a NIfTI image; convert it to NIfTI.")
    return _oriented(img, orientation) if orientation else img


def check_header(path: PathLike, orientation: str | None = None) -> None:
    """Check a user-supplied image as far as possible without reading its voxels.

    Parameters
    ----------
    path, orientation
        See :func:`bids_stroke.spatial.image.load_scan`.

    Raises
    ------
    ImageError
        If the file is missing or is not an image, if its header declares more voxels than the file can
        contain, or if the image is not 3D or has no orientation, no usable affine, too few voxels, or a
        field of view that is not the size of a head.
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
    """Load a user-supplied mask or map, with the checks of :func:`bids_stroke.spatial.image.load`.

    Parameters
    ----------
    path : path
    orientation : {"RAS", "LAS"}, optional
        Orientation to assume if the header has none. The center of such an image is placed at the
        origin, which is valid for scans and for masks drawn on scans, but not in a template space.

    Raises
    ------
    ImageError
        Also if the image has too few voxels, or a field of view that is not the size of a head.
    """
    path = Path(path)
    img = headers.open_checked(path, orientation)
    headers.check_head(img, path)
    return _read(img, path, orientation)


def load_scan(path: PathLike, orientation: str | None = None) -> nib.Nifti1Image:
    """Load a raw scan of a head, with the checks of
    :func:`bids_stroke.spatial.image.load_supplied`.

    Raises
    ------
    ImageError
        Also if all voxels have the same value.
    """
    img = load_supplied(path, orientation)
    data = np.asanyarray(img.dataobj)
    if data.min() == data.max():
        raise ImageError(f"{path} has the value {data.flat[0]:g} in every voxel; export it again.")
    return img


@contextmanager
def verified(img: SpatialImage, path: PathLike) -> Iterator[SpatialImage]:
    """Yield an opened image for reading in one pass, then verify the checksum of a compressed file.

    The checksum follows the voxels; nibabel stops at the last voxel and does not read it.

    Raises
    ------
    ImageError
        If the file cannot be read, or does not match its checksum.
    """
    if not (str(path).endswith(".gz") and isinstance(img, nib.Nifti1Image)):
        yield img
        return
    with gzip.open(path) as stream:
        try:
            opened = type(img).from_stream(stream)
        except Exception as error:
            raise headers.unreadable_error(Path(path), error) from None
        yield opened
        try:
            while stream.read(1 << 24):
                pass
        except (OSError, EOFError, zlib.error) as error:
            raise ImageError(f"{path} is damaged ({error}); copy it again.") from None


def _read(img: SpatialImage, path: Path, orientation: str | None) -> nib.Nifti1Image:
    """Read the voxels of an opened image."""
    with verified(img, path) as opened:
        try:
            data = np.asanyarray(opened.dataobj)
        except Exception as error:
            raise headers.unreadable_error(path, error) from None
    if data.ndim == 4:
        data = data[..., 0]
    if data.dtype.kind == "f" and not np.isfinite(data).all():
        raise ImageError(f"{path} contains NaN or infinite voxels; replace them and try again.")
    image = _oriented(img, orientation, to_storable(data))
    image.set_filename(str(path))
    return image


def _oriented(
    img: SpatialImage, orientation: str | None, data: NDArray | None = None
) -> nib.Nifti1Image:
    """Return an image with ``data`` if given, and with ``orientation`` if its header has none."""
    affine = headers.affine_of(img, orientation)
    header = img.header.copy() if isinstance(img, nib.Nifti1Image) else None
    if header is not None and data is not None and not is_storable(header.get_data_dtype()):
        header.set_data_dtype(data.dtype)
    image = nib.Nifti1Image(img.dataobj if data is None else data, affine, header)
    if orientation and not headers.has_orientation(img):
        image.set_sform(affine, 1)
    return image


def is_storable(dtype: np.dtype) -> bool:
    """Return whether neuroimaging software reads and writes images of a data type."""
    return dtype.kind in "iuf" and (dtype.itemsize < 8 or dtype == np.float64) and dtype != np.float16


def to_storable(array: NDArray) -> NDArray:
    """Convert an array to native byte order and to a data type that neuroimaging software supports.

    This function alone chooses the data type of the voxels of user-supplied files.

    >>> [to_storable(np.zeros(1, dtype)).dtype.name for dtype in ("int64", "bool", "float16", ">i2")]
    ['int32', 'uint8', 'float32', 'int16']
    """
    dtype = array.dtype.newbyteorder("=")
    if not is_storable(dtype):
        dtype = _storable_type(array)
    return array.astype(dtype, copy=False)


def _storable_type(array: NDArray) -> np.dtype:
    dtype = array.dtype
    if dtype.kind == "b":
        return np.dtype(np.uint8)
    if dtype == np.float16:
        return np.dtype(np.float32)
    limits = np.iinfo(np.int32)
    if dtype.kind in "iu" and (
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
    """Return an image of ``array`` on the grid of ``reference``, converted to ``dtype`` if given.

    The qform and sform codes are those of ``reference``, or 1 if these are 0; the unit is mm. A qform
    cannot represent shears: for an affine with shears its code is 0.
    """
    array = np.asarray(array)
    array = to_storable(array.astype(dtype or array.dtype, copy=False))
    img = nib.Nifti1Image(array, reference.affine)
    # Read only the codes: nibabel cannot read a qform that is not a rotation. The header rounds to
    # single precision, so do not update the affine in memory, which stays equal to that of reference.
    for name, set_form in (("sform_code", img.set_sform), ("qform_code", img.set_qform)):
        set_form(reference.affine, int(reference.header[name]) or 1, update_affine=False)
    distance = headers.largest_distance(img.shape, img.get_qform(), reference.affine)
    if distance > headers.SAME_GRID_TOLERANCE_VOXELS * headers.smallest_side(reference.affine):
        img.set_qform(None, 0, update_affine=False)
    img.header.set_xyzt_units("mm")
    return img


def conform(img: nib.Nifti1Image) -> nib.Nifti1Image:
    """Reorder the axes of ``img`` to the closest RAS orientation, without interpolation.

    >>> las = nib.Nifti1Image(np.arange(3, dtype=np.int16).reshape(3, 1, 1), np.diag([-1, 1, 1, 1]))
    >>> conform(las).get_fdata().ravel().tolist()
    [2.0, 1.0, 0.0]
    """
    canonical = nib.as_closest_canonical(img)
    if img.get_filename():
        canonical.set_filename(img.get_filename())
    return canonical


def restore(img: nib.Nifti1Image, original: nib.Nifti1Image) -> nib.Nifti1Image:
    """Reorder the axes of an image in RAS order to those of ``original``.

    This is the exact inverse of :func:`bids_stroke.spatial.image.conform`; the affine is that of
    ``original``.
    """
    forward = nib.io_orientation(original.affine)
    inverse = nib.orientations.ornt_transform([[0, 1], [1, 1], [2, 1]], forward)
    return like(nib.apply_orientation(np.asanyarray(img.dataobj), inverse), original)


def zscore(data: ArrayLike, mask: ArrayLike) -> NDArray[np.float32]:
    """Standardize ``data`` over ``mask`` (mean 0, standard deviation 1), zero outside the mask.

    Parameters
    ----------
    data, mask : array-like of the same shape
        Intensities, and mask (values above 0 are inside).

    Raises
    ------
    ImageError
        If all values in the mask are equal, or the mask is empty.

    Examples
    --------
    >>> zscore([10, 20, 99], mask=[1, 1, 0]).tolist()
    [-1.0, 1.0, 0.0]
    """
    data = np.asarray(data, np.float32)
    mask = np.asarray(mask) > 0
    inside = data[mask]
    if not inside.size or inside.min() == inside.max():
        raise ImageError(
            "The brain mask is empty, or the image is constant inside it, so the image cannot be "
            "standardized; check the brain mask."
        )
    return np.where(mask, (data - inside.mean()) / inside.std(), 0).astype(np.float32)
