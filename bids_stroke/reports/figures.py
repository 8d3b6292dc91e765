"""Figures of the reports: images in, one SVG file out.

A figure is a mosaic of slices in a single JPEG, with contours and labels drawn as vectors over it.
Slices are cut in world space every ``STEP`` mm, so that anisotropic, oblique and non-RAS images
look as the head does. Neurological convention: the patient's left is on the left.
"""

from base64 import b64encode
from dataclasses import dataclass
from io import BytesIO
from itertools import product
from pathlib import Path
from xml.sax.saxutils import escape

import numpy as np
from contourpy import contour_generator
from nibabel.affines import apply_affine, voxel_sizes
from PIL import Image
from scipy import ndimage

from ..image import atomic, like

STEP = 0.8  # mm between the pixels of a mosaic
WIDTH = 1500  # pixels
STRIP = 34  # height of the strips that hold the title and the color bar, pixels
LINE = 20  # height of the line of text under a row of slices, pixels
GAP = 6  # pixels between panels, at least
SAGITTAL, CORONAL, AXIAL = 0, 1, 2

LESION = "#ff2d55"  # a crimson light enough to stand out of gray matter
OUTLINE = "#35d0ba"
STYLE = """\
text {font: 14px Helvetica, Arial, sans-serif; fill: #c9d1d9}
.title {font-weight: bold; font-size: 16px; fill: #fff}
.side {font-weight: bold; fill: #ffd166; stroke: #000; stroke-width: 3px; paint-order: stroke}
.contour {fill: none; stroke-width: 1.5; stroke-linejoin: round}
.fading:hover .contour {opacity: 0}
.flicker:hover .moving {animation: flicker 2s ease-in-out infinite alternate}
@keyframes flicker {0%, 30% {opacity: 1} 70%, 100% {opacity: 0}}
"""


@dataclass(frozen=True)
class Field:
    """Field of view in world space: the box around a head or brain, and a margin (mm)."""

    low: np.ndarray
    high: np.ndarray
    margin: float

    def pixels(self, axis):
        """World coordinates of the rows and of the columns of slices perpendicular to ``axis``."""
        across, up = (other for other in range(3) if other != axis)
        low, high = self.low - self.margin, self.high + self.margin
        return np.arange(low[up], high[up], STEP)[::-1], np.arange(low[across], high[across], STEP)

    def shape(self, axis):
        """Rows and columns of the slices perpendicular to ``axis``."""
        return tuple(coordinates.size for coordinates in self.pixels(axis))

    def columns(self, axis):
        """How many slices perpendicular to ``axis`` fit side by side."""
        return max(1, (WIDTH + GAP) // (self.shape(axis)[1] + GAP))

    def spread(self, axis, rows=1):
        """Rows of positions over the whole field of view: ``[(axis, positions), ...]``."""
        low, high = self.low[axis], self.high[axis]
        n = rows * self.columns(axis)
        positions = np.round(np.linspace(low + 0.1 * (high - low), high - 0.07 * (high - low), n))
        return [(axis, row) for row in np.split(positions, rows)]


@dataclass(frozen=True)
class Panel:
    """One slice of a mosaic: perpendicular to world ``axis`` at ``position`` (mm)."""

    axis: int
    position: float
    left: int
    top: int
    first: bool


def brain_mask(t1w_img, mask_img, out):
    """Draw the contour of a brain mask over the head, in three planes."""
    field = field_of_view(mask_img, margin=18)
    panels, size = _layout(field, _planes(field))
    masks = _sections(mask_img, panels, field)
    layers = [
        _raster(_sections(t1w_img, panels, field), panels, size, inside=masks),
        _contours(masks, panels, OUTLINE),
        _marks(panels, field),
        _title("Brain mask", "hover to hide the contour", ("brain mask", OUTLINE)),
    ]
    return _write(out, size, layers, "fading")


def flicker(fixed_img, moving_img, out, contour_img=None, labels=("T1w", "FLAIR")):
    """Draw two aligned images that take turns under the pointer, with a contour over both.

    Parameters
    ----------
    fixed_img, moving_img : spatial images
        Aligned in world space; their grids may differ. ``moving_img`` is the one seen at rest.
    contour_img : spatial image, optional
        Mask (brain or white matter) whose outline is drawn and which sets the field of view.
    labels : pair of str
        Names of the fixed and of the moving image.
    """
    field = field_of_view(fixed_img if contour_img is None else contour_img, margin=12)
    panels, size = _layout(field, _planes(field))
    masks = None if contour_img is None else _sections(contour_img, panels, field)
    # Gray levels follow the brain, also where the contour is that of the white matter alone.
    inside = masks and [ndimage.grey_closing(mask, 15) for mask in masks]
    fixed, moving = (
        _raster(_sections(img, panels, field), panels, size, inside)
        + _title(label, f"hover to alternate with the {other}")
        for img, label, other in zip((fixed_img, moving_img), labels, labels[::-1], strict=True)
    )
    layers = [fixed, f'<g class="moving">\n{moving}</g>\n', _marks(panels, field)]
    if masks:
        layers.append(_contours(masks, panels, OUTLINE))
    return _write(out, size, layers, "flicker")


def lesion(background_img, mask_img, out, label="T1w", brain_img=None):
    """Draw the contour of a lesion: axial slices through the whole brain, then three rows of cuts
    that spread over the lesion. An empty mask makes a figure that says so.

    Parameters
    ----------
    label : str
        Name of the background image.
    brain_img : spatial image, optional
        Brain mask that sets the field of view and the intensity window; without it, the head does.
    """
    field = field_of_view(background_img if brain_img is None else brain_img, margin=6)
    if np.any(np.asanyarray(mask_img.dataobj)):
        title, told = f"Lesion on {label}", ("hover to hide the contour", ("lesion", LESION))
        cuts = [(axis, _cuts(mask_img, axis, field)) for axis in (AXIAL, CORONAL, SAGITTAL)]
        rows = field.spread(AXIAL) + cuts
    else:
        title, told = f"No lesion found on {label}", ()
        rows = _planes(field)
    panels, size = _layout(field, rows)
    inside = None if brain_img is None else _sections(brain_img, panels, field)
    layers = [
        _raster(_sections(background_img, panels, field), panels, size, inside),
        _contours(_sections(mask_img, panels, field, order=0), panels, LESION),
        _marks(panels, field),
        _title(title, *told),
    ]
    return _write(out, size, layers, "fading")


def comparison(background_img, truth_img, pred_img, title, out):
    """Draw the contours of a true and of a predicted mask, in three rows of cuts that spread over
    both, on an image or on the template."""
    both = (np.asanyarray(truth_img.dataobj) > 0) | (np.asanyarray(pred_img.dataobj) > 0)
    either = like(both, truth_img, np.uint8)
    field = field_of_view(background_img, margin=6)
    rows = [(axis, _cuts(either, axis, field)) for axis in (AXIAL, CORONAL, SAGITTAL)]
    panels, size = _layout(field, rows if both.any() else _planes(field))
    layers = [
        _raster(_sections(background_img, panels, field), panels, size),
        _contours(_sections(truth_img, panels, field, order=0), panels, OUTLINE),
        _contours(_sections(pred_img, panels, field, order=0), panels, LESION),
        _marks(panels, field),
        _title(f"{title}: truth in green, prediction in red", "hover to hide the contours"),
    ]
    return _write(out, size, layers, "fading")


def overlap_map(count_img, template_img, out):
    """Draw the number of sessions whose lesion covers each voxel, in color on the template."""
    from matplotlib import colormaps

    field = field_of_view(template_img, margin=4)
    rows = field.spread(AXIAL, rows=2) + field.spread(CORONAL) + field.spread(SAGITTAL)
    panels, (width, height) = _layout(field, rows)
    size = (width, height + 2 * STRIP)
    most = int(np.max(np.asanyarray(count_img.dataobj)))
    counts = _sections(count_img, panels, field, order=0)

    def colors(count):
        # The darkest fifth of the map would drown in the template.
        return 255 * colormaps["plasma"](0.2 + 0.8 * _unit(count, 1, most))[..., :3]

    layers = [
        _raster(_sections(template_img, panels, field), panels, size, None, counts, colors),
        _marks(panels, field),
        _title("Lesion overlap" if most else "Lesion overlap: no lesion in any session"),
        _colorbar(colors, most, size) if most else "",
    ]
    return _write(out, size, layers)


def section(img, axis, position, field, order=1):
    """Cut a slice of ``img`` in world space, as it is displayed.

    Parameters
    ----------
    axis : int
        World axis that the slice is perpendicular to (0 sagittal, 1 coronal, 2 axial).
    position : float
        World coordinate on that axis, mm.
    field : Field
        Field of view.

    Returns
    -------
    (rows, columns) float32 array
        The first row is superior (anterior in axial slices); the first column is left (posterior
        in sagittal slices).
    """
    rows, columns = field.pixels(axis)
    points = np.full((rows.size, columns.size, 3), float(position))
    across, up = (other for other in range(3) if other != axis)
    points[..., across] = columns
    points[..., up] = rows[:, None]
    voxels = np.moveaxis(apply_affine(np.linalg.inv(img.affine), points), -1, 0)
    data = img.get_fdata(dtype=np.float32)
    return ndimage.map_coordinates(data, voxels, order=order, cval=data.min())


def field_of_view(img, margin):
    """The world box around the bright voxels of ``img`` (a mask, or the head)."""
    stride = np.maximum(np.round(2 / voxel_sizes(img.affine)), 1).astype(int)
    data = img.get_fdata(dtype=np.float32)[tuple(slice(None, None, step) for step in stride)]
    low, high = data.min(), max(np.percentile(data, 99.5), data.mean())
    bright = ndimage.binary_opening(data > low + 0.1 * (high - low))
    if not bright.any():
        bright = np.ones(data.shape, bool)
    ends = [np.flatnonzero(bright.any(axis=other))[[0, -1]] for other in ((1, 2), (0, 2), (0, 1))]
    corners = apply_affine(img.affine, np.array(list(product(*ends))) * stride)
    return Field(corners.min(axis=0), corners.max(axis=0), margin)


def _sections(img, panels, field, order=1):
    return [section(img, panel.axis, panel.position, field, order) for panel in panels]


def _planes(field):
    return field.spread(AXIAL) + field.spread(CORONAL) + field.spread(SAGITTAL)


def _cuts(mask_img, axis, field):
    """Positions spread evenly over the slices that a mask occupies (none between its parts)."""
    voxels = np.argwhere(np.asanyarray(mask_img.dataobj) > 0)
    occupied = np.unique(np.round(apply_affine(mask_img.affine, voxels)[:, axis]))
    n = min(field.columns(axis), len(occupied))
    return occupied[((np.arange(n) + 0.5) / n * len(occupied)).astype(int)]


def _layout(field, rows):
    """Place rows of slices, each spread over the width; returns panels and (width, height)."""
    panels, top = [], STRIP
    for axis, positions in rows:
        height, width = field.shape(axis)
        pitch = max(WIDTH / field.columns(axis), width)
        start = (WIDTH - pitch * len(positions) + pitch - width) / 2
        for i, position in enumerate(positions):
            left = max(int(start + i * pitch), 0)
            panels.append(Panel(axis, float(position), left, top, i == 0))
        top += height + LINE + GAP
    return panels, (WIDTH, top)


def _unit(values, low, high):
    return np.clip((values - low) / ((high - low) or 1), 0, 1)


def _raster(slices, panels, size, inside=None, counts=None, colors=None):
    """The mosaic as an SVG image: gray levels from the 0.5 to the 99.5 percentile of ``inside``
    (without it, of the head), and ``colors(counts)`` where ``counts`` are positive."""
    values = np.concatenate([piece.ravel() for piece in slices])
    if inside:
        head = np.concatenate([piece.ravel() for piece in inside]) > 0.5
    else:
        head = values > values.min() + 0.05 * (np.percentile(values, 99.5) - values.min())
    low, high = np.percentile(values[head] if head.any() else values, (0.5, 99.5))
    width, height = size
    canvas = np.zeros((height, width, 3) if counts else (height, width), np.uint8)
    for i, (panel, piece) in enumerate(zip(panels, slices, strict=True)):
        gray = 255 * _unit(piece, low, high)
        if counts:
            over = counts[i][..., None] > 0
            gray = np.where(over, 0.15, 1) * gray[..., None] + 0.85 * over * colors(counts[i])
        place = canvas[panel.top :, panel.left :][: piece.shape[0], : piece.shape[1]]
        place[:] = gray[:, : place.shape[1]]
    return _image(canvas, 0, 0, width, height)


def _image(pixels, x, y, width, height):
    stream = BytesIO()
    Image.fromarray(pixels).save(stream, "JPEG", quality=80, subsampling=0, optimize=True)
    data = b64encode(stream.getvalue()).decode()
    return (
        f'<image x="{x}" y="{y}" width="{width}" height="{height}" preserveAspectRatio="none" '
        f'href="data:image/jpeg;base64,{data}"/>\n'
    )


def _contours(masks, panels, color):
    """Outlines of ``masks`` at one half, as one SVG path."""
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


def _marks(panels, field):
    """Positions under the slices, and sides beside the first slice of each row."""
    texts = []
    for panel in panels:
        height, width = field.shape(panel.axis)
        position = f"{'xyz'[panel.axis]} = {panel.position:.0f}".replace("-", "\N{MINUS SIGN}")
        bottom = panel.top + height + LINE - 5
        texts.append(_text(position, panel.left + width / 2, bottom, "middle"))
        if panel.first:
            left, right = "PA" if panel.axis == SAGITTAL else "LR"
            texts.append(_text(left, panel.left + 3, panel.top + 16, "start", "side"))
            texts.append(_text(right, panel.left + width - 3, panel.top + 16, "end", "side"))
    return "".join(texts)


def _text(text, x, y, anchor="start", kind="note"):
    return (
        f'<text x="{x:.0f}" y="{y:.0f}" text-anchor="{anchor}" class="{kind}">'
        f"{escape(str(text))}</text>\n"
    )


def _title(title, hint="", legend=()):
    """The strip on top: the title, the contour's name and color, what the pointer does."""
    parts = [
        f'<rect width="{WIDTH}" height="{STRIP}" fill="#000"/>\n',
        _text(title, 12, 22, kind="title"),
        _text(hint, WIDTH - 12, 22, "end"),
    ]
    if legend:
        name, color = legend
        x = 40 + 9 * len(title)
        parts.append(f'<path d="M{x},17h24" stroke="{color}" stroke-width="3"/>\n')
        parts.append(_text(name, x + 32, 22))
    return "".join(parts)


def _colorbar(colors, most, size):
    """Colors from one session to ``most``, below the slices."""
    width, height = size
    left, top, length = width / 2 - 220, height - 2 * STRIP + 10, 440
    ramp = np.tile(colors(np.linspace(1, most, 256)), (4, 1, 1)).astype(np.uint8)
    parts = [_image(ramp, left, top, length, 14)]
    for tick in np.unique(np.linspace(1, most, min(most, 5)).round().astype(int)):
        x = left + length * (_unit(tick, 1, most) if most > 1 else 0.5)
        parts.append(_text(tick, x, top + 32, "middle"))
    parts.append(_text("sessions", left - 14, top + 12, "end"))
    return "".join(parts)


def _write(out, size, layers, kind="still"):
    width, height = size
    # nireports edits the line of the root element: keep it a line of its own.
    svg = (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" class="{kind}">\n'
        f'<style>\n{STYLE}</style>\n<rect width="100%" height="100%" fill="#000"/>\n'
        f"{''.join(layers)}</svg>\n"
    )
    with atomic(out) as partial:
        partial.write_text(svg, encoding="utf-8")
    return Path(out)
