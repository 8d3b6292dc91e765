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

#: One side of a brain to the other: large structures suffice.
MIRROR: Mapping[str, Any] = {**SYN, "reg_iterations": (30, 15, 0)}
#: The healthy tissue around a lesion that a filling is adjusted to, and the width of its border.
RING_MM, BLEND_MM = 20, 4


def mirror(
    img: nib.Nifti1Image, brain: NDArray[np.bool_], lesion: NDArray[np.bool_], affine: Path
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Bring the other side of a brain over its lesion: flipped through an affine to a template, then
    registered to the brain itself, so that the sides fit around the lesion.

    Parameters
    ----------
    img : nib.Nifti1Image
        Brain.
    brain, lesion : ndarray of bool
        Masks on its grid.
    affine : path
        ANTs transform from the points of the brain to a template whose sides part at x = 0.

    Returns
    -------
    ndarray
        The mirrored brain on the same grid.
    ndarray of bool
        Where it shows healthy tissue.
    """
    to_template = _matrix(affine)
    flip = np.diag([-1.0, 1.0, 1.0, 1.0])
    across = blank(img.shape, np.linalg.inv(to_template) @ flip @ to_template @ img.affine)

    def flipped(img: nib.Nifti1Image) -> nib.Nifti1Image:
        return image.like(resample(img, across).dataobj, img)

    other, usable = flipped(img), flipped(image.like(brain & ~lesion, img, np.float32))
    # A lesion would shine through the smoothing beyond the mask: the sides meet roughly filled.
    rough, _ = fill(img, brain, lesion, *_arrays(other, usable))
    both = image.like(brain & ~lesion & _arrays(other, usable)[1], img, np.float32)
    with TemporaryDirectory() as folder:
        fitted = register(
            to_ants(rough),
            to_ants(flipped(rough)),
            type_of_transform="SyNOnly",
            mask=to_ants(both),
            outprefix=f"{folder}/mirror",
            **MIRROR,
        ).forward[::-1]
        return _arrays(*(apply(side, img, fitted, "probability") for side in (other, usable)))


def _arrays(
    other: nib.Nifti1Image, usable: nib.Nifti1Image
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    return other.get_fdata(dtype=np.float32), usable.get_fdata() > 0.5


def _matrix(affine: Path) -> np.ndarray:
    """Read an ANTs affine as a matrix of RAS points."""
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
    """Replace a lesion by the mirrored tissue of the other side (enantiomorphic normalization,
    Nachev et al. 2008, NeuroImage 39:1215-1226).

    The tissue is given the mean and the standard deviation of what surrounds the lesion, and blended
    in at its border.

    Parameters
    ----------
    img : nib.Nifti1Image
        Brain.
    brain, lesion : ndarray of bool
        Masks on its grid, the lesion with its rim.
    other, usable : ndarray
        As :func:`bids_stroke.spatial.enantiomorphic.mirror` gives them.

    Returns
    -------
    nib.Nifti1Image
        The filled brain.
    ndarray of bool
        The part of the lesion without healthy tissue on the other side, left as it was.
    """
    spacing = voxel_sizes(img.affine)
    data = img.get_fdata(dtype=np.float32)
    around = ndimage.distance_transform_edt(~lesion, sampling=spacing) <= RING_MM
    around &= brain & usable & ~lesion
    gain, shift = 1.0, 0.0
    if around.any() and other[around].std() > 0:
        gain = data[around].std() / other[around].std()
        shift = data[around].mean() - gain * other[around].mean()
    depth = ndimage.distance_transform_edt(lesion, sampling=spacing)
    share = np.clip(depth / BLEND_MM, 0, 1) * (brain & usable)
    return image.like(data + share * (gain * other + shift - data), img), lesion & ~usable
