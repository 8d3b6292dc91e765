"""Registration with ANTs: rigid between contrasts, SyN to a template in spite of the lesion.

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
from nibabel.affines import apply_affine, from_matvec, voxel_sizes
from scipy import ndimage

from . import image
from .brain import adopt
from .settings import NORMALIZATIONS
from .spaces import DEFAULT

TEMPLATE = DEFAULT.name

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
SYN = {
    "syn_metric": "mattes",
    "syn_sampling": 32,
    "grad_step": 0.5,
    "reg_iterations": (80, 40, 12),
}
#: One side of a brain to the other: large structures suffice.
MIRROR = {**SYN, "reg_iterations": (40, 20, 0)}
OUTLINE_WEIGHT = 0.2
#: The healthy tissue around a lesion that a filling is scaled to, and the width of its border.
RING_MM, BLEND_MM = 20, 4
_LPS = np.diag([-1.0, -1.0, 1.0])


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
        origin=list(_LPS @ img.affine[:3, 3]),
        spacing=[float(zoom) for zoom in zooms],
        direction=_LPS @ (img.affine[:3, :3] / zooms),
    )


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
    return ants.image_mutual_information(ants.mask_image(fixed, mask), ants.mask_image(moved, mask))


def normalize(img, brain, lesion, out, target=None, method=NORMALIZATIONS[0]):
    """Register a brain to a template by SyN, without being led by the lesion.

    The patient is the fixed image, so that masks act on its own grid; brain masks drive a second,
    light metric, so that the outline fits where the lesion reaches the cortex.

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
    method : {"enantiomorphic", "masked"}
        The lesion replaced by the mirrored tissue of the other side, :func:`fill`, or excluded
        from the cost (cost-function masking, Brett et al. 2001).

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
    inside = mask.get_fdata() > 0.5
    patient = image.like(image.regrid(cut(img), spacing).get_fdata() * inside, mask, np.float32)
    hole = image.resample(_dilated(cut(lesion)), mask, order=1).get_fdata() > 0.25
    around = ndimage.binary_dilation(inside, iterations=4)
    weight = to_ants(image.like(around & ~hole, mask, np.float32))
    moving = _scaled(image.regrid(target.t1w, spacing))
    reference_brain = image.regrid(image.like(target.brain.get_fdata(), target.brain), spacing)
    outline = ("meansquares", to_ants(mask), to_ants(reference_brain), OUTLINE_WEIGHT, 0)
    with TemporaryDirectory() as folder:
        affine = ants.registration(
            _scaled(patient),
            moving,
            type_of_transform="Affine",
            mask=weight,
            outprefix=f"{folder}/affine",
            **AFFINE,
        )["fwdtransforms"][0]
        if method == "enantiomorphic" and hole.any():
            other, usable = mirror(patient, inside, hole, affine)
            patient, hole = fill(patient, inside, hole, other, usable)
            weight = to_ants(image.like(around & ~hole, mask, np.float32))
        found = ants.registration(
            _scaled(patient),
            moving,
            type_of_transform="SyNOnly",
            initial_transform=affine,
            mask=weight,
            multivariate_extras=[outline],
            write_composite_transform=True,
            outprefix=f"{folder}/syn",
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


def mirror(img, brain, lesion, affine):
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
    import ants

    there = _matrix(affine)
    flip = np.diag([-1.0, 1.0, 1.0, 1.0])
    across = np.linalg.inv(there) @ flip @ there @ img.affine
    grid = nib.Nifti1Image(np.broadcast_to(np.uint8(0), img.shape), across)

    def flipped(one):
        return image.like(image.resample(one, grid).dataobj, img)

    other, usable = flipped(img), flipped(image.like(brain & ~lesion, img, np.float32))
    # A lesion would shine through the smoothing beyond the mask: the sides meet roughly filled.
    rough, _ = fill(img, brain, lesion, *_arrays(other, usable))
    both = image.like(brain & ~lesion & _arrays(other, usable)[1], img, np.float32)
    with TemporaryDirectory() as folder:
        fitted = ants.registration(
            to_ants(rough),
            to_ants(flipped(rough)),
            type_of_transform="SyNOnly",
            mask=to_ants(both),
            outprefix=f"{folder}/mirror",
            **MIRROR,
        )["fwdtransforms"][::-1]
        return _arrays(*(apply(one, img, fitted, "probability") for one in (other, usable)))


def _arrays(other, usable):
    return other.get_fdata(dtype=np.float32), usable.get_fdata() > 0.5


def _matrix(affine):
    """Read an ANTs affine as a matrix of RAS points."""
    import ants

    read = ants.read_transform(os.fspath(affine))
    matrix, shift = np.reshape(read.parameters[:9], (3, 3)), np.array(read.parameters[9:])
    centre = np.array(read.fixed_parameters)
    lps = from_matvec(_LPS)
    return lps @ from_matvec(matrix, shift + centre - matrix @ centre) @ lps


def fill(img, brain, lesion, other, usable):
    """Replace a lesion by the mirrored tissue of the other side (enantiomorphic normalization,
    Nachev et al. 2008, NeuroImage 39:1215-1226).

    The tissue is scaled to the mean of what surrounds the lesion, and blended in at its border.

    Parameters
    ----------
    img : nib.Nifti1Image
        Brain.
    brain, lesion : ndarray of bool
        Masks on its grid, the lesion with its rim.
    other, usable : ndarray
        As :func:`mirror` gives them.

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
    gain = data[around].mean() / other[around].mean() if around.any() else 1.0
    depth = ndimage.distance_transform_edt(lesion, sampling=spacing)
    share = np.clip(depth / BLEND_MM, 0, 1) * (brain & usable)
    return image.like(data + share * (gain * other - data), img), lesion & ~usable


def _crop(brain, margin_mm):
    """Make a function that cuts images to the box of ``brain`` and a margin (padding if needed)."""
    margin = np.ceil(margin_mm / voxel_sizes(brain.affine)).astype(int)
    inside = np.argwhere(np.asanyarray(brain.dataobj) > 0)
    low, high = inside.min(0) - margin, inside.max(0) + margin + 1

    def cut(img, dtype=None):
        grid = nib.Nifti1Image(
            np.broadcast_to(np.uint8(0), high - low),
            brain.affine @ from_matvec(np.eye(3), low),
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
