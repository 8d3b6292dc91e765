"""Figure of the lesion overlap of a cohort."""

from pathlib import Path

import nibabel as nib
import numpy as np

from bids_stroke.utils.files import PathLike

from . import mosaic, svg
from .mosaic import Overlay
from .palette import plasma
from .slices import AXIAL, CORONAL, SAGITTAL, field_of_view


def draw_overlap(count_img: nib.Nifti1Image, template_img: nib.Nifti1Image, out: PathLike) -> Path:
    """Draw the number of sessions with a lesion in each voxel, in color on the template."""
    field = field_of_view(template_img, margin=4)
    rows = field.spread(AXIAL, rows=2) + field.spread(CORONAL) + field.spread(SAGITTAL)
    panels, size = mosaic.layout(rows)
    size = svg.with_strips(size)
    maximum = int(np.max(np.asanyarray(count_img.dataobj)))
    colors = plasma(1, maximum)
    overlay = Overlay(
        mosaic.sections(count_img, panels, order=0), colors, lambda count: 0.85 * (count > 0)
    )
    title = "Lesion overlap" if maximum else "Lesion overlap: no lesion in any session"
    layers = [
        mosaic.raster(mosaic.sections(template_img, panels), panels, size, None, overlay),
        mosaic.marks(panels),
        svg.title(title, coordinates="template"),
    ]
    if maximum:
        ticks = np.unique(np.linspace(1, maximum, min(maximum, 5)).round().astype(int))
        layers.append(svg.colorbar(colors, ticks.tolist(), "sessions", size))
    alt = f"Lesion overlap on slices of the template: at most {maximum} sessions in a voxel"
    return svg.write(out, size, layers, alt)
