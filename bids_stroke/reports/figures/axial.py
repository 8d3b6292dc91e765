"""Figure of all axial slices of a brain, of which the participant report shows one at a time.

The figures of all contrasts of a session have the same slices of the same world space. Lesion,
probability and tracts are vectors in layers that the report can hide.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import nibabel as nib
import numpy as np

from bids_stroke.utils.files import PathLike

from . import mosaic, svg
from .mosaic import Panel, Sections
from .palette import FAINT, LESION, OUTLINE, hexadecimal, plasma
from .slices import AXIAL, Coordinates, Cut, field_of_view

SPACING = 3.0  # mm between slices
STEP = 1.0  # pixel spacing, mm
_BANDS = (FAINT, 0.25, 0.5, 0.75)  # lower limits of the colors of the probability
_SHADES = (0.1, 0.3)  # lower limits of the shades of a tract


class Layer(NamedTuple):
    """Layer of a figure: its name, its color in the legend, its ``<path>`` elements, and whether it is
    visible initially."""

    name: str
    color: str
    paths: Iterable[str]
    shown: bool = True


def draw_axial(
    background_img: nib.Nifti1Image,
    mask_img: nib.Nifti1Image,
    brain_img: nib.Nifti1Image,
    out: PathLike,
    label: str = "T1w",
    probability_img: nib.Nifti1Image | None = None,
    tracts: Mapping[str, nib.Nifti1Image] | None = None,
    coordinates: Coordinates = "scanner",
) -> Path:
    """Draw axial slices of an image at multiples of ``SPACING``, with the lesion, its probability and
    tracts as layers.

    Parameters
    ----------
    background_img, mask_img, brain_img : nib.Nifti1Image
        An image, the lesion mask and the brain mask, which defines slices and intensity window.
    out : path
        SVG file. The attribute ``data-slices`` of its root element lists left edge, top edge and
        position (mm) of each slice, ``data-size`` width and height of a slice, and ``data-start`` the
        index of the slice with the largest lesion area.
    label : str
        Name of the image.
    probability_img : nib.Nifti1Image, optional
        Lesion probability (0-1).
    tracts : mapping of str to nib.Nifti1Image, optional
        Tract probability (0-1) by name of the tract.
    coordinates : {"scanner", "template"}
        Kind of the world coordinates, which are those of all images.
    """
    panels, size = mosaic.layout(_rows(brain_img))
    masks = mosaic.sections(mask_img, panels, order=0)
    layers = [Layer("lesion", LESION, [mosaic.contours(masks, panels, LESION)])]
    if probability_img is not None:
        levels = mosaic.sections(probability_img, panels)
        layers.insert(0, Layer("probability", _band_colors()[-2], _bands(levels, panels), shown=False))
    for name, img in (tracts or {}).items():
        shades = _shades(mosaic.sections(img, panels), panels)
        layers.insert(0, Layer(name, OUTLINE, shades))
    title = f"Axial slices of the {label}"
    legend = [(layer.name, layer.color) for layer in reversed(layers) if layer.shown]
    areas = [np.count_nonzero(mask) for mask in masks]
    height, width = panels[0].cut.field.shape(AXIAL)
    parts = [
        mosaic.raster(
            mosaic.sections(background_img, panels),
            panels,
            size,
            mosaic.sections(brain_img, panels, order=0),
        ),
        *map(_group, layers),
        mosaic.marks(panels),
        svg.title(title, svg.HIDE, legend, coordinates),
    ]
    data = {
        "label": label,
        "coordinates": coordinates,
        "slices": " ".join(f"{panel.left},{panel.top},{panel.cut.position:g}" for panel in panels),
        "size": f"{width},{height}",
        "start": int(np.argmax(areas)) if any(areas) else len(panels) // 2,
    }
    alt = f"{title}, with the contour of the lesion" if any(areas) else f"{title}, without a lesion"
    return svg.write(out, size, parts, alt, "fading", data)


def _rows(brain_img: nib.Nifti1Image) -> list[list[Cut]]:
    """Create rows of axial slices over a brain."""
    field = replace(field_of_view(brain_img, margin=6), step=STEP)
    first, last = np.ceil(field.low[AXIAL] / SPACING), np.floor(field.high[AXIAL] / SPACING)
    positions = SPACING * np.arange(first, last + 1)
    n = field.columns(AXIAL)
    return [field.row(AXIAL, positions[i : i + n]) for i in range(0, len(positions), n)]


def _group(layer: Layer) -> str:
    hidden = "" if layer.shown else ' visibility="hidden"'
    name = svg.attributes({"layer": layer.name, "color": layer.color})
    return f"<g{name}{hidden}>\n{''.join(layer.paths)}</g>\n"


def _bands(levels: Sections, panels: Sequence[Panel]) -> list[str]:
    """Fill the areas of a probability above each limit; higher limits cover lower ones."""
    return [
        svg.area(mosaic.outlines(levels, panels, limit, every=3), color, 0.75)
        for limit, color in zip(_BANDS, _band_colors(), strict=True)
    ]


def _band_colors() -> list[str]:
    """Return the color of each band: that of its upper limit."""
    return [hexadecimal(color) for color in plasma(0, 1)(np.array([*_BANDS[1:], 1]))]


def _shades(levels: Sections, panels: Sequence[Panel]) -> list[str]:
    """Fill the areas of a tract above each limit; areas that overlap are stronger."""
    return [
        svg.area(mosaic.outlines(levels, panels, limit, every=3), OUTLINE, 0.3) for limit in _SHADES
    ]
