"""Changes between the sessions of a participant, in the participant report.

The sessions are compared after the last of them has ended, when the page already exists: the comparison
updates this part of the page.
"""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import pandas as pd
from markupsafe import Markup

from bids_stroke.bids import longitudinal
from bids_stroke.bids.record import Record
from bids_stroke.cohort.longitudinal import ALL, CHANGE_COVERAGE
from bids_stroke.cohort.table import Row, read_rows
from bids_stroke.reports.columns import cell
from bids_stroke.reports.figures import svg
from bids_stroke.reports.rendering import Picture, fragment
from bids_stroke.utils.files import PathLike

from .sections import picture_scale, table_context
from .updates import update_page

_PART = re.compile(r'<div id="longitudinal">.*?</div><!-- longitudinal -->', re.DOTALL)
#: Figures of a pair of sessions: their titles by role.
_FIGURES = {
    longitudinal.CONTOURS: "Contours of both lesions",
    longitudinal.ALIGNMENT: "Alignment of both sessions",
}


class Pair(NamedTuple):
    """Pair of consecutive sessions in the report.

    Attributes
    ----------
    title : str
    sentence : str
        Volumes, change, and classes of the lesions.
    pictures : list of Picture
        Contours of both lesions, and alternating images.
    """

    title: str
    sentence: str
    pictures: list[Picture]


def changes_part(out_dir: PathLike, name: str, sessions: Sequence[Record] | None = None) -> Markup:
    """Return the part of the page of a participant (``sub-XX``) with the changes between its sessions.

    The part is empty without a current comparison. Files that cannot be shown do not affect the page.

    Parameters
    ----------
    out_dir : path
    name : str
    sessions : sequence of Record, optional
        Records of the sessions; default: the records in the output folder.
    """
    out_dir = Path(out_dir)
    record = longitudinal.read_current(out_dir, name, sessions)
    context: dict[str, object] = {"pairs": [], "plot": None, "table": None}
    if record:
        try:
            context |= _context(out_dir, record)
        except Exception as error:  # in the files of the comparison; the sessions are shown
            record.error = f"their files cannot be shown ({error}); run the participant level again."
    return fragment("longitudinal.html", record=record, **context)


def update_changes(out_dir: PathLike, name: str) -> bool:
    """Update the changes in the existing page of a participant (``sub-XX``), if there is a page; return
    whether they changed."""
    if not (Path(out_dir) / f"{name}.html").is_file():
        return False
    part = changes_part(out_dir, name)
    return update_page(out_dir, name, _PART, lambda _: part)


def _context(out_dir: Path, record: Record) -> dict[str, object]:
    """Return the template context of a comparison with outputs."""
    table = record.path(out_dir, longitudinal.TABLE)
    if table is None or not record.complete(out_dir):
        return {}
    rows = read_rows(table)
    figures = {kind: record.paths(out_dir, kind) for kind in _FIGURES}
    scale = picture_scale(path for paths in figures.values() for path in paths.values())
    pairs = [_pair(row, rows, figures, scale) for row in rows if row["lesion"] == ALL]
    return {
        "pairs": pairs,
        "plot": svg.inline(record.require(out_dir, longitudinal.PLOT)),
        "table": table_context(table, out_dir, longitudinal.DESC),
    }


def _pair(
    entire: Row, rows: Sequence[Row], figures: Mapping[str, Mapping[str, Path]], scale: float
) -> Pair:
    """Return the pair of sessions of the row of an entire lesion."""
    before, after = entire["previous_session_id"], entire["session_id"]
    lesions = [row for row in rows if row["session_id"] == after and row["lesion"] != ALL]
    pictures = [
        Picture(title, svg.inline(figures[kind][after], scale)) for kind, title in _FIGURES.items()
    ]
    return Pair(f"{before} to {after}", describe_change(entire, lesions), pictures)


def describe_change(row: Row, lesions: Sequence[Row]) -> str:
    """Describe the change of a lesion between two sessions in a sentence.

    Parameters
    ----------
    row : mapping
        Row of the entire lesion in the table of changes.
    lesions : sequence of mapping
        Rows of the single lesions.

    Examples
    --------
    >>> row = {"previous_volume_ml": 10.0, "volume_ml": 12.5, "change_ml": 2.5, "change_percent": 25.0,
    ...        "days": 90.0, "change_low90_ml": float("nan"), "change_high90_ml": float("nan")}
    >>> describe_change(row, [{"class": "stable"}])
    '10 ml, then 12.5 ml after 90 days: +2.5 ml (+25%); lesions: 1 stable.'
    """
    days = row["days"]
    text = f"{cell(row['previous_volume_ml'])} ml, then {cell(row['volume_ml'])} ml"
    text += "" if pd.isna(days) else f" after {days:.0f} days"
    text += f": {row['change_ml']:+.3g} ml"
    text += "" if pd.isna(row["change_percent"]) else f" ({row['change_percent']:+.3g}%)"
    low, high = (row[f"change_{end}{CHANGE_COVERAGE}_ml"] for end in ("low", "high"))
    if not pd.isna(low):
        verdict = "no change shown" if low <= 0 <= high else "a change beyond the errors of the volumes"
        text += f", {CHANGE_COVERAGE}% interval {low:+.3g} to {high:+.3g} ml: {verdict}"
    counts = Counter(part["class"].replace("_", " and ") for part in lesions)
    listing = ", ".join(f"{number} {kind}" for kind, number in counts.items())
    return f"{text}; lesions: {listing}." if listing else f"{text}."
