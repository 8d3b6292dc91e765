"""Matplotlib figures as SVG text."""

import re
from io import StringIO
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def figure(width: float, height: float) -> "Figure":
    """Create an empty matplotlib figure (size in inches) without a window."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def svg_text(figure: "Figure", salt: str) -> str:
    """Convert a matplotlib figure to an ``<svg>`` element; deterministic for data and ``salt``."""
    import matplotlib

    stream = StringIO()
    with matplotlib.rc_context({"svg.hashsalt": salt}):
        figure.savefig(stream, format="svg", metadata={"Date": None})
    return re.sub(r"^.*?(?=<svg)", "", stream.getvalue(), flags=re.DOTALL)


def plain(text: object, length: int = 24) -> str:
    """Return a label without mathematical expressions, truncated to ``length`` characters.

    >>> plain("cost in $"), plain("modified Rankin Scale at 90 days")
    ('cost in \\\\$', 'modified Rankin Scale at…')
    """
    text = str(text).replace("$", r"\$")
    return text if len(text) <= length else f"{text[:length]}…"
