"""Figure of the lesion overlap of a cohort."""

import json
from base64 import b64encode
from collections.abc import Sequence
from html import escape
from io import BytesIO
from pathlib import Path

import nibabel as nib
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from bids_stroke.cohort.coarse_lesions import FACTOR, coarse_shape
from bids_stroke.utils.files import PathLike

from . import mosaic, svg
from .mosaic import Panel
from .palette import plasma
from .slices import AXIAL, CORONAL, SAGITTAL, field_of_view
from .svg import Size

OPACITY = 0.85
SHADES = 255  # colors of the palette
STOPS = 9  # colors from which the script of the page interpolates


def draw_overlap(count_img: nib.Nifti1Image, template_img: nib.Nifti1Image, out: PathLike) -> Path:
    """Draw the number of sessions with a lesion in each voxel, in color on the template.

    The colors are a separate layer, which describes the slices in coarse cells, so that the script of
    the group report can replace it by the overlap of selected sessions.

    Parameters
    ----------
    count_img : nib.Nifti1Image
        Number of lesions, on a grid with RAS axes.
    template_img : nib.Nifti1Image
    out : path
    """
    field = field_of_view(template_img, margin=4)
    rows = field.spread(AXIAL, rows=2) + field.spread(CORONAL) + field.spread(SAGITTAL)
    panels, size = mosaic.layout(rows)
    size = svg.with_strips(size)
    maximum = int(np.max(np.asanyarray(count_img.dataobj)))
    title = "Lesion overlap" if maximum else "Lesion overlap: no lesion in any session"
    layers = [mosaic.raster(mosaic.sections(template_img, panels), panels, size)]
    if maximum:
        layers.append(_counts(count_img, panels, size, maximum))
    layers += [mosaic.marks(panels), svg.title(title, coordinates="template")]
    if maximum:
        ticks = np.unique(np.linspace(1, maximum, min(maximum, 5)).round().astype(int))
        bar = svg.colorbar(plasma(1, maximum), ticks.tolist(), "sessions", size)
        layers.append(f'<g class="scale">{bar}</g>\n')
    alt = f"Lesion overlap on slices of the template: at most {maximum} sessions in a voxel"
    return svg.write(out, size, layers, alt)


def _counts(img: nib.Nifti1Image, panels: Sequence[Panel], size: Size, maximum: int) -> str:
    """Draw the counts as an ``<image>`` with transparent background."""
    width, height = size
    shades = np.zeros((height, width), np.uint8)
    for panel, piece in zip(panels, mosaic.sections(img, panels, order=0), strict=True):
        target = shades[panel.top :, panel.left :][: piece.shape[0], : piece.shape[1]]
        scaled = 1 + np.round(svg.unit(piece, 1, maximum) * (SHADES - 1))
        target[:] = np.where(piece > 0, scaled, 0)[:, : target.shape[1]]
    colors = plasma(0, 1)(np.linspace(0, 1, SHADES)).round().astype(np.uint8)
    picture = Image.fromarray(shades).convert("P")
    picture.putpalette([0, 0, 0, *colors.ravel().tolist()])
    stream = BytesIO()
    picture.save(stream, "PNG", optimize=True, transparency=0)
    stops = plasma(0, 1)(np.linspace(0, 1, STOPS)).round().astype(int).tolist()
    cells = {
        "shape": coarse_shape(img.shape),
        "size": float(FACTOR * img.affine[0, 0]),
        "colors": stops,
        "panels": [_cells(img.affine, panel) for panel in panels],
    }
    return (
        f'<image class="counts" width="{width}" height="{height}" opacity="{OPACITY}" '
        f'data-cells="{escape(json.dumps(cells))}" '
        f'href="data:image/png;base64,{b64encode(stream.getvalue()).decode()}"/>\n'
    )


def _cells(affine: NDArray[np.floating], panel: Panel) -> list[float]:
    """Return the axis and the layer of cells of a panel, the size of a cell, and the left and the
    bottom of the first cell (pixels)."""
    field, axis, position = panel.cut
    rows, columns = field.pixels(axis)
    across, up = (other for other in range(3) if other != axis)
    voxel, start = np.diag(affine)[:3], affine[:3, 3] - np.diag(affine)[:3] / 2
    layer = int((position - start[axis]) // (FACTOR * voxel[axis]))
    left = panel.left + 0.5 + (start[across] - columns[0]) / field.step
    bottom = panel.top + 0.5 + (rows[0] - start[up]) / field.step
    edge = FACTOR * voxel[across] / field.step
    return [axis, layer, *(round(float(number), 2) for number in (edge, left, bottom))]
