"""Mosaics of slices in rows, with contours and labels.

A mosaic is a single JPEG; contours and labels are vectors. Slices are sampled in world space with a
pixel spacing of ``STEP`` mm, so that anisotropic, oblique and non-RAS images are shown undistorted.
Neurological convention: the left side of the patient is on the left.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import nibabel as nib
import numpy as np
from contourpy import contour_generator
from numpy.typing import NDArray

from . import svg
from .slices import GAP, SAGITTAL, WIDTH, Cut, section
from .svg import STRIP, Colors, Size, unit

LINE = 26  # height of the text below a row of slices, pixels
MAX_GAP = 40

#: Sections through an image, one for each panel.
Sections = Sequence[NDArray[np.floating]]


@dataclass(frozen=True)
class Overlay:
    """Values shown in color on the gray slices.

    Attributes
    ----------
    slices : sequence of (rows, columns) arrays
        Values in each panel.
    colors : function
        Maps values to colors, see :data:`bids_stroke.reports.figures.svg.Colors`.
    opacity : function
        Maps values to opacities (0-1), an array of the same shape.
    """

    slices: Sections
    colors: Colors
    opacity: Callable[[NDArray[np.floating]], NDArray[np.floating]]


class Panel(NamedTuple):
    """Slice at a position in a mosaic (pixels); ``first`` marks the first slice of a plane in a row."""

    cut: Cut
    left: int
    top: int
    first: bool


def layout(rows: Iterable[Sequence[Cut]]) -> tuple[list[Panel], Size]:
    """Arrange rows of slices from the left; return panels and (width, height).

    A window narrower than the figure shows its left part first.
    """
    panels, top = [], STRIP
    for row in rows:
        shapes = [cut.field.shape(cut.axis) for cut in row]
        free = WIDTH - sum(width for _, width in shapes)
        gap = max(min(free / len(row), MAX_GAP), 0)
        left = gap / 2
        axis = None
        for cut, (_, width) in zip(row, shapes, strict=True):
            panels.append(Panel(cut, int(left), top, cut.axis != axis))
            left += width + gap
            axis = cut.axis
        top += max(height for height, _ in shapes) + LINE + GAP
    return panels, (WIDTH, top)


def sections(
    img: nib.Nifti1Image, panels: Iterable[Panel], order: int = 1, outside: float | None = None
) -> list[NDArray[np.float32]]:
    """Sample the slice of an image for each panel; see
    :func:`bids_stroke.reports.figures.slices.section`."""
    if outside is None:  # once for all slices
        outside = float(img.get_fdata(dtype=np.float32).min())
    return [section(img, panel.cut, order, outside) for panel in panels]


def raster(
    slices: Sections,
    panels: Sequence[Panel],
    size: Size,
    inside: Sections | None = None,
    overlay: Overlay | None = None,
) -> str:
    """Draw the mosaic as an ``<image>`` element, with an optional overlay.

    For ``inside``, see :func:`bids_stroke.reports.figures.mosaic.window`.
    """
    low, high = window(slices, inside)
    width, height = size
    canvas = np.zeros((height, width, 3) if overlay else (height, width), np.uint8)
    for i, (panel, piece) in enumerate(zip(panels, slices, strict=True)):
        pixels = 255 * unit(piece, low, high)
        if overlay:
            opacity = overlay.opacity(overlay.slices[i])[..., None]
            pixels = (1 - opacity) * pixels[..., None] + opacity * overlay.colors(overlay.slices[i])
        target = canvas[panel.top :, panel.left :][: piece.shape[0], : piece.shape[1]]
        target[:] = pixels[:, : target.shape[1]]
    return svg.image(canvas, 0, 0, width, height)


def window(slices: Sections, inside: Sections | None) -> tuple[float, float]:
    """Return the intensities that are shown in black and white: the 0.5th and the 99.5th percentile
    within ``inside`` (masks of the slices), or within the head."""
    values = np.concatenate([piece.ravel() for piece in slices])
    if inside:
        head = np.concatenate([piece.ravel() for piece in inside]) > 0.5
    else:
        head = values > values.min() + 0.05 * (np.percentile(values, 99.5) - values.min())
    low, high = np.percentile(values[head] if head.any() else values, (0.5, 99.5))
    return low, high


def contours(masks: Sections, panels: Iterable[Panel], color: str) -> str:
    """Draw the contours of ``masks`` (sections in ``panels``) at 0.5 as a ``<path>`` element."""
    return svg.contour(outlines(masks, panels), color)


def outlines(slices: Sections, panels: Iterable[Panel], level: float = 0.5, every: int = 2) -> str:
    """Return the path data of the contours of ``slices`` (sections in ``panels``) at ``level``.

    Of the points of a long contour, ``every`` second or third is drawn.
    """
    return "".join(
        outline(piece, level, every, (panel.left, panel.top))
        for piece, panel in zip(slices, panels, strict=True)
    )


def outline(
    piece: NDArray, level: float = 0.5, every: int = 2, origin: tuple[int, int] = (0, 0)
) -> str:
    """Return the path data of the contours of a slice at ``level``, relative to ``origin``."""
    # A border of zeros closes the contour of a mask that leaves the field of view.
    generator = contour_generator(z=np.pad(piece.astype(np.float32), 1))
    # The annotation covers all line types; the default line type is a list of arrays.
    lines: list[NDArray[np.floating]] = generator.lines(level)  # type: ignore[assignment]
    strokes = []
    for line in lines:
        points = line[:-1] if len(line) < 16 else line[:-1:every]
        points = np.round(points + origin - 0.5, 1)
        steps = np.diff(points, axis=0)
        start = "{:g},{:g}".format(*points[0])
        strokes.append(f"M{start}l" + " ".join(f"{x:.1f},{y:.1f}" for x, y in steps) + "z")
    return "".join(strokes)


def label(cut: Cut) -> str:
    """Format the position of a slice: ``z = 12 mm``."""
    return f"{'xyz'[cut.axis]} = {round(cut.position)} mm".replace("-", "\N{MINUS SIGN}")


def side_letters(axis: int) -> tuple[str, str]:
    """Return the letters of the left and the right edge of a slice perpendicular to ``axis``."""
    return ("P", "A") if axis == SAGITTAL else ("L", "R")


def marks(panels: Iterable[Panel]) -> str:
    """Draw the position below each slice, and the sides at the first slice of each plane in a row."""
    texts = []
    for panel in panels:
        height, width = panel.cut.field.shape(panel.cut.axis)
        bottom = panel.top + height + LINE - 7
        texts.append(svg.text(label(panel.cut), panel.left + width / 2, bottom, "middle"))
        if panel.first:
            left, right = side_letters(panel.cut.axis)
            texts.append(svg.text(left, panel.left + 3, panel.top + 18, "start", "side"))
            texts.append(svg.text(right, panel.left + width - 3, panel.top + 18, "end", "side"))
    return "".join(texts)
