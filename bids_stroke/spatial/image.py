"""Images on their grids: load, check, conform, resample, save.

Arrays are in nibabel's order (x, y, z); world coordinates are RAS, in mm.
"""

import gzip
import math
import zlib
from itertools import product
from pathlib import Path

import nibabel as nib
import numpy as np
from nibabel.affines import apply_affine, voxel_sizes

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
    if not isinstance(img, nib.Nifti1Image | nib.Nifti1Pair):
        raise ImageError(f"{path} is not a NIfTI image; convert it.")
    return img


def load(path):
    """Load a 3D image.

    A trailing axis of length one is dropped.

    Raises
    ------
    ImageError
        If the file is missing, unreadable, not 3D, not finite, or has no usable affine.
    """
    path = Path(path)
    if reason := missing_content_reason(path):
        raise ImageError(reason)
    if not path.exists():
        raise ImageError(f"{path} does not exist; check the path.")
    if not path.is_file():  # a pipe would be waited for
        raise ImageError(f"{path} cannot be read as an image: it is no file; remove it.")
    try:
        img = nib.load(path)
        _check_size(img, path)
        data = np.asanyarray(img.dataobj)
    except Exception as error:  # nibabel, zlib and OSError alike: all mean an unreadable file
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ImageError(
            f"{path} cannot be read as an image ({reason}); convert or copy it again."
        ) from None
    if data.ndim == 4 and data.shape[3] == 1:
        data = data[..., 0]
    if data.ndim != 3:
        raise ImageError(
            f"{path} has shape {data.shape}, but a 3D image is needed; extract one volume."
        )
    if not np.issubdtype(data.dtype, np.number) or np.iscomplexobj(data):
        raise ImageError(f"{path} holds {data.dtype} voxels; convert it to one real number each.")
    if data.dtype.kind == "f" and not np.isfinite(data).all():
        raise ImageError(f"{path} holds NaN or infinite voxels; replace them and try again.")
    affine = img.affine
    usable = np.isfinite(affine).all() and abs(np.linalg.det(affine[:3, :3])) > 1e-6
    if not usable:
        raise ImageError(f"{path} has no usable affine (sform/qform); set its orientation.")
    header = img.header.copy() if isinstance(img, nib.Nifti1Image) else None
    image = nib.Nifti1Image(data, affine, header)
    image.set_filename(str(path))
    return image


def _check_size(img, path):
    """Refuse an image whose header tells of more voxels than the file can hold, before memory is taken
    for them."""
    sides = img.header.get_data_shape()
    needed = math.prod(sides) * img.get_data_dtype().itemsize
    most = path.stat().st_size * (DEFLATE_AT_MOST if path.name.endswith("gz") else 1)
    if min(sides, default=0) < 1 or needed > most:
        told = "×".join(map(str, sides))
        raise ValueError(f"its header tells of {told} voxels, which the file does not hold")


def orientation_doubt(path):
    """Tell in a sentence why it is in doubt where in the world an image lies, left and right among it;
    None where it is clear, or where the header cannot be read."""
    try:
        header = nib.load(path).header
        qform, qcode = header.get_qform(coded=True)
        sform, scode = header.get_sform(coded=True)
    except Exception:  # unreadable, or no NIfTI: whoever loads it tells
        return None
    if not qcode and not scode:
        return f"{path} tells no orientation (qform and sform are not set): its axes are taken as RAS."
    if not (qcode and scode):
        return None
    corners = np.array(list(product(*((0, size - 1) for size in header.get_data_shape()[:3]))))
    apart = np.linalg.norm(apply_affine(qform, corners) - apply_affine(sform, corners), axis=1).max()
    if not apart > min(voxel_sizes(sform)) / 2:
        return None
    return f"{path} has a qform and an sform that are up to {apart:.4g} mm apart: the sform was taken."


def load_scan(path):
    """Load a raw scan of a head, as :func:`load`.

    Raises
    ------
    ImageError
        Also if it was damaged in copying, has too few voxels, no contrast, or voxels of no head's size.
    """
    img = load(path)
    _check_sum(path)
    data, mm = np.asanyarray(img.dataobj), voxel_sizes(img.affine)
    if min(img.shape) < FEWEST_VOXELS:
        raise ImageError(
            f"{path} has {format_shape(img.shape)} voxels, too few for a head; give a whole 3D image."
        )
    field, (low, high) = np.array(img.shape) * mm, FIELD_OF_VIEW_MM
    if field.min() < low or field.max() > high:
        raise ImageError(
            f"{path} covers {format_shape(field)} mm, which is no head; check the voxel sizes in its "
            "header."
        )
    if data.min() == data.max():
        raise ImageError(f"{path} holds the value {data.flat[0]:g} alone; export it again.")
    return img


def _check_sum(path):
    """Compare a compressed file with the checksum at its end, which nibabel does not come to."""
    if not str(path).endswith(".gz"):
        return
    try:
        with gzip.open(path) as stream:
            while stream.read(1 << 24):
                pass
    except (OSError, EOFError, zlib.error) as error:
        raise ImageError(f"{path} is damaged ({error}); copy it again.") from None


def save(img, path):
    """Write ``img`` to ``path`` (``.nii.gz``) atomically and return the path."""
    with atomic(path) as partial:
        nib.save(img, partial)
    return Path(path)


def like(array, reference, dtype=None):
    """Put ``array`` on the grid of ``reference`` (same first three axes), header units kept."""
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


def conform(img):
    """Reorder the axes of ``img`` to the closest RAS orientation, without interpolation."""
    canonical = nib.as_closest_canonical(img)
    if img.get_filename():
        canonical.set_filename(img.get_filename())
    return canonical


def format_shape(numbers):
    return "×".join(f"{number:.4g}" for number in numbers)


def restore(img, original):
    """Bring an image in RAS order back to the axis order of ``original``: the exact inverse of
    :func:`conform`, with the very affine of ``original``."""
    forward = nib.io_orientation(original.affine)
    inverse = nib.orientations.ornt_transform([[0, 1], [1, 1], [2, 1]], forward)
    return like(nib.apply_orientation(np.asanyarray(img.dataobj), inverse), original)


def zscore(data, mask):
    """Standardize ``data`` over ``mask`` (mean 0, standard deviation 1), zero outside the mask."""
    data = np.asarray(data, np.float32)
    mask = np.asarray(mask) > 0
    inside = data[mask]
    if not inside.size or inside.min() == inside.max():
        raise ImageError("The brain mask covers no contrast, so it cannot be standardized.")
    return np.where(mask, (data - inside.mean()) / inside.std(), 0).astype(np.float32)
