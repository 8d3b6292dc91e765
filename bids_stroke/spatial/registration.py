"""Registration with ANTs: templates, rigid between contrasts, resampling through transforms.

A transform is a file that ANTs applies; ``apply`` resamples an image once, through any chain.
"""

import os
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from nibabel.affines import apply_affine, voxel_sizes
from scipy import ndimage

from bids_stroke.utils import files

from . import grid, image
from .templates import template
from .transforms import LPS, to_ants

AFFINE = {
    "aff_metric": "mattes",
    "aff_sampling": 32,
    "aff_random_sampling_rate": 0.3,
    "aff_iterations": (500, 250, 100),
    "aff_shrink_factors": (4, 2, 1),
    "aff_smoothing_sigmas": (2, 1, 0),
}
AFFINE_SPACING = (2.0, 2.0, 2.0)


def register(fixed, moving, **options):
    """Run ``ants.registration``, from the same random numbers each time.

    With one thread (``ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS``, read when ANTs starts) results are then
    the same to the last bit; with several they differ by how sums are split.
    """
    import ants

    threads = "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS"
    kept = os.environ.get(threads)
    ants.config.set_ants_deterministic(True, seed_value=1)  # the only way in which ANTs takes a seed
    if kept is None:
        del os.environ[threads]
    else:
        os.environ[threads] = kept
    return ants.registration(fixed, moving, **options)


def rigid(moving, fixed, fixed_mask, out, samples=100_000):
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
    mask = ndimage.binary_dilation(np.asanyarray(fixed_mask.dataobj) > 0, iterations=around)
    rate = min(AFFINE["aff_random_sampling_rate"], samples / np.count_nonzero(mask))
    mask = to_ants(image.like(mask, fixed_mask, np.float32))
    with TemporaryDirectory() as folder:
        starts = [_identity(folder), _centres_of_mass(fixed, moving, folder)]
        cost = [_mutual_information(fixed_ants, moving_ants, mask, start) for start in starts]
        found = register(
            fixed_ants,
            moving_ants,
            type_of_transform="Rigid",
            initial_transform=str(starts[int(np.argmin(cost))]),
            mask=mask,
            outprefix=f"{folder}/rigid",
            **AFFINE | {"aff_random_sampling_rate": rate},
        )
        names = "moving-to-fixed.mat", "fixed-to-moving.mat"
        return _write_both(ants.read_transform(found["fwdtransforms"][0]), names, out)


def affine(img, brain, out):
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
        found = register(
            to_ants(target),
            to_ants(grid.regrid(stripped, AFFINE_SPACING)),
            type_of_transform="Affine",
            outprefix=f"{folder}/affine",
            **AFFINE,
        )
        names = "native-to-template.mat", "template-to-native.mat"
        return _write_both(ants.read_transform(found["fwdtransforms"][0]), names, out)


def _write_both(transform, names, out):
    """Write a transform and its inverse."""
    import ants

    paths = tuple(Path(out) / name for name in names)
    for path, one in zip(paths, (transform, transform.invert()), strict=True):
        with files.atomic(path) as partial:
            ants.write_transform(one, str(partial))
    return paths


def _identity(folder):
    return _translation(np.zeros(3), Path(folder) / "identity.mat")


def _centres_of_mass(fixed, moving, folder):
    centres = []
    for img in (moving, fixed):
        data = np.clip(img.get_fdata(dtype=np.float32), 0, None)
        centres.append(apply_affine(img.affine, ndimage.center_of_mass(data)))
    return _translation(LPS @ (centres[0] - centres[1]), Path(folder) / "centres.mat")


def _translation(shift_lps, path):
    import ants

    transform = ants.create_ants_transform(
        transform_type="Euler3DTransform", dimension=3, translation=list(map(float, shift_lps))
    )
    ants.write_transform(transform, str(path))
    return path


def _mutual_information(fixed, moving, mask, transform):
    import ants

    moved = ants.apply_transforms(fixed, moving, [str(transform)])
    return ants.image_mutual_information(ants.mask_image(fixed, mask), ants.mask_image(moved, mask))


# Long steps, and few of them at 2 mm, where each takes seconds.
SYN = {
    "syn_metric": "mattes",
    "syn_sampling": 32,
    "grad_step": 1.0,
    "reg_iterations": (60, 30, 5),
}
