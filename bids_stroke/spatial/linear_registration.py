"""Rigid registration between contrasts, and affine registration to the template."""

from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Literal

import nibabel as nib
import numpy as np
from nibabel.affines import apply_affine, voxel_sizes
from scipy import ndimage

from bids_stroke.utils import files

from . import grid, image
from .registration import SEED, register_single_threaded
from .templates import template
from .transforms import LPS, to_ants, write_transform

if TYPE_CHECKING:  # slow to load
    from ants import ANTsImage, ANTsTransform

#: Fraction of voxels that the metric samples.
SAMPLING_RATE = 0.3
#: ANTs options of linear registrations.
OPTIONS: Mapping[str, Any] = {
    "aff_metric": "mattes",
    "aff_sampling": 32,
    "aff_iterations": (500, 250, 100),
    "aff_shrink_factors": (4, 2, 1),
    "aff_smoothing_sigmas": (2, 1, 0),
}
AFFINE_SPACING = (2.0, 2.0, 2.0)
#: Options of :func:`affine`. A level at full resolution would take most of the time and hardly change
#: the transform.
AFFINE_OPTIONS: Mapping[str, Any] = {
    "aff_iterations": (500, 250),
    "aff_shrink_factors": (4, 2),
    "aff_smoothing_sigmas": (2, 1),
}
#: Margin (mm) around the brain in which the cost of a rigid registration is computed.
MARGIN_MM = 10.0


def register_linear(
    fixed: nib.Nifti1Image,
    moving: nib.Nifti1Image,
    kind: Literal["Rigid", "Affine"],
    outprefix: str,
    mask: nib.Nifti1Image | None = None,
    start: Path | None = None,
    sampling_rate: float = SAMPLING_RATE,
    seed: int = SEED,
    moving_mask: nib.Nifti1Image | None = None,
    options: Mapping[str, Any] | None = None,
) -> str:
    """Register two images by a rigid or an affine transform, repeatably.

    Linear registration gains little from multithreading, so it runs in a single-threaded subprocess
    (:func:`bids_stroke.spatial.registration.register_single_threaded`).

    Parameters
    ----------
    fixed, moving : nib.Nifti1Image
    kind : {"Rigid", "Affine"}
    outprefix : str
        Prefix of the output files.
    mask : nib.Nifti1Image, optional
        Mask on the grid of ``fixed``; the cost is computed where it is 1.
    start : path, optional
        Initial transform.
    sampling_rate : float
        Fraction of voxels that the metric samples.
    seed : int
        Seed for the random choice of these voxels.
    moving_mask : nib.Nifti1Image, optional
        Mask on the grid of ``moving``; voxels that are moved outside of it do not contribute.
    options : mapping, optional
        ANTs options that replace those of :data:`OPTIONS`.

    Returns
    -------
    str
        Path of the transform from ``moving`` to ``fixed``.

    Raises
    ------
    RuntimeError
        If the subprocess fails.
    """
    images = {"fixed": fixed, "moving": moving, "mask": mask, "moving_mask": moving_mask}
    request: dict[str, object] = {**OPTIONS, **(options or {})}
    request |= {"initial_transform": str(start)} if start else {}
    (forward,) = register_single_threaded(
        {key: img for key, img in images.items() if img is not None},
        outprefix,
        type_of_transform=kind,
        aff_random_sampling_rate=sampling_rate,
        seed=seed,
        **request,
    ).forward
    return forward


def rigid(
    moving: nib.Nifti1Image,
    fixed: nib.Nifti1Image,
    fixed_mask: nib.Nifti1Image,
    out: files.PathLike,
    samples: int = 100_000,
    fixed_lesion: nib.Nifti1Image | None = None,
    moving_mask: nib.Nifti1Image | None = None,
) -> tuple[Path, Path]:
    """Register two scans of the same head rigidly (Mattes mutual information).

    The registration starts from the scanner coordinates or from aligned centers of mass, whichever fits
    better.

    Parameters
    ----------
    moving, fixed : nib.Nifti1Image
        Images with or without skull.
    fixed_mask : nib.Nifti1Image
        Brain mask on the grid of ``fixed``; the cost is computed inside and around it.
    out : path
        Folder for ``moving-to-fixed.mat`` and ``fixed-to-moving.mat``.
    samples : int
        Largest number of voxels that the metric samples at the finest level (``benchmarks/rigid.py``
        measures the effect of smaller numbers).
    fixed_lesion : nib.Nifti1Image, optional
        Lesion mask on the grid of ``fixed``, where the cost is not computed.
    moving_mask : nib.Nifti1Image, optional
        Mask on the grid of ``moving``, outside of which the cost is not computed.

    Returns
    -------
    tuple of Path
        Transforms from moving to fixed and from fixed to moving.
    """
    import ants

    fixed_ants, moving_ants = to_ants(fixed), to_ants(moving)
    mask = metric_region(fixed_mask, fixed_lesion)
    rate = min(SAMPLING_RATE, samples / np.count_nonzero(mask.dataobj))
    with TemporaryDirectory() as folder:
        starts = [_identity(folder), _centers_of_mass(fixed, moving, folder)]
        mask_ants = to_ants(mask)
        cost = [_mutual_information(fixed_ants, moving_ants, mask_ants, start) for start in starts]
        start = starts[int(np.argmin(cost))]
        prefix = f"{folder}/rigid"
        forward = register_linear(
            fixed, moving, "Rigid", prefix, mask, start, rate, moving_mask=moving_mask
        )
        names = "moving-to-fixed.mat", "fixed-to-moving.mat"
        return _write_both(ants.read_transform(forward), names, Path(out))


def metric_region(brain: nib.Nifti1Image, lesion: nib.Nifti1Image | None = None) -> nib.Nifti1Image:
    """Return the region in which the cost of a rigid registration is computed.

    Parameters
    ----------
    brain, lesion : nib.Nifti1Image
        Masks on the same grid.

    Returns
    -------
    nib.Nifti1Image of float32
        1 in the brain and a margin of :data:`MARGIN_MM` around it, and 0 in the lesion.
    """
    margin = round(MARGIN_MM / float(voxel_sizes(brain.affine).min()))
    region = ndimage.binary_dilation(np.asanyarray(brain.dataobj) > 0, iterations=margin)
    if lesion is not None:
        region &= np.asanyarray(lesion.dataobj) == 0
    return image.like(region, brain, np.float32)


def affine(img: nib.Nifti1Image, brain: nib.Nifti1Image, out: files.PathLike) -> tuple[Path, Path]:
    """Register a brain to the default template by an affine transform, without a lesion mask.

    Parameters
    ----------
    img, brain : nib.Nifti1Image
        Image and its brain mask.
    out : path
        Folder for ``native-to-template.mat`` and ``template-to-native.mat``.

    Returns
    -------
    tuple of Path
        Transforms to the template and back.
    """
    import ants

    target = grid.regrid(template().t1w, AFFINE_SPACING)
    stripped = image.like(img.get_fdata() * (np.asanyarray(brain.dataobj) > 0), img, np.float32)
    with TemporaryDirectory() as folder:
        moving = grid.regrid(stripped, AFFINE_SPACING)
        prefix = f"{folder}/affine"
        forward = register_linear(target, moving, "Affine", prefix, options=AFFINE_OPTIONS)
        names = "native-to-template.mat", "template-to-native.mat"
        return _write_both(ants.read_transform(forward), names, Path(out))


def _write_both(transform: "ANTsTransform", names: tuple[str, str], out: Path) -> tuple[Path, Path]:
    """Write a transform and its inverse."""
    return (
        write_transform(transform, out / names[0]),
        write_transform(transform.invert(), out / names[1]),
    )


def _identity(folder: str) -> Path:
    return _translation(np.zeros(3), Path(folder) / "identity.mat")


def _centers_of_mass(fixed: nib.Nifti1Image, moving: nib.Nifti1Image, folder: str) -> Path:
    shift = LPS @ (_center_of_mass(moving) - _center_of_mass(fixed))
    return _translation(shift, Path(folder) / "centers.mat")


def _center_of_mass(img: nib.Nifti1Image) -> np.ndarray:
    data = np.clip(img.get_fdata(dtype=np.float32), 0, None)
    return apply_affine(img.affine, ndimage.center_of_mass(data))


def _translation(shift_lps: np.ndarray, path: Path) -> Path:
    import ants

    transform = ants.create_ants_transform(
        transform_type="Euler3DTransform", dimension=3, translation=list(map(float, shift_lps))
    )
    return write_transform(transform, path)


def _mutual_information(
    fixed: "ANTsImage", moving: "ANTsImage", mask: "ANTsImage", transform: Path
) -> float:
    import ants

    moved = ants.apply_transforms(fixed, moving, [str(transform)])
    return ants.image_mutual_information(ants.mask_image(fixed, mask), ants.mask_image(moved, mask))
