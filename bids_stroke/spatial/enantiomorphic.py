"""Enantiomorphic filling of a lesion (Nachev et al. 2008)."""

import os
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import nibabel as nib
import numpy as np
from nibabel.affines import from_matvec, voxel_sizes
from numpy.typing import NDArray
from scipy import ndimage

from . import image
from .grid import blank, resample
from .registration import SYN, register
from .transforms import LPS, apply, to_ants

#: Options for registering the two hemispheres of a brain: aligning large structures is enough.
MIRROR: Mapping[str, Any] = {**SYN, "reg_iterations": (30, 15, 0)}
#: Width of the healthy tissue around a lesion to which the filling is matched, and of the border over
#: which the filling is blended in.
RING_MM, BLEND_MM = 20, 4


def mirror(
    img: nib.Nifti1Image, brain: NDArray[np.bool_], lesion: NDArray[np.bool_], affine: Path
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Register the mirror image of a brain to the brain.

    The brain is flipped at the midsagittal plane of a template, and the flipped brain is registered to
    the brain by SyN, so that the hemispheres match around the lesion.

    Parameters
    ----------
    img : nib.Nifti1Image
        Brain.
    brain, lesion : ndarray of bool
        Masks on its grid.
    affine : path
        ANTs transform from points of the brain to points of a template with the midsagittal plane at
        x = 0.

    Returns
    -------
    ndarray
        The mirrored brain on the same grid.
    ndarray of bool
        Voxels of the mirrored brain that show healthy tissue.
    """
    to_template = _matrix(affine)
    flip = np.diag([-1.0, 1.0, 1.0, 1.0])
    flipped_grid = blank(img.shape, np.linalg.inv(to_template) @ flip @ to_template @ img.affine)

    def flipped(img: nib.Nifti1Image) -> nib.Nifti1Image:
        return image.like(resample(img, flipped_grid).dataobj, img)

    other, usable = flipped(img), flipped(image.like(brain & ~lesion, img, np.float32))
    # Registration smooths the images, which spreads the lesion beyond the mask: fill it roughly first.
    filled, _ = fill(img, brain, lesion, *_arrays(other, usable))
    both = image.like(brain & ~lesion & _arrays(other, usable)[1], img, np.float32)
    with TemporaryDirectory() as folder:
        transforms = register(
            to_ants(filled),
            to_ants(flipped(filled)),
            type_of_transform="SyNOnly",
            mask=to_ants(both),
            outprefix=f"{folder}/mirror",
            **MIRROR,
        ).forward[::-1]
        return _arrays(*(apply(side, img, transforms, "probability") for side in (other, usable)))


def _arrays(
    other: nib.Nifti1Image, usable: nib.Nifti1Image
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    return other.get_fdata(dtype=np.float32), usable.get_fdata() > 0.5


def _matrix(affine: Path) -> np.ndarray:
    """Read an ANTs affine as a 4×4 matrix for RAS points."""
    import ants

    transform = ants.read_transform(os.fspath(affine))
    parameters = np.array(transform.parameters)
    matrix, shift = parameters[:9].reshape(3, 3), parameters[9:]
    center = np.array(transform.fixed_parameters)
    lps = from_matvec(LPS)
    return lps @ from_matvec(matrix, shift + center - matrix @ center) @ lps


def fill(
    img: nib.Nifti1Image,
    brain: NDArray[np.bool_],
    lesion: NDArray[np.bool_],
    other: NDArray[np.float32],
    usable: NDArray[np.bool_],
) -> tuple[nib.Nifti1Image, NDArray[np.bool_]]:
    """Replace a lesion with mirrored tissue of the other hemisphere (enantiomorphic normalization,
    Nachev et al. 2008, NeuroImage 39:1215-1226).

    The mirrored tissue is scaled to the mean and standard deviation of the tissue around the lesion,
    and blended in at the border of the lesion.

    Parameters
    ----------
    img : nib.Nifti1Image
        Brain.
    brain, lesion : ndarray of bool
        Masks on its grid; the lesion mask includes the rim of the lesion.
    other, usable : ndarray
        Mirrored brain and its healthy voxels
        (:func:`bids_stroke.spatial.enantiomorphic.mirror`).

    Returns
    -------
    nib.Nifti1Image
        The filled brain.
    ndarray of bool
        Part of the lesion without healthy tissue in the other hemisphere, which is unchanged.
    """
    spacing = voxel_sizes(img.affine)
    data = img.get_fdata(dtype=np.float32)
    ring = ndimage.distance_transform_edt(~lesion, sampling=spacing) <= RING_MM
    ring &= brain & usable & ~lesion
    gain, shift = 1.0, 0.0
    if ring.any() and other[ring].std() > 0:
        gain = data[ring].std() / other[ring].std()
        shift = data[ring].mean() - gain * other[ring].mean()
    depth = ndimage.distance_transform_edt(lesion, sampling=spacing)
    weight = np.clip(depth / BLEND_MM, 0, 1) * (brain & usable)
    return image.like(data + weight * (gain * other + shift - data), img), lesion & ~usable
