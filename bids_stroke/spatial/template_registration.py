"""Registration of TemplateFlow's templates to the output template; each is done once, and kept."""

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

NODES_MM = 3.0


def registered_field(space: str) -> nib.Nifti1Image:
    """Displacement field from a template space of TemplateFlow to the output template.

    The T1w template of the space is normalized as a head is (about a minute), and the field is kept in
    the cache.

    Parameters
    ----------
    space : str
        TemplateFlow's name.

    Returns
    -------
    nib.Nifti1Image
        As :func:`bids_stroke.spatial.template_transforms.load_transform` returns it.

    Raises
    ------
    ResourceError, UsageError
        If TemplateFlow has no such template, or its files are neither there nor can be downloaded.
    """
    found = find_spaces([space])[-1]
    t1w, brain = found.t1w, found.brain
    assert t1w and brain  # of all spaces but the default one
    key = [space, stamp(t1w), stamp(brain)]
    (field,) = cached_images(f"from-{space}", key, lambda: [_field(t1w, brain)])
    return field


def _field(t1w: Path, brain: Path) -> nib.Nifti1Image:
    """Shifts (mm) at nodes of the output template, (x, y, z, 3)."""
    source, target = load_template(t1w, brain), template().t1w
    without_lesion = image.like(np.zeros(source.t1w.shape, np.uint8), source.t1w)
    affine = target.affine @ np.diag([NODES_MM, NODES_MM, NODES_MM, 1])
    shape = tuple(int(np.ceil(side / NODES_MM)) for side in target.shape)
    nodes = apply_affine(affine, np.indices(shape).reshape(3, -1).T)
    with TemporaryDirectory() as folder:
        to_template, _ = normalize(source.t1w, source.brain, without_lesion, folder)
        shifts = move_points(nodes, [to_template]) - nodes
    return nib.Nifti1Image(shifts.reshape(*shape, 3).astype(np.float32), affine)
