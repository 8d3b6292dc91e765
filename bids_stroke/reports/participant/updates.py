"""Existing participant reports, and updates of their parts."""

import re
from collections.abc import Callable
from pathlib import Path

from bids_stroke.utils.files import PathLike, atomic


def page_names(out_dir: PathLike) -> set[str]:
    """Return the participants (``sub-XX``) with a page in a folder."""
    return {path.stem for path in Path(out_dir).glob("sub-*.html") if "_" not in path.stem}


def update_page(
    out_dir: PathLike, name: str, part: re.Pattern[str], content: Callable[[re.Match[str]], str]
) -> bool:
    """Replace the matches of a pattern in the page of a participant; return whether it changed.

    Parameters
    ----------
    out_dir : path
    name : str
        ``sub-XX``.
    part : re.Pattern
    content : callable
        Function that returns the new content of a match.

    Raises
    ------
    OSError
        If the page cannot be read or written.
    """
    path = Path(out_dir) / f"{name}.html"
    modified = path.stat().st_mtime_ns
    # Text in another encoding, of a page that the user wrote, is preserved.
    text = path.read_text(encoding="utf-8", errors="surrogateescape")
    updated = part.sub(content, text)
    # On a file system without locks, another process may have written the page in the meantime.
    if updated == text or path.stat().st_mtime_ns != modified:
        return False
    with atomic(path) as partial:
        partial.write_text(updated, encoding="utf-8", errors="surrogateescape")
    return True
