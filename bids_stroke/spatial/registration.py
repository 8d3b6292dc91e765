"""Registration with ANTs: rigid between contrasts, affine to the template.

A transform is a file that ANTs applies (:mod:`bids_stroke.spatial.transforms`).
"""

import os
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, NamedTuple

import nibabel as nib
import numpy as np
from nibabel.affines import apply_affine, voxel_sizes
from scipy import ndimage

from bids_stroke.utils import files

from . import grid, image
from .templates import template
from .transforms import LPS, to_ants

if TYPE_CHECKING:  # slow to load
    from ants import ANTsImage, ANTsTransform

#: Share of the voxels that an affine registration compares.
SAMPLING_RATE = 0.3
#: Options of :func:`bids_stroke.spatial.registration.register` for rigid and affine transforms.
AFFINE: Mapping[str, object] = {
    "aff_metric": "mattes",
    "aff_sampling": 32,
    "aff_random_sampling_rate": SAMPLING_RATE,
    "aff_iterations": (500, 250, 100),
    "aff_shrink_factors": (4, 2, 1),
    "aff_smoothing_sigmas": (2, 1, 0),
}
#: Of the random numbers that registrations start from.
SEED = 1
AFFINE_SPACING = (2.0, 2.0, 2.0)
#: Options for SyN: long steps, and few of them at 2 mm, where each takes seconds.
SYN: Mapping[str, object] = {
    "syn_metric": "mattes",
    "syn_sampling": 32,
    "grad_step": 1.0,
    "reg_iterations": (60, 30, 5),
}


class Registration(NamedTuple):
    """Files of the transforms that bring the moving image to the fixed one (``forward``) and back
    (``inverse``), in the order of ANTs: the last is applied first."""

    forward: tuple[str, ...]
    inverse: tuple[str, ...]


def register(fixed: "ANTsImage", moving: "ANTsImage", **options: object) -> Registration:
    """Run ``ants.registration`` with ``options``, from the same random numbers each time.

    With one thread (``ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS``, read when ANTs starts) results are then
    the same to the last bit; with several they differ by how sums are split.
    """
    import ants

    threads = "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS"
    kept = os.environ.get(threads)
    ants.config.set_ants_deterministic(True, seed_value=SEED)  # the only way in which ANTs takes a seed
    if kept is None:
        del os.environ[threads]
    else:
        os.environ[threads] = kept
    result = ants.registration(fixed, moving, **options)
    return Registration(*(_paths(result[key]) for key in ("fwdtransforms", "invtransforms")))


def _paths(transforms: str | list[str]) -> tuple[str, ...]:
    """Paths of transforms; ANTs returns the one of a composite transform as it is."""
    return (transforms,) if isinstance(transforms, str) else tuple(transforms)


def rigid(
    moving: nib.Nifti1Image,
    fixed: nib.Nifti1Image,
    fixed_mask: nib.Nifti1Image,
    out: files.PathLike,
    samples: int = 100_000,
) -> tuple[Path, Path]:
    """Register two contrasts of one head rigidly (Mattes mutual information).

    The start is the scanner's coordinates or the centres of mass, whichever fits better.

    Parameters
    ----------
    moving, fixed : nib.Nifti1Image
        Heads or brains.
    fixed_mask : nib.Nifti1Image
        Brain mask on the grid of ``fixed``; the cost is computed in and around it.
    out : path
        Folder for ``moving-to-fixed.mat`` and ``fixed-to-moving.mat``.
    samples : int
        Voxels to compare, at most, on the finest level (``benchmarks/rigid.py`` measures what fewer
        cost).

    Returns
    -------
    tuple of Path
        The transforms moving to fixed, fixed to moving.
    """
    import ants

    fixed_ants, moving_ants = to_ants(fixed), to_ants(moving)
    around = round(10 / float(voxel_sizes(fixed.affine).min()))
    region = ndimage.binary_dilation(np.asanyarray(fixed_mask.dataobj) > 0, iterations=around)
    rate = min(SAMPLING_RATE, samples / np.count_nonzero(region))
    mask = to_ants(image.like(region, fixed_mask, np.float32))
    with TemporaryDirectory() as folder:
        starts = [_identity(folder), _centers_of_mass(fixed, moving, folder)]
        cost = [_mutual_information(fixed_ants, moving_ants, mask, start) for start in starts]
        forward = register(
            fixed_ants,
            moving_ants,
            type_of_transform="Rigid",
            initial_transform=str(starts[int(np.argmin(cost))]),
            mask=mask,
            outprefix=f"{folder}/rigid",
            **{**AFFINE, "aff_random_sampling_rate": rate},
        ).forward[0]
        names = "moving-to-fixed.mat", "fixed-to-moving.mat"
        return _write_both(ants.read_transform(forward), names, Path(out))


def affine(img: nib.Nifti1Image, brain: nib.Nifti1Image, out: files.PathLike) -> tuple[Path, Path]:
    """Register a brain to the default template by an affine transform, before any lesion is known.

    Parameters
    ----------
    img, brain : nib.Nifti1Image
        Image and its brain mask.
    out : path
        Folder for ``native-to-template.mat`` and ``template-to-native.mat``.

    Returns
    -------
    tuple of Path
        The transforms to the template, and back.
    """
    import ants

    target = grid.regrid(template().t1w, AFFINE_SPACING)
    stripped = image.like(img.get_fdata() * (np.asanyarray(brain.dataobj) > 0), img, np.float32)
    with TemporaryDirectory() as folder:
        forward = register(
            to_ants(target),
            to_ants(grid.regrid(stripped, AFFINE_SPACING)),
            type_of_transform="Affine",
            outprefix=f"{folder}/affine",
            **AFFINE,
        ).forward[0]
        names = "native-to-template.mat", "template-to-native.mat"
        return _write_both(ants.read_transform(forward), names, Path(out))


def _write_both(transform: "ANTsTransform", names: tuple[str, str], out: Path) -> tuple[Path, Path]:
    """Write a transform and its inverse."""
    return (
        _write(transform, out / names[0]),
        _write(transform.invert(), out / names[1]),
    )


def _write(transform: "ANTsTransform", path: Path) -> Path:
    import ants

    with files.atomic(path) as partial:
        ants.write_transform(transform, str(partial))
    return path


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
    return _write(transform, path)


def _mutual_information(
    fixed: "ANTsImage", moving: "ANTsImage", mask: "ANTsImage", transform: Path
) -> float:
    import ants

    moved = ants.apply_transforms(fixed, moving, [str(transform)])
    return ants.image_mutual_information(ants.mask_image(fixed, mask), ants.mask_image(moved, mask))
