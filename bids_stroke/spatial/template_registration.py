"""Registration of TemplateFlow templates to the output template, with cached results."""

from pathlib import Path
from tempfile import TemporaryDirectory

import nibabel as nib
import numpy as np
from nibabel.affines import apply_affine

from bids_stroke.utils.cache import cached_images
from bids_stroke.utils.files import stamp

from . import image
from .normalization import normalize
from .template_spaces import find_spaces
from .templates import load_template, template
from .transforms import move_points

#: Spacing of the displacement fields.
NODES_MM = 3.0


def registered_field(space: str) -> nib.Nifti1Image:
    """Return the displacement field from a template space of TemplateFlow to the output template.

    The T1w template of the space is normalized like the image of a patient, which takes about a minute;
    the field is cached.

    Parameters
    ----------
    space : str
        TemplateFlow name of the space.

    Returns
    -------
    nib.Nifti1Image
        Field in the format of :func:`bids_stroke.spatial.template_transforms.load_transform`.

    Raises
    ------
    ResourceError, UsageError
        If TemplateFlow has no such template, or if its files are missing and cannot be downloaded.
    """
    template_space = find_spaces([space])[-1]
    t1w, brain = template_space.t1w, template_space.brain
    assert t1w and brain  # None only for the default space
    key = [space, stamp(t1w), stamp(brain)]
    (field,) = cached_images(f"from-{space}", key, lambda: [_field(t1w, brain)])
    return field


def _field(t1w: Path, brain: Path) -> nib.Nifti1Image:
    """Compute the displacements (mm) on a coarse grid over the output template, (x, y, z, 3)."""
    source, target = load_template(t1w, brain), template().t1w
    without_lesion = image.like(np.zeros(source.t1w.shape, np.uint8), source.t1w)
    affine = target.affine @ np.diag([NODES_MM, NODES_MM, NODES_MM, 1])
    shape = tuple(int(np.ceil(side / NODES_MM)) for side in target.shape)
    nodes = apply_affine(affine, np.indices(shape).reshape(3, -1).T)
    with TemporaryDirectory() as folder:
        to_template, _ = normalize(source.t1w, source.brain, without_lesion, folder)
        shifts = move_points(nodes, [to_template]) - nodes
    return nib.Nifti1Image(shifts.reshape(*shape, 3).astype(np.float32), affine)
