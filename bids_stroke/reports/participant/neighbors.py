"""Links of a participant report to the previous and the next participant.

A link is written only to an existing page. When a page is written, the links in the pages before and
after it are updated, so that the links are complete, whichever run or job wrote the pages.
"""

import re
from typing import NamedTuple

from markupsafe import Markup

from bids_stroke.bids.names import natural_key
from bids_stroke.reports.rendering import fragment
from bids_stroke.utils.files import PathLike

from .updates import page_names, update_page

_LINKS = re.compile(r'<span id="neighbors">.*?</span>', re.DOTALL)


class Neighbors(NamedTuple):
    """Participants (``sub-XX``) before and after a participant, whose pages exist."""

    before: str | None
    after: str | None


def find_neighbors(out_dir: PathLike, name: str) -> Neighbors:
    """Find the neighbors of a participant (``sub-XX``) among the pages in a folder."""
    ordered = sorted(page_names(out_dir) | {name}, key=natural_key)
    place = ordered.index(name)
    before, after = ordered[:place], ordered[place + 1 :]
    return Neighbors(before[-1] if before else None, after[0] if after else None)


def links(out_dir: PathLike, name: str) -> Markup:
    """Return the links of a page to its neighbors."""
    return fragment("neighbors.html", **find_neighbors(out_dir, name)._asdict())


def update_links(out_dir: PathLike, name: str) -> bool:
    """Update the links of an existing page (``sub-XX``); return whether they changed."""
    return update_page(out_dir, name, _LINKS, lambda _: links(out_dir, name))
