"""The interactive viewer of the lesion overlap of a cohort."""

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
    """Write the viewer of the number of sessions whose lesion covers each voxel.

    Parameters
    ----------
    count_img : nib.Nifti1Image
        Counts, on the grid of the template.
    template_img : nib.Nifti1Image
        T1w of the template, without the skull.
    out : path
        ``group_viewer.html``.

    Returns
    -------
    Path
    """
    brain = image.like(template_img.get_fdata(dtype=np.float32) > 0, template_img, np.uint8)
    grid, near, brain = field(template_img, brain)
    counts = resample(count_img, grid, order=0)
    most = max(int(np.max(np.asanyarray(counts.dataobj))), 1)
    counts = image.like(counts.dataobj, grid, np.uint8 if most < 256 else np.uint16)
    layer = Layer("Lesion overlap", counts, 1, most, RAMP, 0.85, True, "sessions")
    return write_page(out, "Lesion overlap", [background(TEMPLATE, grid, near, brain)], [layer], brain)
