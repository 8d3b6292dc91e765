"""Registration with ANTs: templates, rigid between contrasts, resampling through transforms.

A transform is a file that ANTs applies; ``apply`` resamples an image once, through any chain.
"""

import os
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory

import nibabel as nib
import numpy as np
from nibabel.affines import apply_affine, voxel_sizes
from scipy import ndimage

from . import image
from .brain import adopt
from .spaces import DEFAULT

TEMPLATE = DEFAULT.name

AFFINE = {
    "aff_metric": "mattes",
    "aff_sampling": 32,
    "aff_random_sampling_rate": 0.3,
    "aff_iterations": (500, 250, 100),
    "aff_shrink_factors": (4, 2, 1),
    "aff_smoothing_sigmas": (2, 1, 0),
}
AFFINE_SPACING = (2.0, 2.0, 2.0)
LPS = np.diag([-1.0, -1.0, 1.0])


@dataclass(frozen=True)
class Template:
    """A skull-stripped template: ``t1w`` and ``brain`` (mask) on one grid."""

    t1w: nib.Nifti1Image
    brain: nib.Nifti1Image


@lru_cache(maxsize=1)
def template():
    """MNI152NLin2009aSym at 1 mm (197×233×189), which nilearn carries."""
    from nilearn.datasets import load_mni152_template

    t1w = load_mni152_template(resolution=1)
    brain = image.like(ndimage.binary_fill_holes(t1w.get_fdata() > 0), t1w, np.uint8)
    return Template(t1w, brain)


def load_template(t1w, brain):
    """Load another template, and strip it of the skull.

    Parameters
    ----------
    t1w, brain : path
        T1w and brain mask.

    Raises
    ------
    ImageError
        If they cannot be read, or are on two grids.
    """
    head, mask = (image.conform(image.load(path)) for path in (t1w, brain))
    mask = adopt(mask, head, t1w)
    stripped = head.get_fdata(dtype=np.float32) * (np.asanyarray(mask.dataobj) > 0)
    return Template(image.like(stripped, head), mask)


def to_ants(img):
    """Convert a 3D nibabel image to an ANTs image (float32)."""
    import ants

    zooms = voxel_sizes(img.affine)
    return ants.from_numpy(
        img.get_fdata(dtype=np.float32),
        origin=list(LPS @ img.affine[:3, 3]),
        spacing=[float(zoom) for zoom in zooms],
        direction=LPS @ (img.affine[:3, :3] / zooms),
    )


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


def move_points(points, transforms):
    """Carry points from the space of one image to that of another.

    Parameters
    ----------
    points : ndarray, (n, 3)
        RAS, mm.
    transforms : sequence of path
        In the order of application to the points. A transform that brings an image from A to B
        brings points from B to A.

    Returns
    -------
    ndarray, (n, 3)
    """
    import ants
    import pandas as pd

    moved = pd.DataFrame(np.reshape(points, (-1, 3)) @ LPS, columns=list("xyz"))
    for path in transforms if len(moved) else ():
        moved = ants.apply_transforms_to_points(3, moved, [os.fspath(path)])
    return moved[list("xyz")].to_numpy() @ LPS


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
    """Register a brain to :func:`template` by an affine transform, before any lesion is known.

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

    target = image.regrid(template().t1w, AFFINE_SPACING)
    stripped = image.like(img.get_fdata() * (np.asanyarray(brain.dataobj) > 0), img, np.float32)
    with TemporaryDirectory() as folder:
        found = register(
            to_ants(target),
            to_ants(image.regrid(stripped, AFFINE_SPACING)),
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
        with image.atomic(path) as partial:
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


#: Interpolation by what the voxels are.
_INTERPOLATION = {
    "image": "bSpline",
    "probability": "linear",
    "mask": "linear",
    "labels": "nearestNeighbor",
}


def apply(img, reference, transforms, kind="image"):
    """Resample ``img`` on the grid of ``reference`` through ``transforms``, once.

    Parameters
    ----------
    transforms : sequence of path
        In the order of application to the image, first to last.
    kind : {"image", "probability", "mask", "labels"}
        B-spline, clipped to the range of ``img``; linear; linear, then at least 0.5, which keeps
        volumes better than the nearest voxel; nearest voxel.

    Returns
    -------
    nib.Nifti1Image
        On the grid of ``reference``; uint8 for masks, else float32.
    """
    import ants

    moved = ants.apply_transforms(
        to_ants(reference),
        to_ants(img),
        # ANTs takes the last transform first.
        [os.fspath(path) for path in reversed(list(transforms))],
        interpolator=_INTERPOLATION[kind],
    ).numpy()
    if kind == "mask":
        return image.like(moved >= 0.5, reference, np.uint8)
    if kind == "image":
        data = np.asanyarray(img.dataobj)
        moved = np.clip(moved, data.min(), data.max())
    return image.like(moved, reference, np.float32)
