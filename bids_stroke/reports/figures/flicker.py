"""Figure of two aligned images that alternate: registration, normalization, bias correction."""

from collections.abc import Sequence
from pathlib import Path

import nibabel as nib
from scipy import ndimage

from bids_stroke.utils.files import PathLike

from . import mosaic, svg
from .palette import OUTLINE
from .slices import PLANES, Coordinates, field_of_view


def draw_flicker(
    fixed_img: nib.Nifti1Image,
    moving_img: nib.Nifti1Image,
    out: PathLike,
    contour_img: nib.Nifti1Image | None = None,
    labels: tuple[str, str] = ("T1w", "FLAIR"),
    coordinates: Coordinates = "scanner",
    planes: Sequence[int] = PLANES,
) -> Path:
    """Draw two aligned images that alternate on hover or focus, with a contour on both.

    Parameters
    ----------
    fixed_img, moving_img : nib.Nifti1Image
        Images aligned in world space, on any grids. ``moving_img`` is visible without hover.
    out : path
        SVG file.
    contour_img : nib.Nifti1Image, optional
        Mask (brain or white matter) whose contour is drawn; it also defines the field of view.
    labels : pair of str
        Names of the fixed and of the moving image.
    coordinates : {"scanner", "template", "midpoint"}
        Kind of the world coordinates.
    planes : sequence of int
        World axes perpendicular to the slices; one row each.
    """
    field = field_of_view(fixed_img if contour_img is None else contour_img, margin=12)
    panels, size = mosaic.layout(field.planes(planes))
    masks = [] if contour_img is None else mosaic.sections(contour_img, panels)
    # The intensity window covers the brain, even if the contour is that of white matter.
    inside = [ndimage.grey_closing(mask, 15) for mask in masks]
    fixed, moving = (
        mosaic.raster(mosaic.sections(img, panels), panels, size, inside)
        + svg.title(label, f"hover or focus to alternate with {other}", coordinates=coordinates)
        for img, label, other in zip((fixed_img, moving_img), labels, labels[::-1], strict=True)
    )
    layers = [fixed, f'<g class="moving">\n{moving}</g>\n', mosaic.marks(panels)]
    if masks:
        layers.append(mosaic.contours(masks, panels, OUTLINE))
    alt = f"Slices of {labels[1]}, alternating with the same slices of {labels[0]}"
    return svg.write(out, size, layers, alt, "flicker")
