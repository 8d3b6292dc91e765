"""Mosaics of slices, the ground of every figure: cut, laid out, drawn as SVG.

A figure is a mosaic of slices in a single JPEG, with contours and labels drawn as vectors over it.
Slices are cut in world space every ``STEP`` mm, so that anisotropic, oblique and non-RAS images
look as the head does. Neurological convention: the patient's left is on the left.
"""

import re
from base64 import b64decode, b64encode
from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import NamedTuple
from xml.sax.saxutils import escape, quoteattr

import numpy as np
from contourpy import contour_generator
from PIL import Image

from bids_stroke.utils.files import atomic

from .slices import GAP, SAGITTAL, WIDTH, Cut, section

STRIP = 34  # height of the strips that hold the title and the color bar, pixels
LINE = 20  # height of the line of text under a row of slices, pixels
WIDEST_GAP = 40
QUALITY = 80  # of the JPEG
RASTER = re.compile(r"data:image/jpeg;base64,([A-Za-z0-9+/=]+)")
STYLE = """\
text {font: 14px Helvetica, Arial, sans-serif; fill: #c9d1d9}
.title {font-weight: bold; font-size: 16px; fill: #fff}
.side {font-weight: bold; fill: #ffd166; stroke: #000; stroke-width: 3px; paint-order: stroke}
.contour {fill: none; stroke-width: 1.5; stroke-linejoin: round}
.fading:is(:hover, :focus-visible) .contour {opacity: 0}
.flicker:is(:hover, :focus-visible) .moving {animation: flicker 2s ease-in-out infinite alternate}
@keyframes flicker {0%, 30% {opacity: 1} 70%, 100% {opacity: 0}}
@media (prefers-reduced-motion: reduce) {
  .flicker:is(:hover, :focus-visible) .moving {animation: none; opacity: 0}
}
"""


@dataclass(frozen=True)
class Overlay:
    """Values to be shown in color over the gray slices: ``colors`` and ``opacity`` (0-1) of an
    array of values, the former with red, green and blue (0-255) in a last axis."""

    slices: list
    colors: Callable
    opacity: Callable


class Panel(NamedTuple):
    """A slice in its place in a mosaic; ``first`` of its plane in a row."""

    cut: Cut
    left: int
    top: int
    first: bool


def layout(rows):
    """Place rows of slices, each in the middle of the width; returns panels and (width, height)."""
    panels, top = [], STRIP
    for row in rows:
        shapes = [cut.field.shape(cut.axis) for cut in row]
        free = WIDTH - sum(width for _, width in shapes)
        gap = max(min(free / len(row), WIDEST_GAP), 0)
        left = max((free - gap * (len(row) - 1)) / 2, 0)
        axis = None
        for cut, (_, width) in zip(row, shapes, strict=True):
            panels.append(Panel(cut, int(left), top, cut.axis != axis))
            left += width + gap
            axis = cut.axis
        top += max(height for height, _ in shapes) + LINE + GAP
    return panels, (WIDTH, top)


def sections(img, panels, order=1):
    """Cut an image at every panel."""
    return [section(img, panel.cut, order) for panel in panels]


def unit(values, low, high):
    """Values between ``low`` and ``high`` as 0 to 1."""
    return np.clip((values - low) / ((high - low) or 1), 0, 1)


def raster(slices, panels, size, inside=None, overlay=None):
    """The mosaic as an SVG image: gray levels from the 0.5 to the 99.5 percentile of ``inside``
    (without it, of the head), under an :class:`Overlay`."""
    values = np.concatenate([piece.ravel() for piece in slices])
    if inside:
        head = np.concatenate([piece.ravel() for piece in inside]) > 0.5
    else:
        head = values > values.min() + 0.05 * (np.percentile(values, 99.5) - values.min())
    low, high = np.percentile(values[head] if head.any() else values, (0.5, 99.5))
    width, height = size
    canvas = np.zeros((height, width, 3) if overlay else (height, width), np.uint8)
    for i, (panel, piece) in enumerate(zip(panels, slices, strict=True)):
        pixels = 255 * unit(piece, low, high)
        if overlay:
            over = overlay.opacity(overlay.slices[i])[..., None]
            pixels = (1 - over) * pixels[..., None] + over * overlay.colors(overlay.slices[i])
        place = canvas[panel.top :, panel.left :][: piece.shape[0], : piece.shape[1]]
        place[:] = pixels[:, : place.shape[1]]
    return image(canvas, 0, 0, width, height)


def image(pixels, x, y, width, height):
    """Pixels as an element of the figure."""
    return (
        f'<image x="{x}" y="{y}" width="{width}" height="{height}" preserveAspectRatio="none" '
        f'href="data:image/jpeg;base64,{_jpeg(Image.fromarray(pixels))}"/>\n'
    )


def contours(masks, panels, color):
    """Outlines of ``masks`` (sections at ``panels``) at one half, as one SVG path."""
    strokes = []
    for mask, panel in zip(masks, panels, strict=True):
        # A frame of zeros closes the outline of a mask that leaves the field of view.
        origin = panel.left - 0.5, panel.top - 0.5
        for line in contour_generator(z=np.pad(mask, 1)).lines(0.5):
            points = line[:-1] if len(line) < 16 else line[:-1:2]  # half the points are enough
            points = np.round(points + origin, 1)
            steps = np.diff(points, axis=0)
            start = "{:g},{:g}".format(*points[0])
            strokes.append(f"M{start}l" + " ".join(f"{x:.1f},{y:.1f}" for x, y in steps) + "z")
    return f'<path class="contour" stroke="{color}" d="{"".join(strokes)}"/>\n'


def marks(panels):
    """Positions under the slices, and sides beside the first slice of each plane of a row."""
    texts = []
    for panel in panels:
        axis = panel.cut.axis
        height, width = panel.cut.field.shape(axis)
        position = f"{'xyz'[axis]} = {round(panel.cut.position)}".replace("-", "\N{MINUS SIGN}")
        bottom = panel.top + height + LINE - 5
        texts.append(text(position, panel.left + width / 2, bottom, "middle"))
        if panel.first:
            left, right = "PA" if axis == SAGITTAL else "LR"
            texts.append(text(left, panel.left + 3, panel.top + 16, "start", "side"))
            texts.append(text(right, panel.left + width - 3, panel.top + 16, "end", "side"))
    return "".join(texts)


def text(content, x, y, anchor="start", kind="note"):
    """A line of text; what does not belong in a file's text is escaped."""
    return (
        f'<text x="{x:.0f}" y="{y:.0f}" text-anchor="{anchor}" class="{kind}">'
        f"{escape(str(content))}</text>\n"
    )


def title(words, hint="", *legend):
    """The strip on top: the title, names and colors of the contours, what the pointer does."""
    parts = [
        f'<rect width="{WIDTH}" height="{STRIP}" fill="#000"/>\n',
        text(words, 12, 22, kind="title"),
        text(hint, WIDTH - 12, 22, "end"),
    ]
    x = 40 + 9 * len(words)
    for name, color in legend:
        parts.append(f'<path d="M{x},17h24" stroke="{color}" stroke-width="3"/>\n')
        parts.append(text(name, x + 32, 22))
        x += 60 + 8 * len(name)
    return "".join(parts)


def colorbar(colors, ticks, label, size):
    """Colors from the first of ``ticks`` to the last, on the strips below the slices."""
    width, height = size
    left, top, length = width / 2 - 220, height - 2 * STRIP + 10, 440
    low, high = min(ticks), max(ticks)
    ramp = np.tile(colors(np.linspace(low, high, 256)), (4, 1, 1)).astype(np.uint8)
    parts = [image(ramp, left, top, length, 14)]
    for tick in ticks:
        x = left + length * (unit(tick, low, high) if high > low else 0.5)
        parts.append(text(f"{tick:g}", x, top + 32, "middle"))
    parts.append(text(label, left - 14, top + 12, "end"))
    return "".join(parts)


def with_strips(size, strips=2):
    """Size of a figure with strips below the slices."""
    return size[0], size[1] + strips * STRIP


def write(out, size, layers, alt, kind="still"):
    """Write a figure; ``alt`` is its text for those who cannot see it.

    A figure that changes under the pointer (``kind``) changes with the keyboard's focus as well.
    """
    width, height = size
    focus = "" if kind == "still" else ' tabindex="0"'
    # nireports edits the line of the root element: keep it a line of its own.
    svg = (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" class="{kind}" '
        f'role="img" aria-label={quoteattr(alt)}{focus}>\n'
        f'<style>\n{STYLE}</style>\n<rect width="100%" height="100%" fill="#000"/>\n'
        f"{''.join(layers)}</svg>\n"
    )
    with atomic(out) as partial:
        partial.write_text(svg, encoding="utf-8")
    return Path(out)


def shrunk(svg, scale):
    """A figure whose rasters have ``scale`` times the pixels in each direction; contours and text
    stay as they are."""

    def smaller(match):
        picture = Image.open(BytesIO(b64decode(match[1])))
        size = [max(round(scale * pixels), 1) for pixels in picture.size]
        return f"data:image/jpeg;base64,{_jpeg(picture.resize(size, Image.Resampling.BOX))}"

    return RASTER.sub(smaller, svg)


def _jpeg(picture):
    stream = BytesIO()
    picture.save(stream, "JPEG", quality=QUALITY, subsampling=0, optimize=True)
    return b64encode(stream.getvalue()).decode()
