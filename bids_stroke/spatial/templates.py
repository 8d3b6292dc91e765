"""Templates: skull-stripped images to which brains are normalized."""

from dataclasses import dataclass
from functools import lru_cache

import nibabel as nib
import numpy as np
from scipy import ndimage

from bids_stroke.errors import ResourceError
from bids_stroke.settings import SPACES
from bids_stroke.utils.files import PathLike

from . import image
from .masks import fit_brain_mask

#: Name of the default template.
TEMPLATE = SPACES[0]


@dataclass(frozen=True)
class Template:
    """A skull-stripped template: ``t1w`` and ``brain`` (mask) on the same grid."""

    t1w: nib.Nifti1Image
    brain: nib.Nifti1Image


@lru_cache(maxsize=1)
def template() -> Template:
    """Return MNI152NLin2009aSym at 1 mm (197×233×189), which nilearn includes."""
    from nilearn.datasets import load_mni152_template

    t1w = load_mni152_template(resolution=1)
    brain = image.like(ndimage.binary_fill_holes(t1w.get_fdata() > 0), t1w, np.uint8)
    return Template(t1w, brain)


def load_template(t1w: PathLike, brain: PathLike) -> Template:
    """Load another template and skull-strip it.

    Parameters
    ----------
    t1w, brain : path
        T1w and brain mask.

    Raises
    ------
    ImageError
        If the files cannot be read, or have different grids.
    """
    head, mask = (image.conform(image.load(path)) for path in (t1w, brain))
    mask = fit_brain_mask(mask, head, t1w)
    stripped = head.get_fdata(dtype=np.float32) * (np.asanyarray(mask.dataobj) > 0)
    return Template(image.like(stripped, head), mask)


def template_grid(space: str = TEMPLATE) -> nib.Nifti1Image:
    """Return the template image whose grid is used for measurements in ``space``.

    Raises
    ------
    ResourceError
        If ``space`` is not the space of the default template.
    """
    if space != TEMPLATE:
        raise ResourceError(f"Tracts cannot be transformed to {space}; use the space {TEMPLATE}.")
    return template().t1w


def hemisphere_map(img: nib.Nifti1Image) -> nib.Nifti1Image:
    """Return a map of the hemispheres: -1 on the left (x < 0), +1 on the right, 0 within 0.5 mm.

    Parameters
    ----------
    img : nib.Nifti1Image
        Any image in a template space (RAS world coordinates).

    Returns
    -------
    nib.Nifti1Image of int8

    Examples
    --------
    >>> img = nib.Nifti1Image(np.zeros((3, 1, 1)), np.diag([2, 2, 2, 1]))
    >>> img.affine[0, 3] = -2  # the centers of the voxels are at x = -2, 0 and 2 mm
    >>> hemisphere_map(img).get_fdata().ravel().tolist()
    [-1.0, 0.0, 1.0]
    """
    *steps, x = img.affine[0]
    for step, axis in zip(steps, np.ogrid[tuple(map(slice, img.shape[:3]))], strict=True):
        x = x + step * axis
    return image.like(np.where(np.abs(x) < 0.5, 0, np.sign(x)), img, np.int8)
