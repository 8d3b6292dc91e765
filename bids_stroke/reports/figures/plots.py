"""Matplotlib figures as SVG text."""

import re
from io import StringIO
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def figure(width: float, height: float) -> "Figure":
    """An empty matplotlib figure (inches) without a window."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def svg_text(drawn: "Figure", salt: str) -> str:
    """A matplotlib figure as an ``<svg>`` element; the same data and ``salt`` give the same text."""
    import matplotlib

    stream = StringIO()
    with matplotlib.rc_context({"svg.hashsalt": salt}):
        drawn.savefig(stream, format="svg", metadata={"Date": None})
    return re.sub(r"^.*?(?=<svg)", "", stream.getvalue(), flags=re.DOTALL)
