"""Figure of a lesion-symptom map."""

from pathlib import Path

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

from bids_stroke.spatial import image
from bids_stroke.utils.files import PathLike

from . import mosaic, svg
from .mosaic import Overlay
from .palette import OUTLINE, berlin
from .slices import AXIAL, CORONAL, SAGITTAL, field_of_view


def draw_symptom_map(
    t_img: nib.Nifti1Image,
    p_img: nib.Nifti1Image,
    alpha: float,
    template_img: nib.Nifti1Image,
    name: str,
    out: PathLike,
) -> Path:
    """Draw the t values of the tested voxels in color on the template.

    Parameters
    ----------
    t_img, p_img : nib.Nifti1Image
        t values (0 outside of the tested voxels) and corrected p values (1 outside).
    alpha : float
        Voxels with a corrected p value of at most ``alpha`` have a contour.
    template_img : nib.Nifti1Image
        Skull-stripped T1w of the template.
    name : str
        Name of the outcome.
    out : path
    """
    view = field_of_view(template_img, margin=4)
    rows = view.spread(AXIAL, rows=2) + view.spread(CORONAL) + view.spread(SAGITTAL)
    panels, size = mosaic.layout(rows)
    size = svg.with_strips(size)
    t, p = (img.get_fdata(dtype=np.float32) for img in (t_img, p_img))
    limit = float(np.abs(t).max())
    significant = image.like(p <= alpha, p_img, np.uint8)
    number = int(np.count_nonzero(significant.dataobj))
    values = mosaic.sections(t_img, panels, order=0, outside=0)
    colors = berlin(limit)

    def opacity(values: NDArray[np.floating]) -> NDArray[np.floating]:
        return 0.85 * (values != 0)

    hint = "" if number else "no significant voxel"
    legend = [(f"corrected p ≤ {alpha:g}", OUTLINE)] if number else []
    layers = [
        mosaic.raster(
            mosaic.sections(template_img, panels),
            panels,
            size,
            None,
            Overlay(values, colors, opacity),
        ),
        mosaic.contours(mosaic.sections(significant, panels, order=0), panels, OUTLINE),
        mosaic.marks(panels),
        svg.title(f"Lesion-symptom map: {name}", hint, legend, "template"),
        svg.colorbar(colors, [-round(limit, 1), 0, round(limit, 1)], "t", size),
    ]
    alt = (
        f"t values of the relation of lesions to {name} on slices of the template: {number} voxels "
        f"with a corrected p value of at most {alpha:g}"
    )
    return svg.write(out, size, layers, alt)
