"""Table of sessions in the group report, and the data of its script."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from bids_stroke.bids.names import natural_key
from bids_stroke.lesion.measurements import native_or_template
from bids_stroke.reports.columns import MEASURES, column_title, number

from .files import Value, session_figures

LEADING_COLUMNS = (
    *("participant_id", "session_id", "status"),
    *MEASURES,
    *("mean_probability", "brain_volume_ml", "template_brain_dice", "stands_out"),
)
_TEMPLATE_VOLUME = "lesion_volume_mni_ml"
#: Columns hidden initially.
HIDDEN_COLUMNS = {
    _TEMPLATE_VOLUME,
    "cst_category_status",
    "cst_raw_load_ml_left",
    "cst_raw_load_ml_right",
}
REVIEWED_FIGURES = ("lesion", "mni", "brain", "tract", "ownmni")  # figures shown for rating
KEYS = ("participant_id", "session_id")


class ExcludedSession(NamedTuple):
    """Session that is missing in the table because it failed or was rejected."""

    participant_id: str
    session_id: str | None = None
    reason: str | None = None


def session_keys(table: pd.DataFrame) -> list[str]:
    """List the columns of a table that identify a session."""
    return [column for column in KEYS if column in table]


def lesion_volumes(table: pd.DataFrame) -> pd.Series:
    """Return lesion volumes (ml): native, or in the template if there is no native volume."""
    native, in_template = (_numbers(table, f"lesion_volume{suffix}_ml") for suffix in ("", "_mni"))
    return pd.Series(native_or_template(native, in_template), index=table.index)


def _numbers(table: pd.DataFrame, name: str) -> pd.Series:
    values = table[name] if name in table else pd.Series(np.nan, index=table.index)
    return pd.to_numeric(values, errors="coerce")


def arrange_table(table: pd.DataFrame, failed: Sequence[ExcludedSession]) -> pd.DataFrame:
    """Add the ``status`` column and rows of failed sessions, remove empty columns, and sort the table
    for the page."""
    table = table.copy()
    if "status" not in table:
        empty = lesion_volumes(table) == 0
        table["status"] = empty.map({True: "no lesion found", False: "done"})
    if failed:
        statuses = [(item.participant_id, item.session_id, "failed") for item in failed]
        rows = pd.DataFrame(statuses, columns=[*KEYS, "status"], dtype=object)
        table = pd.concat([table, rows], ignore_index=True)
    table = table.dropna(axis="columns", how="all")
    first = [column for column in LEADING_COLUMNS if column in table]
    rest = [column for column in table if column not in first]
    table = table[first + rest]
    return table.sort_values(
        session_keys(table), key=lambda names: names.map(natural_key), kind="stable"
    )


def table_data(
    table: pd.DataFrame, groups: Sequence[str], links: Mapping[str, str], out_dir: Path
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
    out_dir : Path
        Folder of the derivatives.
    """
    numeric = [name for name in table if pd.api.types.is_numeric_dtype(table[name])]
    native, in_template = (_numbers(table, name) for name in ("lesion_volume_ml", _TEMPLATE_VOLUME))
    only_in_template = bool((native.isna() & in_template.notna()).any())
    hidden = HIDDEN_COLUMNS - ({_TEMPLATE_VOLUME} if only_in_template else set())
    sessions = table.get("session_id", [""] * len(table))
    return {
        "columns": [
            {
                "name": name,
                "title": column_title(name),
                "number": name in numeric,
                "first": (name in LEADING_COLUMNS and name not in hidden) or name in groups[:4],
            }
            for name in table
        ],
        "rows": [[_json_value(value) for value in row] for row in table.itertuples(index=False)],
        "links": links,
        "pictures": [
            [
                path.relative_to(out_dir).as_posix()
                for kind in REVIEWED_FIGURES
                for path in figures.get(kind, [])
            ]
            for figures in (
                session_figures(out_dir, participant, session)
                for participant, session in zip(table["participant_id"], sessions, strict=True)
            )
        ],
    }


def _json_value(value: Value) -> float | str | None:
    """Convert a value for JSON: number with six significant digits, text, or None."""
    real = number(value)
    if real is not None:
        return float(f"{real:.6g}")
    return None if pd.isna(value) or value == "" else str(value)
