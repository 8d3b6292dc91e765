"""Registration with ANTs: rigid between contrasts, lesion-masked SyN to the template.

A transform is a file that ANTs applies; ``apply`` resamples an image once, through any chain.
"""

import os
import shutil
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory

import nibabel as nib
import numpy as np
from nibabel.affines import apply_affine, voxel_sizes
from scipy import ndimage

from . import image

TEMPLATE = "MNI152NLin2009aSym"

#: Warps are smooth: the registration runs on this grid, the results are applied on any.
WARP_SPACING_MM = 2.0
AFFINE = {
    "aff_metric": "mattes",
    "aff_sampling": 32,
    "aff_random_sampling_rate": 0.3,
    "aff_iterations": (500, 250, 100),
    "aff_shrink_factors": (4, 2, 1),
    "aff_smoothing_sigmas": (2, 1, 0),
}
SYN = {"syn_metric": "mattes", "syn_sampling": 32, "reg_iterations": (80, 60, 40)}
OUTLINE_WEIGHT = 0.2
_LPS = np.diag([-1.0, -1.0, 1.0])


@dataclass(frozen=True)
class Template:
    """A skull-stripped template: ``t1w`` and ``brain`` (mask) on one grid, and the space's name."""

    space: str
    t1w: nib.Nifti1Image
    brain: nib.Nifti1Image


@lru_cache(maxsize=1)
def template():
    """MNI152NLin2009aSym at 1 mm (197×233×189), which nilearn carries."""
    from nilearn.datasets import load_mni152_template

    t1w = load_mni152_template(resolution=1)
    brain = image.like(ndimage.binary_fill_holes(t1w.get_fdata() > 0), t1w, np.uint8)
    return Template(TEMPLATE, t1w, brain)


def to_ants(img):
    """Convert a 3D nibabel image to an ANTs image (float32)."""
    import ants

    zooms = voxel_sizes(img.affine)
    return ants.from_numpy(
        img.get_fdata(dtype=np.float32),
        origin=list(_LPS @ img.affine[:3, 3]),
        spacing=[float(zoom) for zoom in zooms],
        direction=_LPS @ (img.affine[:3, :3] / zooms),
    )


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

    moved = pd.DataFrame(np.reshape(points, (-1, 3)) @ _LPS, columns=list("xyz"))
    for path in transforms if len(moved) else ():
        moved = ants.apply_transforms_to_points(3, moved, [os.fspath(path)])
    return moved[list("xyz")].to_numpy() @ _LPS


def rigid(moving, fixed, fixed_mask, out):
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

    Returns
    -------
    tuple of Path
        The transforms moving to fixed, fixed to moving.
    """
    import ants

    fixed_ants, moving_ants = to_ants(fixed), to_ants(moving)
    around = round(10 / float(voxel_sizes(fixed.affine).min()))
    mask = ndimage.binary_dilation(np.asanyarray(fixed_mask.dataobj) > 0, iterations=around)
    mask = to_ants(image.like(mask, fixed_mask, np.float32))
    with TemporaryDirectory() as folder:
        starts = [_identity(folder), _centres_of_mass(fixed, moving, folder)]
        cost = [_mutual_information(fixed_ants, moving_ants, mask, start) for start in starts]
        found = ants.registration(
            fixed_ants,
            moving_ants,
            type_of_transform="Rigid",
            initial_transform=str(starts[int(np.argmin(cost))]),
            mask=mask,
            outprefix=f"{folder}/rigid",
            random_seed=1,
            **AFFINE,
        )
        transform = ants.read_transform(found["fwdtransforms"][0])
        forward, inverse = Path(out) / "moving-to-fixed.mat", Path(out) / "fixed-to-moving.mat"
        for path, one in ((forward, transform), (inverse, transform.invert())):
            with image.atomic(path) as partial:
                ants.write_transform(one, str(partial))
    return forward, inverse


def _identity(folder):
    return _translation(np.zeros(3), Path(folder) / "identity.mat")


def _centres_of_mass(fixed, moving, folder):
    centres = []
    for img in (moving, fixed):
        data = np.clip(img.get_fdata(dtype=np.float32), 0, None)
        centres.append(apply_affine(img.affine, ndimage.center_of_mass(data)))
    return _translation(_LPS @ (centres[0] - centres[1]), Path(folder) / "centres.mat")


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
    return ants.image_mutual_information(
        ants.mask_image(fixed, mask), ants.mask_image(moved, mask)
    )


def normalize(img, brain, lesion, out, target=None):
    """Register a brain to the template by SyN, with the lesion excluded from the cost
    (cost-function masking, Brett et al. 2001).

    The patient is the fixed image, so that the mask acts on its own grid; brain masks drive a
    second, light metric, so that the outline fits where the lesion reaches the cortex.

    Parameters
    ----------
    img, brain : nib.Nifti1Image
        Bias-corrected image and its brain mask, RAS.
    lesion : nib.Nifti1Image
        Lesion mask, same grid; may be empty.
    out : path
        Folder for ``to-template.h5`` and ``from-template.h5``.
    target : Template, optional
        Default :func:`template`.

    Returns
    -------
    tuple of Path
        Transforms from the image to the template and back.
    """
    import ants

    target = target or template()
    spacing = (WARP_SPACING_MM,) * 3
    cut = _crop(brain, margin_mm=12)
    mask = image.regrid(cut(brain, np.float32), spacing)
    patient = image.regrid(cut(img), spacing)
    hole = image.resample(_dilated(cut(lesion)), mask, order=1).get_fdata() > 0.25
    weight = ndimage.binary_dilation(mask.get_fdata() > 0.5, iterations=4) & ~hole
    weight = to_ants(image.like(weight, mask, np.float32))

    stripped = image.like(patient.get_fdata() * (mask.get_fdata() > 0.5), mask, np.float32)
    reference = image.regrid(target.t1w, spacing)
    reference_brain = image.regrid(image.like(target.brain.get_fdata(), target.brain), spacing)
    fixed, moving = _scaled(stripped), _scaled(reference)
    outline = ("meansquares", to_ants(mask), to_ants(reference_brain), OUTLINE_WEIGHT, 0)
    with TemporaryDirectory() as folder:
        affine = ants.registration(
            fixed,
            moving,
            type_of_transform="Affine",
            mask=weight,
            outprefix=f"{folder}/affine",
            random_seed=1,
            **AFFINE,
        )
        found = ants.registration(
            fixed,
            moving,
            type_of_transform="SyNOnly",
            initial_transform=affine["fwdtransforms"][0],
            mask=weight,
            multivariate_extras=[outline],
            write_composite_transform=True,
            outprefix=f"{folder}/syn",
            random_seed=1,
            **SYN,
        )
        written = {}
        # The registration maps the template onto the patient; its inverse normalizes.
        for name, key in (("to-template.h5", "invtransforms"), ("from-template.h5", "fwdtransforms")):
            source = found[key] if isinstance(found[key], str) else found[key][0]
            written[name] = Path(out) / name
            with image.atomic(written[name]) as partial:
                shutil.copyfile(source, partial)
    return written["to-template.h5"], written["from-template.h5"]


def _crop(brain, margin_mm):
    """Make a function that cuts images to the box of ``brain`` and a margin (padding if needed)."""
    margin = np.ceil(margin_mm / voxel_sizes(brain.affine)).astype(int)
    inside = np.argwhere(np.asanyarray(brain.dataobj) > 0)
    low, high = inside.min(0) - margin, inside.max(0) + margin + 1

    def cut(img, dtype=None):
        grid = nib.Nifti1Image(
            np.broadcast_to(np.uint8(0), high - low),
            brain.affine @ nib.affines.from_matvec(np.eye(3), low),
        )
        return image.like(image.resample(img, grid, order=0).dataobj, grid, dtype)

    return cut


def _dilated(lesion):
    """The rim of a lesion is not normal tissue either: exclude 3 mm more."""
    mask = np.asanyarray(lesion.dataobj) > 0
    if not mask.any():
        return image.like(mask, lesion, np.float32)
    distance = ndimage.distance_transform_edt(~mask, sampling=voxel_sizes(lesion.affine))
    return image.like(distance <= 3, lesion, np.float32)


def _scaled(img):
    """Robust intensities in 0 to 1 for the registration."""
    data = img.get_fdata(dtype=np.float32)
    low, high = np.percentile(data[data != 0], (1, 99))
    scaled = np.clip((data - low) / (high - low), 0, 1) * 0.9 + 0.1
    return to_ants(image.like(np.where(data != 0, scaled, 0), img, np.float32))


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
