"""Table of sessions in the group report, and the data of its script."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from bids_stroke.bids.names import natural_key, split_session_name
from bids_stroke.cohort.table import lesion_volumes, numeric_column
from bids_stroke.reports.columns import MEASURES, column_title, number
from bids_stroke.reports.figures import panels

from .checks import check_figure, check_statuses, messages
from .files import SessionFiles, SessionKey, Value, session_key, table_keys

LEADING_COLUMNS = (
    *("participant_id", "session_id", "status"),
    *MEASURES,
    *(
        "mean_probability",
        "brain_volume_ml",
        "template_brain_dice",
        "relative_lesion_scaling",
        "stands_out",
    ),
)
_NATIVE_VOLUME, _TEMPLATE_VOLUME = "lesion_volume_ml", "lesion_volume_mni_ml"
#: Column of the page with the volumes of a cohort in which only some sessions have a native volume.
_MIXED_VOLUME = "native_or_mni_volume_ml"
#: Columns that the page adds.
_PAGE_COLUMNS = ("status", "stands_out", _MIXED_VOLUME)
#: Columns hidden initially.
HIDDEN_COLUMNS = {
    _TEMPLATE_VOLUME,
    "cst_category_status",
    "cst_raw_load_ml_left",
    "cst_raw_load_ml_right",
}
REVIEWED_FIGURES = ("lesion", "axial", "mni", "brain", "tract", "ownmni")  # shown for rating
KEYS = ("participant_id", "session_id")
PAGE_ROWS = 1000  # rows of the table shown at a time


class ExcludedSession(NamedTuple):
    """Session that is missing in the table because it failed or was rejected."""

    participant_id: str
    session_id: str | None = None
    reason: str | None = None


def new_names(table: pd.DataFrame) -> dict[str, str]:
    """Return new names for the columns of ``participants.tsv`` that are named like one of the page.

    >>> new_names(pd.DataFrame(columns=["age", "status", "participants_status"]))
    {'status': 'participants_participants_status'}
    """
    names = {}
    for name in (column for column in _PAGE_COLUMNS if column in table):
        names[name] = f"participants_{name}"
        while names[name] in table:
            names[name] = f"participants_{names[name]}"
    return names


def session_keys(table: pd.DataFrame) -> list[str]:
    """List the columns of a table that identify a session."""
    return [column for column in KEYS if column in table]


def volume_column(table: pd.DataFrame) -> str | None:
    """Return the column of the page with the lesion volumes, or None if there are none."""
    columns = (_MIXED_VOLUME, _NATIVE_VOLUME, _TEMPLATE_VOLUME)
    return next((name for name in columns if name in table), None)


def _add_mixed_volumes(table: pd.DataFrame) -> pd.DataFrame:
    """Add the column of all lesion volumes if only some sessions have a native volume."""
    volumes, native = lesion_volumes(table), numeric_column(table, _NATIVE_VOLUME)
    is_mixed = native.notna().any() and (native.isna() & volumes.notna()).any()
    return table.assign(**{_MIXED_VOLUME: volumes}) if is_mixed else table


def arrange_table(table: pd.DataFrame, failed: Sequence[ExcludedSession]) -> pd.DataFrame:
    """Add the ``status`` column and rows of failed sessions, remove empty columns, and sort the table
    for the page.
    """
    empty = lesion_volumes(table) == 0
    table["status"] = check_statuses(table).fillna(empty.map({True: "no lesion found", False: "done"}))
    if failed:
        statuses = [(item.participant_id, item.session_id or np.nan, "failed") for item in failed]
        rows = pd.DataFrame(statuses, columns=[*KEYS, "status"], dtype=object)
        table = pd.concat([table, rows], ignore_index=True)
    table = _add_mixed_volumes(table).dropna(axis="columns", how="all")
    first = [column for column in LEADING_COLUMNS if column in table]
    rest = [column for column in table if column not in first]
    table = table[first + rest]
    return table.sort_values(
        session_keys(table), key=lambda names: names.map(natural_key), kind="stable", ignore_index=True
    )


def table_data(
    table: pd.DataFrame,
    groups: Sequence[str],
    links: Mapping[str, str],
    sessions: Mapping[SessionKey, SessionFiles],
    failed: Sequence[ExcludedSession],
    out_dir: Path,
) -> dict[str, object]:
    """Build the data for the script of the page (``data/templates/group.js``).

    Parameters
    ----------
    table : pandas.DataFrame
        Table from :func:`bids_stroke.reports.group.table.arrange_table`.
    groups : sequence of str
        Grouping columns; the page shows the first four.
    links : mapping of str to str
        Report addresses by participant.
    sessions : mapping of SessionKey to SessionFiles
        Files of the rows.
    failed : sequence of ExcludedSession
        Sessions that failed.
    out_dir : Path
        Folder of the derivatives.
    """
    numeric = [name for name in table if pd.api.types.is_numeric_dtype(table[name])]
    native, in_template = (numeric_column(table, name) for name in (_NATIVE_VOLUME, _TEMPLATE_VOLUME))
    only_in_template = bool((native.isna() & in_template.notna()).any())
    hidden = HIDDEN_COLUMNS - ({_TEMPLATE_VOLUME} if only_in_template else set())
    files = [sessions[key] for key in table_keys(table)]
    return {
        "columns": [
            {
                "name": name,
                "title": column_title(name),
                "number": name in numeric,
                "first": (name in LEADING_COLUMNS and name not in hidden) or name in groups[:4],
                "group": name in groups,
            }
            for name in table
        ],
        "rows": [[_json_value(value) for value in row] for row in table.itertuples(index=False)],
        "links": links,
        "volume": volume_column(table),
        "frame": panels.FRAME,
        "page": PAGE_ROWS,
        **_picture_data(files, out_dir),
        "messages": _message_data(table, sessions, failed),
    }


def _picture_data(files: Sequence[SessionFiles], out_dir: Path) -> dict[str, list]:
    """Return the ``figures`` of the page, in short form, and the ``pictures`` of each row: indices of
    its figures.

    ``*`` in a figure is the name of the session and ``@`` that of the participant.
    """
    figures: dict[str, int] = {}
    pictures = []
    for session in files:
        participant, _ = split_session_name(session.name)
        paths = [path.relative_to(out_dir).as_posix() for path in _reviewed_figures(session)]
        short = [path.replace(session.name, "*").replace(participant, "@") for path in paths]
        pictures.append([figures.setdefault(name, len(figures)) for name in short])
    return {"figures": list(figures), "pictures": pictures}


def _reviewed_figures(session: SessionFiles) -> list[Path]:
    """List the figures shown for rating: first those of failed checks."""
    failed = [path for name in session.flags if (path := check_figure(name, session))]
    reviewed = [path for kind in REVIEWED_FIGURES for path in session.figures.get(kind, [])]
    return list(dict.fromkeys([*failed, *reviewed]))


def _message_data(
    table: pd.DataFrame,
    sessions: Mapping[SessionKey, SessionFiles],
    failed: Sequence[ExcludedSession],
) -> dict[int, list[str]]:
    """Return the messages of failed checks, or the reason of a failure, by row."""
    reasons = {
        session_key(item.participant_id, item.session_id): [item.reason]
        for item in failed
        if item.reason
    }
    texts = [reasons.get(key) or messages(sessions[key]) for key in table_keys(table)]
    return {row: text for row, text in enumerate(texts) if text}


def _json_value(value: Value) -> float | str | None:
    """Convert a value for JSON: number with six significant digits, text, or None."""
    real = number(value)
    if real is not None:
        return float(f"{real:.6g}")
    return None if pd.isna(value) or value == "" else str(value)
