"""Figures of a lesion: contour, probability, and comparison of a predicted and a true mask.

The captions in the participant report are in ``data/report_spec.yml``.
"""

from pathlib import Path

import nibabel as nib
import numpy as np

from bids_stroke.spatial.image import like
from bids_stroke.utils.files import PathLike

from . import mosaic, slices, svg
from .mosaic import Overlay
from .palette import FAINT, LESION, OUTLINE, plasma
from .slices import AXIAL, CORONAL, SAGITTAL, Coordinates, field_of_view


def draw_lesion(
    background_img: nib.Nifti1Image,
    mask_img: nib.Nifti1Image,
    out: PathLike,
    label: str = "T1w",
    brain_img: nib.Nifti1Image | None = None,
    coordinates: Coordinates = "scanner",
) -> Path:
    """Draw the contour of a lesion.

    The first row is a close-up in each plane. The other rows show coronal and sagittal slices through
    the lesion; :func:`bids_stroke.reports.figures.axial.draw_axial` draws axial slices. The figure of
    an empty mask shows slices of the brain in three planes, and states that no lesion was found.

    Parameters
    ----------
    background_img, mask_img : nib.Nifti1Image
        An image and the lesion mask.
    out : path
        SVG file.
    label : str
        Name of the background image.
    brain_img : nib.Nifti1Image, optional
        Brain mask that defines the field of view and the intensity window; default: the head.
    coordinates : {"scanner", "template"}
        Kind of the world coordinates.
    """
    field = field_of_view(background_img if brain_img is None else brain_img, margin=6)
    if np.any(np.asanyarray(mask_img.dataobj)):
        title = f"Lesion on {label}"
        alt = f"{title}: contour of the mask on slices in three planes"
        strip = svg.title(title, svg.HIDE, [("lesion", LESION)], coordinates)
        rows = [slices.close_up(mask_img)]
        rows += [slices.through(mask_img, axis, field) for axis in (CORONAL, SAGITTAL)]
    else:
        title = alt = f"No lesion found on {label}"
        strip = svg.title(title, coordinates=coordinates)
        rows = field.planes()
    panels, size = mosaic.layout(rows)
    inside = None if brain_img is None else mosaic.sections(brain_img, panels)
    layers = [
        mosaic.raster(mosaic.sections(background_img, panels), panels, size, inside),
        mosaic.contours(mosaic.sections(mask_img, panels, order=0), panels, LESION),
        mosaic.marks(panels),
        strip,
    ]
    return svg.write(out, size, layers, alt, "fading")


def draw_probability(
    background_img: nib.Nifti1Image,
    probability_img: nib.Nifti1Image,
    mask_img: nib.Nifti1Image,
    out: PathLike,
    label: str = "T1w",
    brain_img: nib.Nifti1Image | None = None,
) -> Path:
    """Draw the lesion probability in color, and the contour of the lesion mask.

    Parameters
    ----------
    probability_img, mask_img : nib.Nifti1Image
        Probability (0-1) and mask on the same grid.
    background_img, out, label, brain_img
        As in :func:`bids_stroke.reports.figures.lesion.draw_lesion`.
    """
    field = field_of_view(background_img if brain_img is None else brain_img, margin=6)
    visible = like(probability_img.get_fdata(dtype=np.float32) >= FAINT, mask_img, np.uint8)
    rows = field.spread(AXIAL)
    if np.any(visible.dataobj):
        rows = [slices.through(visible, AXIAL, field), slices.through(visible, CORONAL, field)]
    panels, size = mosaic.layout(rows)
    size = svg.with_strips(size)
    inside = None if brain_img is None else mosaic.sections(brain_img, panels)
    has_contour = np.any(np.asanyarray(mask_img.dataobj))
    hint, legend = (svg.HIDE, [("mask", OUTLINE)]) if has_contour else ("", [])
    colors = plasma(0, 1)
    overlay = Overlay(
        mosaic.sections(probability_img, panels), colors, lambda p: np.where(p >= FAINT, 0.8, 0)
    )
    layers = [
        mosaic.raster(mosaic.sections(background_img, panels), panels, size, inside, overlay),
        mosaic.contours(mosaic.sections(mask_img, panels, order=0), panels, OUTLINE),
        mosaic.marks(panels),
        svg.title(f"Lesion probability on {label}", hint, legend, "scanner"),
        svg.colorbar(colors, (FAINT, 0.25, 0.5, 0.75, 1), "probability", size),
    ]
    alt = f"Lesion probability in color on slices of the {label}, with the contour of the mask"
    return svg.write(out, size, layers, alt, "fading")


def draw_comparison(
    background_img: nib.Nifti1Image,
    first_img: nib.Nifti1Image,
    second_img: nib.Nifti1Image,
    title: str,
    out: PathLike,
    labels: tuple[str, str] = ("truth", "prediction"),
    brain_img: nib.Nifti1Image | None = None,
) -> Path:
    """Draw the contours of two masks, on three rows of slices through both.

    Parameters
    ----------
    first_img, second_img : nib.Nifti1Image
        Masks, by default the true and the predicted one.
    title : str
    labels : tuple of (str, str)
        Names of the masks.
    background_img, out, brain_img
        As in :func:`bids_stroke.reports.figures.lesion.draw_lesion`.
    """
    both = (np.asanyarray(first_img.dataobj) > 0) | (np.asanyarray(second_img.dataobj) > 0)
    either = like(both, first_img, np.uint8)
    field = field_of_view(background_img if brain_img is None else brain_img, margin=6)
    rows = slices.through_planes(either, field) if both.any() else field.planes()
    panels, size = mosaic.layout(rows)
    inside = None if brain_img is None else mosaic.sections(brain_img, panels)
    layers = [
        mosaic.raster(mosaic.sections(background_img, panels), panels, size, inside),
        mosaic.contours(mosaic.sections(first_img, panels, order=0), panels, OUTLINE),
        mosaic.contours(mosaic.sections(second_img, panels, order=0), panels, LESION),
        mosaic.marks(panels),
        svg.title(title, svg.HIDE, list(zip(labels, (OUTLINE, LESION), strict=True))),
    ]
    alt = f"{title}: contours of the {' and of the '.join(labels)} on slices in three planes"
    return svg.write(out, size, layers, alt, "fading")
