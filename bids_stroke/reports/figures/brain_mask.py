"""Figure of a brain mask."""

from pathlib import Path

import nibabel as nib

from bids_stroke.utils.files import PathLike

from . import mosaic, svg
from .palette import OUTLINE
from .slices import field_of_view


def draw_brain_mask(t1w_img: nib.Nifti1Image, mask_img: nib.Nifti1Image, out: PathLike) -> Path:
    """Draw the contour of a brain mask on slices of the head in three planes."""
    field = field_of_view(mask_img, margin=18)
    panels, size = mosaic.layout(field.planes())
    masks = mosaic.sections(mask_img, panels)
    layers = [
        mosaic.raster(mosaic.sections(t1w_img, panels), panels, size, inside=masks),
        mosaic.contours(masks, panels, OUTLINE),
        mosaic.marks(panels),
        svg.title("Brain mask", svg.HIDE, [("brain mask", OUTLINE)], "scanner"),
    ]
    alt = "Contour of the brain mask on slices through the head in three planes"
    return svg.write(out, size, layers, alt, "fading")
