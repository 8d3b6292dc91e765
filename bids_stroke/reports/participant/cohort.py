"""Percentiles of a session in its cohort, in the participant report.

A page shows the percentiles of its sessions in the cohort of the latest run of the group level, which
also updates existing pages.
"""

import re
from collections.abc import Mapping
from itertools import groupby

import pandas as pd
from markupsafe import Markup

from bids_stroke.bids.names import join_session_name
from bids_stroke.cohort.place import Place, cohort_places
from bids_stroke.reports.columns import column_title
from bids_stroke.reports.group.files import table_keys
from bids_stroke.utils.files import PathLike

from .updates import update_page

_PARAGRAPH = re.compile(r'<p class="cohort" data-session="(?P<session>[^"]*)">.*?</p>', re.DOTALL)


def describe_places(places: Mapping[str, Place]) -> str:
    """Describe the percentiles of a session in a sentence; empty without percentiles.

    Examples
    --------
    >>> describe_places({"lesion_volume_ml": Place(20.0, 66.7, 3)})
    'Percentiles in the cohort: lesion volume 67 (3 other sessions).'
    """
    parts = []
    for sessions, group in groupby(places.items(), key=lambda item: item[1].sessions):
        values = ", ".join(f"{_title(name)} {place.percentile:.0f}" for name, place in group)
        parts.append(f"{values} ({sessions} other session{'s' if sessions != 1 else ''})")
    return f"Percentiles in the cohort: {'; '.join(parts)}." if parts else ""


def _title(column: str) -> str:
    """Return the title of a measure without its unit, within a sentence."""
    title = column_title(column).partition(" (")[0].removesuffix(" total")
    return title if title[:2].isupper() else title[0].lower() + title[1:]


def paragraph(session: str, text: str) -> Markup:
    """Return the paragraph with the percentiles of a session (``sub-01_ses-1``) in its cohort."""
    return Markup('<p class="cohort" data-session="{}">{}</p>').format(session, text)


def page_texts(table: pd.DataFrame) -> dict[str, dict[str, str]]:
    """Describe the percentiles of all sessions of a group table, by participant and session name."""
    texts: dict[str, dict[str, str]] = {}
    for (participant, session), places in zip(table_keys(table), cohort_places(table), strict=True):
        name = join_session_name(participant, session)
        texts.setdefault(participant, {})[name] = describe_places(places)
    return texts


def update_places(out_dir: PathLike, name: str, texts: Mapping[str, str]) -> bool:
    """Update the percentiles of sessions in an existing page (``sub-XX``); return whether they changed.

    Parameters
    ----------
    out_dir : path
    name : str
    texts : mapping of str to str
        Text of each session, by name; other sessions are not in the cohort.
    """

    def content(match: re.Match[str]) -> str:
        return paragraph(match["session"], texts.get(match["session"], ""))

    return update_page(out_dir, name, _PARAGRAPH, content)
