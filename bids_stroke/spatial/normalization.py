"""Normalization to a template by SyN (ANTs) in the presence of a lesion.

The lesion is excluded from the cost, or the brain is registered with the mirrored tissue of its other
side in the lesion's place.
"""

import shutil
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import nibabel as nib
import numpy as np
from nibabel.affines import from_matvec, voxel_sizes
from numpy.typing import DTypeLike, NDArray
from scipy import ndimage

from bids_stroke.settings import NORMALIZATIONS
from bids_stroke.utils import files

from . import image
from .enantiomorphic import fill, mirror
from .grid import blank, bounding_box, regrid, resample
from .linear_registration import register_linear
from .registration import SEED, SYN, register
from .templates import Template, template
from .transforms import to_ants

#: Warps are smooth: the registration runs on this grid, the results are applied on any.
WARP_SPACING_MM = 2.0
OUTLINE_WEIGHT = 0.2
#: Share of the brain that must be healthy for the lesion to be left out: the rest would lead nowhere.
LEAST_HEALTHY = 0.1
SHINE_MM = 8


def normalize(
    img: nib.Nifti1Image,
    brain: nib.Nifti1Image,
    lesion: nib.Nifti1Image,
    out: files.PathLike,
    target: Template | None = None,
    method: str = NORMALIZATIONS[0],
    seed: int = SEED,
) -> tuple[Path, Path]:
    """Register a brain to a template by SyN, without being led by the lesion.

    The patient is the fixed image, so that masks act on its own grid; brain masks drive a second,
    light metric, so that the outline fits where the lesion reaches the cortex.

    Parameters
    ----------
    img, brain : nib.Nifti1Image
        Bias-corrected image and its brain mask, RAS.
    lesion : nib.Nifti1Image
        Lesion mask, same grid; may be empty. One that leaves hardly any healthy tissue is as none.
    out : path
        Folder for ``to-template.h5`` and ``from-template.h5``.
    target : Template, optional
        Default :func:`bids_stroke.spatial.templates.template`.
    method : {"masked", "enantiomorphic"}
        The lesion excluded from the cost (cost-function masking, Brett et al. 2001), or replaced
        by the mirrored tissue of the other side (:func:`bids_stroke.spatial.enantiomorphic.fill`).
    seed : int
        Of the random numbers of the affine registration.

    Returns
    -------
    tuple of Path
        Transforms from the image to the template and back.
    """
    target = target or template()
    spacing = (WARP_SPACING_MM,) * 3
    cut = _crop(brain, margin_mm=12)
    mask = regrid(cut(brain, np.float32), spacing)
    inside = mask.get_fdata() > 0.5
    patient = image.like(regrid(cut(img), spacing).get_fdata() * inside, mask, np.float32)
    hole = resample(_dilated(cut(lesion)), mask, order=1).get_fdata() > 0.25
    if np.count_nonzero(inside & ~hole) < LEAST_HEALTHY * np.count_nonzero(inside):
        hole[:] = False
    patient = _smoothed_over(patient, inside, hole)
    around = ndimage.binary_dilation(inside, iterations=4)
    weight = image.like(around & ~hole, mask, np.float32)
    moving = _scaled(regrid(target.t1w, spacing))
    reference_brain = regrid(image.like(target.brain.get_fdata(), target.brain), spacing)
    outline = ("meansquares", to_ants(mask), to_ants(reference_brain), OUTLINE_WEIGHT, 0)
    with TemporaryDirectory() as folder:
        affine = register_linear(
            _scaled(patient), moving, "Affine", f"{folder}/affine", weight, seed=seed
        )
        if method == "enantiomorphic" and hole.any():
            other, usable = mirror(patient, inside, hole, Path(affine))
            patient, hole = fill(patient, inside, hole, other, usable)
            weight = image.like(around & ~hole, mask, np.float32)
        warp = register(
            to_ants(_scaled(patient)),
            to_ants(moving),
            type_of_transform="SyNOnly",
            initial_transform=affine,
            mask=to_ants(weight),
            multivariate_extras=[outline],
            write_composite_transform=True,
            outprefix=f"{folder}/syn",
            **SYN,
        )
        # The registration maps the template onto the patient; its inverse normalizes.
        return (
            _copy(warp.inverse[0], Path(out) / "to-template.h5"),
            _copy(warp.forward[0], Path(out) / "from-template.h5"),
        )


def _copy(source: str, path: Path) -> Path:
    with files.atomic(path) as partial:
        shutil.copyfile(source, partial)
    return path


def _crop(brain: nib.Nifti1Image, margin_mm: float) -> Callable[..., nib.Nifti1Image]:
    """Make a function that cuts images to the box of ``brain`` and a margin (padding if needed)."""
    margin = np.ceil(margin_mm / voxel_sizes(brain.affine)).astype(int)
    box = bounding_box(np.asanyarray(brain.dataobj) > 0)
    low = np.array([side.start for side in box]) - margin
    high = np.array([side.stop for side in box]) + margin
    grid = blank(high - low, brain.affine @ from_matvec(np.eye(3), low))

    def cut(img: nib.Nifti1Image, dtype: DTypeLike | None = None) -> nib.Nifti1Image:
        return image.like(resample(img, grid, order=0).dataobj, grid, dtype)

    return cut


def _dilated(lesion: nib.Nifti1Image) -> nib.Nifti1Image:
    """The rim of a lesion is not normal tissue either: exclude 3 mm more."""
    mask = np.asanyarray(lesion.dataobj) > 0
    if not mask.any():
        return image.like(mask, lesion, np.float32)
    distance = ndimage.distance_transform_edt(~mask, sampling=voxel_sizes(lesion.affine))
    return image.like(distance <= 3, lesion, np.float32)


def _smoothed_over(
    img: nib.Nifti1Image, brain: NDArray[np.bool_], hole: NDArray[np.bool_]
) -> nib.Nifti1Image:
    """Replace a lesion by the mean of its surroundings: the registration smooths images, and what a
    mask excludes would shine through beyond its border."""
    healthy = brain & ~hole
    sigma = SHINE_MM / voxel_sizes(img.affine)
    data = img.get_fdata(dtype=np.float32)
    # Far from anything healthy, the mean of the brain.
    near = ndimage.gaussian_filter(data * healthy, sigma) + 1e-3 * data[healthy].mean()
    weight = ndimage.gaussian_filter(healthy.astype(np.float32), sigma) + 1e-3
    return image.like(np.where(hole & brain, near / weight, data), img)


def _scaled(img: nib.Nifti1Image) -> nib.Nifti1Image:
    """Robust intensities in 0 to 1 for the registration."""
    data = img.get_fdata(dtype=np.float32)
    low, high = np.percentile(data[data != 0], (1, 99))
    scaled = np.clip((data - low) / (high - low), 0, 1) * 0.9 + 0.1
    return image.like(np.where(data != 0, scaled, 0), img, np.float32)
