"""Panels of plots as SVG elements, in the colors of the page.

Panels carry the columns and the axes of their data (``data-x``, ``data-y``), and points the row of
their session (``data-i``), with which the script of the page selects sessions.
"""

from collections.abc import Iterable
from html import escape
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .scales import Scale

WIDTH, HEIGHT = 340, 260
LEFT, RIGHT, TOP, BOTTOM = 72, 328, 12, 212
#: Ends of the axes for the script of the page.
FRAME = {"left": LEFT, "right": RIGHT, "top": TOP, "bottom": BOTTOM}
TICK = 5  # length of a tick, pixels
LABEL_LENGTH = 14  # characters of the labels of categories


class Point(NamedTuple):
    """Point of a session.

    Attributes
    ----------
    row : int
        Row in the data of the page.
    x, y : float
        Position in the panel, pixels.
    side : str
        Hemisphere, which determines the shape; empty if it is missing.
    is_flagged : bool
        Whether the session failed QC checks.
    link : str, optional
        Address of the participant report.
    """

    row: int
    x: float
    y: float
    side: str = ""
    is_flagged: bool = False
    link: str | None = None


def across(scale: Scale, values: ArrayLike) -> NDArray[np.float64]:
    """Return the horizontal coordinates of values, pixels."""
    return LEFT + (RIGHT - LEFT) * scale.position(values)


def up(scale: Scale, values: ArrayLike) -> NDArray[np.float64]:
    """Return the vertical coordinates of values, pixels."""
    return BOTTOM - (BOTTOM - TOP) * scale.position(values)


def panel(
    x: Scale, y: Scale, marks: Iterable[str], label: str, attributes: str = "", role: str = "img"
) -> str:
    """Create a panel from its axes and marks; ``label`` describes its content for screen readers.

    ``attributes`` are further attributes of the ``<svg>`` element. The ``role`` of a panel with links
    is ``group``.
    """
    data = "".join(
        f' data-{name}="{escape(scale.describe())}"'
        for name, scale in (("x", x), ("y", y))
        if scale.column
    )
    return (
        f'<svg class="panel" viewBox="0 0 {WIDTH} {HEIGHT}" role="{role}" '
        f'aria-label="{escape(label)}"{data}{attributes}>\n{_axes(x, y)}{"".join(marks)}</svg>\n'
    )


def _axes(x: Scale, y: Scale) -> str:
    lines, texts = [], []
    for position, label in x.ticks:
        left = LEFT + (RIGHT - LEFT) * position
        lines.append(f"M{left:.1f} {BOTTOM}v{TICK}")
        texts.append(_text(_short(label), left, BOTTOM + 20, "middle"))
    for position, label in y.ticks:
        top = BOTTOM - (BOTTOM - TOP) * position
        lines.append(f"M{LEFT} {top:.1f}h-{TICK}")
        texts.append(_text(_short(label), LEFT - 8, top + 4.5, "end"))
    lines.append(f"M{LEFT} {TOP}V{BOTTOM}H{RIGHT}")
    center = (TOP + BOTTOM) / 2
    return (
        f'<path class="axis" d="{"".join(lines)}"/>{"".join(texts)}'
        f"{_text(x.title, (LEFT + RIGHT) / 2, HEIGHT - 8, 'middle', 'title')}"
        f'<g transform="rotate(-90 14 {center})">{_text(y.title, 14, center, "middle", "title")}</g>\n'
    )


def _text(text: str, x: float, y: float, anchor: str, kind: str = "") -> str:
    name = f' class="{kind}"' if kind else ""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{name}>{escape(text)}</text>'


def _short(text: str) -> str:
    return text if len(text) <= LABEL_LENGTH else f"{text[: LABEL_LENGTH - 1]}…"


def bars(x: Scale, y: Scale, edges: NDArray[np.float64], counts: NDArray[np.int_]) -> str:
    """Draw the bars of a histogram; ``edges`` are positions (0-1), a pair for each bar."""
    left, right = LEFT + (RIGHT - LEFT) * edges.T
    tops = up(y, counts)
    shapes = [
        f"M{a:.1f} {BOTTOM}V{top:.1f}H{b:.1f}V{BOTTOM}z"
        for a, b, top in zip(left, right, tops, strict=True)
        if top < BOTTOM
    ]
    return f'<path class="bars" d="{"".join(shapes)}"/>\n'


def median(x: Scale, value: float) -> str:
    """Draw a vertical line at a median, with its value."""
    left = float(across(x, value))
    anchor, text_x = ("end", left - 5) if left > (LEFT + RIGHT) / 2 else ("start", left + 5)
    label = _text(f"median {value:.3g}", text_x, TOP + 8, anchor, "median")
    return f'<path class="median" d="M{left:.1f} {TOP}V{BOTTOM}"/>{label}\n'


def box(y: Scale, center: float, half_width: float, quartiles: ArrayLike) -> str:
    """Draw a box at the quartiles, with a line and the value at the median."""
    low, line, high = up(y, quartiles)
    value = np.asarray(quartiles, float)[1]
    left, right = center - half_width, center + half_width
    return (
        f'<path class="box" d="M{left:.1f} {low:.1f}H{right:.1f}V{high:.1f}H{left:.1f}z"/>'
        f'<path class="median" d="M{left:.1f} {line:.1f}H{right:.1f}"/>'
        f"{_text(f'{value:.3g}', right + 3, line + 4.5, 'start', 'median')}\n"
    )


def points(items: Iterable[Point], size: float) -> str:
    """Draw points: circles, triangles (right hemisphere) and squares (bilateral)."""
    return "".join(_point(item, size) for item in items)


def _point(point: Point, size: float) -> str:
    kinds = " ".join(filter(None, (point.side, "check" if point.is_flagged else "")))
    attributes = f' class="{kinds}"' if kinds else ""
    row = f' data-i="{point.row}"'
    shape = _shape(point, size, attributes if point.link else row + attributes)
    return f'<a href="{escape(point.link)}"{row}>{shape}</a>\n' if point.link else f"{shape}\n"


def _shape(point: Point, size: float, attributes: str) -> str:
    x, y = point.x, point.y
    if point.side == "right":
        top = f"M{x:.1f} {y - 1.1 * size:.1f}"
        return f'<path{attributes} d="{top}l{1.1 * size:.1f} {2 * size:.1f}h-{2.2 * size:.1f}z"/>'
    if point.side == "bilateral":
        side = f"{1.8 * size:.1f}"
        corner = f'x="{x - 0.9 * size:.1f}" y="{y - 0.9 * size:.1f}"'
        return f'<rect{attributes} {corner} width="{side}" height="{side}"/>'
    return f'<circle{attributes} cx="{x:.1f}" cy="{y:.1f}" r="{size:g}"/>'
