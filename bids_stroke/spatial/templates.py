"""Template spaces: the default one, which needs no file, and those of TemplateFlow."""

import os
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import nibabel as nib
import numpy as np
from scipy import ndimage

from bids_stroke.errors import ResourceError, UsageError
from bids_stroke.settings import SPACES

from . import image
from .masks import fit_brain_mask


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
    mask = fit_brain_mask(mask, head, t1w)
    stripped = head.get_fdata(dtype=np.float32) * (np.asanyarray(mask.dataobj) > 0)
    return Template(image.like(stripped, head), mask)


#: The indices of TemplateFlow's grids that are looked for, the first the best.
RESOLUTIONS = ("1", "2")
_FILES = {"t1w": (None, "T1w"), "brain": ("brain", "mask")}  # desc, suffix


@dataclass(frozen=True)
class Space:
    """A template: ``resolution`` is the value of the res- entity; ``t1w`` (with the skull or
    without) and ``brain`` (mask) lie on one grid, and are None for the default space."""

    name: str
    resolution: str
    t1w: Path | None = None
    brain: Path | None = None


DEFAULT_SPACE = Space(SPACES[0], RESOLUTIONS[0])
#: Name of the default template.
TEMPLATE = DEFAULT_SPACE.name


def find_spaces(names):
    """Find the templates of the output spaces.

    Parameters
    ----------
    names : sequence of str
        TemplateFlow's names; its folder is ``$TEMPLATEFLOW_HOME`` or ``~/.cache/templateflow``.

    Returns
    -------
    tuple of Space
        The default space first, whether named or not.

    Raises
    ------
    UsageError
        If TemplateFlow has no such space.
    ResourceError
        If a file is neither there nor to be had from the network.
    """
    others = (name for name in dict.fromkeys(names) if name != DEFAULT_SPACE.name)
    return (DEFAULT_SPACE, *map(_find_space, others))


def _find_space(name):
    for resolution in RESOLUTIONS:
        paths = _space_paths(name, resolution)
        if all(map(_filled, paths.values())):
            return Space(name, resolution, **paths)
    return _fetch_space(name)


def _space_paths(name, resolution):
    """Where TemplateFlow keeps the files of a space."""
    home = Path(os.environ.get("TEMPLATEFLOW_HOME", Path.home() / ".cache" / "templateflow"))
    stem = home / f"tpl-{name}" / f"tpl-{name}_res-{int(resolution):02}"
    return {
        key: Path(f"{stem}{'_desc-' + desc if desc else ''}_{suffix}.nii.gz")
        for key, (desc, suffix) in _FILES.items()
    }


def _filled(path):
    """TemplateFlow keeps an empty file in the place of each that it has not fetched."""
    return path.is_file() and path.stat().st_size > 0


def _fetch_space(name):
    """Have TemplateFlow download the finest files of a space."""
    paths = _space_paths(name, RESOLUTIONS[0])
    home = paths["t1w"].parents[1]
    missing = next(path for path in paths.values() if not _filled(path))
    try:
        from templateflow.client import TemplateFlowClient

        client = TemplateFlowClient(root=home)
        client.cache.update(local=True, overwrite=False, silent=True)
        known = all(path.is_file() for path in paths.values())
        for desc, suffix in _FILES.values() if known else ():
            client.get(
                name,
                resolution=int(RESOLUTIONS[0]),
                desc=desc,
                suffix=suffix,
                extension=".nii.gz",
            )
    except Exception as error:  # no network, no permission: either way there is no file
        raise ResourceError(
            f"The output space {name} needs {missing}, which is not there and cannot be downloaded "
            f"({type(error).__name__}); connect to the network once, copy the file there, or leave "
            "the space out."
        ) from None
    if not known:
        raise UsageError(
            f"TemplateFlow has no T1w template of the output space {name} with a brain mask; give "
            f"spaces such as {DEFAULT_SPACE.name}, MNI152NLin2009cAsym or MNI152NLin6Asym."
        )
    return Space(name, RESOLUTIONS[0], **paths)


def template_grid(space=TEMPLATE):
    """Give the template image whose grid ``space`` is measured on."""
    if space != TEMPLATE:
        raise ResourceError(f"Tracts cannot be brought to {space}; the one output is {TEMPLATE}.")
    return template().t1w


def hemisphere_map(img):
    """Map the sides of a template: -1 on the left (x < 0), +1 on the right, 0 within 0.5 mm.

    Parameters
    ----------
    img : nib.Nifti1Image
        Any image in a template space (RAS world coordinates).

    Returns
    -------
    nib.Nifti1Image of int8
    """
    *steps, x = img.affine[0]
    for step, axis in zip(steps, np.ogrid[tuple(map(slice, img.shape[:3]))], strict=True):
        x = x + step * axis
    return image.like(np.where(np.abs(x) < 0.5, 0, np.sign(x)), img, np.int8)
