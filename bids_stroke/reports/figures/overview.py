"""Figure at the top of the participant report: close-up of the lesion, and brain in 3D."""

from pathlib import Path

import nibabel as nib
import numpy as np

from bids_stroke.utils.files import PathLike

from . import mosaic, rendering, slices, svg
from .palette import LESION
from .rendering import ABOVE, BEHIND, LEFT, RIGHT
from .slices import PLANES, WIDTH, Coordinates, Cut, field_of_view
from .svg import STRIP, Box

_HEIGHTS = (480, 360)  # of the rows, pixels
_GAP = 30  # pixels


def draw_overview(
    background_img: nib.Nifti1Image,
    mask_img: nib.Nifti1Image,
    brain_img: nib.Nifti1Image,
    out: PathLike,
    label: str = "T1w",
    coordinates: Coordinates = "scanner",
) -> Path:
    """Draw a slice through the largest component of a lesion in each plane, and the lesion in the brain
    from three sides.

    Without a lesion, the slices pass through the center of the brain.

    Parameters
    ----------
    background_img, mask_img, brain_img : nib.Nifti1Image
        An image, the lesion mask and the brain mask.
    out : path
        SVG file; each slice and view is a :func:`bids_stroke.reports.figures.svg.tile`.
    label : str
        Name of the image.
    coordinates : {"scanner", "template"}
        Kind of the world coordinates.
    """
    is_empty = not np.any(np.asanyarray(mask_img.dataobj))
    cuts = _center(brain_img) if is_empty else slices.close_up(mask_img)
    width = (WIDTH - 4 * _GAP) // 3
    tops = STRIP, STRIP + _HEIGHTS[0] + _GAP
    boxes = [
        [Box(_GAP + column * (width + _GAP), top, width, height) for column in range(3)]
        for top, height in zip(tops, _HEIGHTS, strict=True)
    ]
    title = f"No lesion found on {label}" if is_empty else f"Lesion on {label}"
    legend = [] if is_empty else [("lesion", LESION)]
    layers = [
        *_slices(background_img, mask_img, brain_img, cuts, coordinates, boxes[0]),
        *_views(background_img, mask_img, brain_img, boxes[1]),
        svg.title(title, svg.HIDE, legend),
    ]
    size = WIDTH, tops[1] + _HEIGHTS[1] + _GAP
    alt = f"{title}: slices in three planes, and the brain in 3D"
    return svg.write(out, size, layers, alt, "fading")


def _center(brain_img: nib.Nifti1Image) -> list[Cut]:
    """Create a slice through the center of a brain in each plane."""
    field = field_of_view(brain_img, margin=6)
    center = np.round((field.low + field.high) / 2)
    return [Cut(field, axis, float(center[axis])) for axis in PLANES]


def _slices(
    background_img: nib.Nifti1Image,
    mask_img: nib.Nifti1Image,
    brain_img: nib.Nifti1Image,
    cuts: list[Cut],
    coordinates: Coordinates,
    boxes: list[Box],
) -> list[str]:
    background, masks, inside = (
        [slices.section(img, cut, order) for cut in cuts]
        for img, order in ((background_img, 1), (mask_img, 0), (brain_img, 0))
    )
    low, high = mosaic.window(background, inside)
    return [
        svg.tile(
            (255 * svg.unit(piece, low, high)).astype(np.uint8),
            svg.contour(mosaic.outline(mask), LESION),
            f"{mosaic.label(cut)} ({coordinates})",
            mosaic.side_letters(cut.axis),
            box,
        )
        for piece, mask, cut, box in zip(background, masks, cuts, boxes, strict=True)
    ]


def _views(
    background_img: nib.Nifti1Image,
    mask_img: nib.Nifti1Image,
    brain_img: nib.Nifti1Image,
    boxes: list[Box],
) -> list[str]:
    """Draw the brain in 3D from the side that holds most of the lesion, from behind and from above."""
    volumes = rendering.sample(background_img, brain_img, mask_img)
    along_x = volumes.lesion.sum(axis=(1, 2))
    left, right = (half.sum() for half in np.array_split(along_x, 2))
    views = (LEFT if left >= right else RIGHT), BEHIND, ABOVE
    rendered = [rendering.render(volumes, view) for view in views]
    return [
        svg.tile(pixels, svg.contour(mosaic.outline(outline), LESION), view.name, view.letters, box)
        for (pixels, outline), view, box in zip(rendered, views, boxes, strict=True)
    ]
