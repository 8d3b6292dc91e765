"""Figures of sessions that are embedded in the group report, limited in number."""

from pathlib import Path

from markupsafe import Markup

from bids_stroke.reports.figures import svg

SCALE = 0.5
MAX_PICTURES = 24


class Pictures:
    """Embeds at most :data:`bids_stroke.reports.group.pictures.MAX_PICTURES` figures in a page."""

    def __init__(self) -> None:
        self._left = MAX_PICTURES

    def embed(self, path: Path | None) -> Markup | None:
        """Return a figure with reduced images, or None without a path or beyond the limit."""
        if path is None or not self._left:
            return None
        self._left -= 1
        return svg.inline(path, SCALE)
