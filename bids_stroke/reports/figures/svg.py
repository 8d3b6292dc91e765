"""SVG elements and files: text, titles, color bars, embedded JPEG images."""

import re
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterable, Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import Literal, NamedTuple
from xml.sax.saxutils import escape, quoteattr

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray
from PIL import Image

from bids_stroke.utils.files import PathLike, atomic

from .slices import WIDTH, Coordinates

STRIP = 38  # height of the strips with the title and the color bar, pixels
QUALITY = 80  # JPEG quality
LONGEST_TITLE = 70  # characters, which leave space for a legend and a hint
HIDE = "hover or focus to hide the contour"
DECLARATION = re.compile(r"^<\?xml.*?\?>\s*")
TILE = re.compile(
    r'<svg class="tile" [^>]*viewBox="(.*?)" data-label="(.*?)" data-left="(.*?)" data-right="(.*?)">'
    r"(.*?)</svg>",
    re.DOTALL,
)
RASTER = re.compile(r"data:image/jpeg;base64,([A-Za-z0-9+/=]+)")
STYLE = """\
text {font: 18px Helvetica, Arial, sans-serif; fill: #c9d1d9}
.title {font-weight: bold; font-size: 20px; fill: #fff}
.side {font-weight: bold; fill: #ffd166; stroke: #000; stroke-width: 3px; paint-order: stroke}
.contour {fill: none; stroke-width: 1.5; stroke-linejoin: round}
.fading:is(:hover, :focus-visible) .contour {opacity: 0}
.flicker:is(:hover, :focus-visible) .moving {animation: flicker 2s ease-in-out infinite alternate}
@keyframes flicker {0%, 30% {opacity: 1} 70%, 100% {opacity: 0}}
@media (prefers-reduced-motion: reduce) {
  .flicker:is(:hover, :focus-visible) .moving {animation: none; opacity: 0}
}
"""

#: Maps an array of values to red, green and blue (0-255) in an additional last axis.
Colors = Callable[[NDArray[np.floating]], NDArray[np.floating]]
#: Width and height of a figure, pixels.
Size = tuple[int, int]


class Box(NamedTuple):
    """Rectangle of a figure, pixels."""

    left: int
    top: int
    width: int
    height: int


class Tile(NamedTuple):
    """Nested ``<svg>`` element of a figure: its label, the letters of its left and right edge, its
    ``viewBox`` and its content."""

    label: str
    left: str
    right: str
    view_box: str
    content: Markup


def unit(values: NDArray[np.floating] | float, low: float, high: float) -> NDArray[np.floating]:
    """Scale values from ``low`` to ``high`` to 0 to 1; other values are clipped."""
    return np.clip((values - low) / ((high - low) or 1), 0, 1)


def image(pixels: NDArray[np.uint8], x: float, y: float, width: float, height: float) -> str:
    """Create an ``<image>`` element from pixels, (rows, columns) or (rows, columns, 3)."""
    return (
        f'<image x="{x}" y="{y}" width="{width}" height="{height}" preserveAspectRatio="none" '
        f'href="data:image/jpeg;base64,{_jpeg(Image.fromarray(pixels))}"/>\n'
    )


def text(
    content: object,
    x: float,
    y: float,
    anchor: Literal["start", "middle", "end"] = "start",
    kind: Literal["note", "title", "side"] = "note",
) -> str:
    """Create a ``<text>`` element; special characters are escaped."""
    return (
        f'<text x="{x:.0f}" y="{y:.0f}" text-anchor="{anchor}" class="{kind}">'
        f"{escape(str(content))}</text>\n"
    )


def tile(
    pixels: NDArray[np.uint8], contour: str, label: str, letters: tuple[str, str], box: Box
) -> str:
    """Create a nested ``<svg>`` element with an image and a contour, a label below ``box``, and letters
    at the left and the right edge.

    The participant report shows the nested element with label and letters as text of the page.
    """
    height, width = pixels.shape[:2]
    data = {"label": label, "left": letters[0], "right": letters[1]}
    right, bottom = box.left + box.width, box.top + box.height
    return (
        f'<svg class="tile" x="{box.left}" y="{box.top}" width="{box.width}" height="{box.height}" '
        f'viewBox="0 0 {width} {height}"{attributes(data)}>\n'
        f"{image(pixels, 0, 0, width, height)}"
        f"{contour}</svg>\n"
        f"{text(label, box.left + box.width / 2, bottom + 20, 'middle')}"
        f"{text(letters[0], box.left + 4, box.top + 20, 'start', 'side')}"
        f"{text(letters[1], right - 4, box.top + 20, 'end', 'side')}"
    )


def contour(data: str, color: str) -> str:
    """Create the ``<path>`` element of contours from path data."""
    return f'<path class="contour" stroke="{color}" d="{data}"/>\n'


def area(data: str, color: str, opacity: float) -> str:
    """Create a filled ``<path>`` element from path data."""
    return f'<path fill="{color}" fill-opacity="{opacity}" fill-rule="evenodd" d="{data}"/>\n'


def attributes(data: Mapping[str, object]) -> str:
    """Format ``data-`` attributes; special characters are escaped."""
    return "".join(f" data-{name}={quoteattr(str(value))}" for name, value in data.items())


def title(
    words: str,
    hint: str = "",
    legend: Sequence[tuple[str, str]] = (),
    coordinates: Coordinates | None = None,
) -> str:
    """Create the top strip: title, legend (names and colors of contours), the kind of the coordinates
    of the slices, and a hint on hover.

    The parts are one line of text, so that they cannot overlap, whatever the font is.
    """
    if len(words) > LONGEST_TITLE:
        words = words[: LONGEST_TITLE - 1] + "\N{HORIZONTAL ELLIPSIS}"
    parts = [f'<tspan class="title">{escape(words)}</tspan>']
    for name, color in legend:
        parts.append(f'<tspan dx="28" fill="{color}">\N{BLACK SQUARE}</tspan>')
        parts.append(f'<tspan dx="8">{escape(name)}</tspan>')
    notes = [f"{coordinates} coordinates"] if coordinates else []
    parts += [f'<tspan dx="28">{escape(note)}</tspan>' for note in (*notes, hint) if note]
    return (
        f'<rect width="{WIDTH}" height="{STRIP}" fill="#000"/>\n'
        f'<text x="12" y="26">{"".join(parts)}</text>\n'
    )


def colorbar(colors: Colors, ticks: Sequence[float], label: str, size: Size) -> str:
    """Create a color bar from the lowest to the highest tick, on the strips below the slices."""
    width, height = size
    left, top, length = width / 2 - 220, height - 2 * STRIP + 10, 440
    low, high = min(ticks), max(ticks)
    ramp = np.tile(colors(np.linspace(low, high, 256)), (4, 1, 1)).astype(np.uint8)
    parts = [image(ramp, left, top, length, 14)]
    for tick in ticks:
        x = left + length * (float(unit(tick, low, high)) if high > low else 0.5)
        parts.append(text(f"{tick:g}", x, top + 34, "middle"))
    parts.append(text(label, left - 14, top + 14, "end"))
    return "".join(parts)


def with_strips(size: Size, strips: int = 2) -> Size:
    """Add the height of strips below the slices to the size of a figure."""
    return size[0], size[1] + strips * STRIP


def write(
    out: PathLike,
    size: Size,
    layers: Iterable[str],
    alt: str,
    kind: Literal["still", "fading", "flicker"] = "still",
    data: Mapping[str, object] | None = None,
) -> Path:
    """Write a figure; ``alt`` is its alternative text, and ``data`` its ``data-`` attributes.

    If ``kind`` is not ``still``, contours fade or images alternate on hover and on keyboard focus.
    """
    width, height = size
    focus = "" if kind == "still" else ' tabindex="0"'
    svg = (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" class="{kind}" '
        f'role="img" aria-label={quoteattr(alt)}{focus}{attributes(data or {})}>\n'
        f'<style>\n{STYLE}</style>\n<rect width="100%" height="100%" fill="#000"/>\n'
        f"{''.join(layers)}</svg>\n"
    )
    with atomic(out) as partial:
        partial.write_text(svg, encoding="utf-8")
    return Path(out)


def inline(path: Path, scale: float = 1.0) -> Markup:
    """Read a figure as an inline element, without its XML declaration.

    JPEG images are reduced by ``scale`` (at most 1) in each direction; contours and text are unchanged.
    """
    svg = DECLARATION.sub("", path.read_text(encoding="utf-8"))
    return Markup(_downscale(svg, scale) if scale < 1 else svg)


def tiles(path: Path, scale: float = 1.0) -> list[Tile]:
    """Read the tiles of a figure; ``scale`` as for :func:`bids_stroke.reports.figures.svg.inline`."""
    return [
        Tile(label, left, right, box, Markup(content))
        for box, label, left, right, content in TILE.findall(inline(path, scale))
    ]


def _downscale(svg: str, scale: float) -> str:
    def resize(match: re.Match[str]) -> str:
        picture = Image.open(BytesIO(b64decode(match[1])))
        width, height = (max(round(scale * pixels), 1) for pixels in picture.size)
        resized = picture.resize((width, height), Image.Resampling.BOX)
        return f"data:image/jpeg;base64,{_jpeg(resized)}"

    return RASTER.sub(resize, svg)


def _jpeg(picture: Image.Image) -> str:
    """Encode a picture as JPEG in Base64."""
    stream = BytesIO()
    picture.save(stream, "JPEG", quality=QUALITY, subsampling=0, optimize=True)
    return b64encode(stream.getvalue()).decode()
