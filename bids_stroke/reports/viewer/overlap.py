"""Interactive viewer of the lesion overlap of a cohort."""

from pathlib import Path

import nibabel as nib
import numpy as np

from bids_stroke.spatial import image
from bids_stroke.spatial.grid import resample
from bids_stroke.spatial.templates import TEMPLATE
from bids_stroke.utils.files import PathLike

from .layers import RAMP, Layer, background, field
from .page import write_page


def write_overlap_viewer(
    count_img: nib.Nifti1Image, template_img: nib.Nifti1Image, out: PathLike
) -> Path:
    """Write the viewer of the number of sessions with a lesion in each voxel.

    Parameters
    ----------
    count_img : nib.Nifti1Image
        Number of lesions on the grid of the template.
    template_img : nib.Nifti1Image
        Skull-stripped T1w of the template.
    out : path
        Output file, ``group_viewer.html``.

    Returns
    -------
    Path
    """
    brain = image.like(template_img.get_fdata(dtype=np.float32) > 0, template_img, np.uint8)
    grid, near, brain = field(template_img, brain)
    counts = resample(count_img, grid, order=0)
    maximum = max(int(np.max(np.asanyarray(counts.dataobj))), 1)
    counts = image.like(counts.dataobj, grid, np.uint8 if maximum < 256 else np.uint16)
    layer = Layer("Lesion overlap", counts, 1, maximum, RAMP, 0.85, True, "sessions")
    return write_page(out, "Lesion overlap", [background(TEMPLATE, grid, near, brain)], [layer], brain)
