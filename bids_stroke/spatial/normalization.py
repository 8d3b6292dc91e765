"""Normalization to a template by SyN (ANTs) in the presence of a lesion.

The lesion is excluded from the cost (cost-function masking), or replaced by mirrored tissue of the
other hemisphere (enantiomorphic normalization).
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

#: Spacing of the registration. Warps are smooth, so they are applied to images of any spacing.
WARP_SPACING_MM = 2.0
#: Weight of the metric that aligns the brain masks.
OUTLINE_WEIGHT = 0.2
#: Smallest healthy fraction of the brain for which the lesion is excluded or replaced; with less, the
#: lesion is ignored, because the registration would fail.
MIN_HEALTHY_FRACTION = 0.1
#: Standard deviation (mm) of the Gaussian weights of the tissue that replaces a lesion.
SMOOTHING_MM = 8


def normalize(
    img: nib.Nifti1Image,
    brain: nib.Nifti1Image,
    lesion: nib.Nifti1Image,
    out: files.PathLike,
    target: Template | None = None,
    method: str = NORMALIZATIONS[0],
    seed: int = SEED,
) -> tuple[Path, Path]:
    """Register a brain to a template by SyN, without distortion by the lesion.

    The patient is the fixed image, so that masks apply on the grid of the patient. A second metric with
    a small weight compares brain masks, so that the outlines match where the lesion reaches the cortex.

    Parameters
    ----------
    img, brain : nib.Nifti1Image
        Bias-corrected image in RAS order, and its brain mask.
    lesion : nib.Nifti1Image
        Lesion mask on the same grid; may be empty. A lesion that leaves almost no healthy tissue is
        ignored.
    out : path
        Folder for ``to-template.h5`` and ``from-template.h5``.
    target : Template, optional
        Target template; default :func:`bids_stroke.spatial.templates.template`.
    method : {"masked", "enantiomorphic"}
        Whether to exclude the lesion from the cost (cost-function masking, Brett et al. 2001), or to
        replace it with mirrored tissue of the other hemisphere
        (:func:`bids_stroke.spatial.enantiomorphic.fill`).
    seed : int
        Seed of the affine registration.

    Returns
    -------
    tuple of Path
        Transforms from the image to the template and back.
    """
    target = target or template()
    spacing = (WARP_SPACING_MM,) * 3
    crop = _cropping(brain, margin_mm=12)
    mask = regrid(crop(brain, np.float32), spacing)
    inside = mask.get_fdata() > 0.5
    patient = image.like(regrid(crop(img), spacing).get_fdata() * inside, mask, np.float32)
    hole = resample(_dilate(crop(lesion)), mask, order=1).get_fdata() > 0.25
    if np.count_nonzero(inside & ~hole) < MIN_HEALTHY_FRACTION * np.count_nonzero(inside):
        hole[:] = False
    patient = _replace_by_local_mean(patient, inside, hole)
    around = ndimage.binary_dilation(inside, iterations=4)
    weight = image.like(around & ~hole, mask, np.float32)
    moving = _rescale(regrid(target.t1w, spacing))
    reference_brain = regrid(image.like(target.brain.get_fdata(), target.brain), spacing)
    outline = ("meansquares", to_ants(mask), to_ants(reference_brain), OUTLINE_WEIGHT, 0)
    with TemporaryDirectory() as folder:
        affine = register_linear(
            _rescale(patient), moving, "Affine", f"{folder}/affine", weight, seed=seed
        )
        if method == "enantiomorphic" and hole.any():
            other, usable = mirror(patient, inside, hole, Path(affine))
            patient, hole = fill(patient, inside, hole, other, usable)
            weight = image.like(around & ~hole, mask, np.float32)
        warp = register(
            to_ants(_rescale(patient)),
            to_ants(moving),
            type_of_transform="SyNOnly",
            initial_transform=affine,
            mask=to_ants(weight),
            multivariate_extras=[outline],
            write_composite_transform=True,
            outprefix=f"{folder}/syn",
            **SYN,
        )
        # The registration maps the template to the patient; its inverse normalizes the patient.
        return (
            _copy(warp.inverse[0], Path(out) / "to-template.h5"),
            _copy(warp.forward[0], Path(out) / "from-template.h5"),
        )


def _copy(source: str, path: Path) -> Path:
    with files.atomic(path) as partial:
        shutil.copyfile(source, partial)
    return path


def _cropping(brain: nib.Nifti1Image, margin_mm: float) -> Callable[..., nib.Nifti1Image]:
    """Return a function that crops images to the bounding box of ``brain`` plus a margin, and pads them
    if needed."""
    margin = np.ceil(margin_mm / voxel_sizes(brain.affine)).astype(int)
    box = bounding_box(np.asanyarray(brain.dataobj) > 0)
    low = np.array([side.start for side in box]) - margin
    high = np.array([side.stop for side in box]) + margin
    grid = blank(high - low, brain.affine @ from_matvec(np.eye(3), low))

    def crop(img: nib.Nifti1Image, dtype: DTypeLike | None = None) -> nib.Nifti1Image:
        return image.like(resample(img, grid, order=0).dataobj, grid, dtype)

    return crop


def _dilate(lesion: nib.Nifti1Image) -> nib.Nifti1Image:
    """Dilate a lesion by 3 mm, because its rim is not normal tissue either."""
    mask = np.asanyarray(lesion.dataobj) > 0
    if not mask.any():
        return image.like(mask, lesion, np.float32)
    distance = ndimage.distance_transform_edt(~mask, sampling=voxel_sizes(lesion.affine))
    return image.like(distance <= 3, lesion, np.float32)


def _replace_by_local_mean(
    img: nib.Nifti1Image, brain: NDArray[np.bool_], hole: NDArray[np.bool_]
) -> nib.Nifti1Image:
    """Replace a lesion by the local mean of its surroundings.

    The registration smooths images, which spreads masked intensities beyond the border of the mask.
    """
    healthy = brain & ~hole
    sigma = SMOOTHING_MM / voxel_sizes(img.affine)
    data = img.get_fdata(dtype=np.float32)
    # Far from healthy tissue, this is the mean over the healthy brain.
    local = ndimage.gaussian_filter(data * healthy, sigma) + 1e-3 * data[healthy].mean()
    weight = ndimage.gaussian_filter(healthy.astype(np.float32), sigma) + 1e-3
    return image.like(np.where(hole & brain, local / weight, data), img)


def _rescale(img: nib.Nifti1Image) -> nib.Nifti1Image:
    """Rescale intensities robustly to 0–1 for the registration."""
    data = img.get_fdata(dtype=np.float32)
    low, high = np.percentile(data[data != 0], (1, 99))
    scaled = np.clip((data - low) / (high - low), 0, 1) * 0.9 + 0.1
    return image.like(np.where(data != 0, scaled, 0), img, np.float32)
