"""Interactive viewer of a lesion-symptom map."""

from pathlib import Path

import nibabel as nib
import numpy as np

from bids_stroke.cohort.permutation import TWO_SIDED
from bids_stroke.spatial import image
from bids_stroke.spatial.grid import resample
from bids_stroke.spatial.templates import TEMPLATE
from bids_stroke.utils.files import PathLike

from .layers import COLD, RAMP, Layer, background, field
from .page import write_page


def write_symptom_viewer(
    title: str,
    t_img: nib.Nifti1Image,
    count_img: nib.Nifti1Image,
    critical_t: float,
    direction: int,
    template_img: nib.Nifti1Image,
    out: PathLike,
) -> Path:
    """Write the viewer of the t values of a lesion-symptom map and of the lesion overlap.

    Positive and negative t values are separate layers with a threshold that the user can change.

    Parameters
    ----------
    title : str
    t_img, count_img : nib.Nifti1Image
        t values, and number of lesions in each tested voxel; 0 outside of the tested voxels.
    critical_t : float
        Initial threshold, if a voxel reaches it.
    direction : int
        Sign of the tested effects; 0 for both. The other direction is hidden initially.
    template_img : nib.Nifti1Image
        Skull-stripped T1w of the template.
    out : path

    Returns
    -------
    Path
    """
    brain = image.like(template_img.get_fdata(dtype=np.float32) > 0, template_img, np.uint8)
    grid, near, brain = field(template_img, brain)
    t = t_img.get_fdata(dtype=np.float32)
    layers = []
    for name, sign, colors in (("t, higher outcome", 1, RAMP), ("t, lower outcome", -1, COLD)):
        values = resample(image.like(np.maximum(sign * t, 0), t_img), grid, order=0)
        maximum = float(np.max(values.get_fdata(dtype=np.float32)))
        if maximum > 0:
            is_tested = direction in (TWO_SIDED, sign)
            start = round(critical_t, 2) if is_tested and critical_t <= maximum else 0.0
            layers.append(Layer(name, values, 0, round(maximum, 2), colors, 0.85, is_tested, "", start))
    counts = resample(count_img, grid, order=0)
    most = max(int(np.max(np.asanyarray(counts.dataobj))), 1)
    counts = image.like(counts.dataobj, grid, np.uint8 if most < 256 else np.uint16)
    layers.append(Layer("Lesion overlap", counts, 1, most, RAMP, 0.85, False, "participants"))
    return write_page(out, title, [background(TEMPLATE, grid, near, brain)], layers, brain)
