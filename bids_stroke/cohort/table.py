"""Group table: one row for each session, read from records and session tables."""

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pandas as pd

from bids_stroke.atlases import regions, super_regions
from bids_stroke.bids.names import natural_key, split_session_name
from bids_stroke.bids.record import Record
from bids_stroke.errors import DatasetError
from bids_stroke.lesion.measurements import INTERVALS, native_or_template
from bids_stroke.qc import image_quality
from bids_stroke.spatial.templates import TEMPLATE
from bids_stroke.utils.files import PathLike

from .columns import TRACT_COLUMNS, tract_prefix

#: Cells of a row by column.
Row: TypeAlias = dict[str, Any]
#: Columns of text that users choose; a name such as ``17`` is not a number.
_TEXT = ("region",)


def volume_ml(row: Mapping[str, Any]) -> float:
    """Return the volume (ml) of a lesion on the native grid, or in the template if there is none.

    >>> volume_ml({"lesion_volume_ml": np.nan, "lesion_volume_mni_ml": 12.5})
    12.5
    """
    return float(native_or_template(row["lesion_volume_ml"], row["lesion_volume_mni_ml"]))


def numeric_column(table: pd.DataFrame, name: str) -> pd.Series:
    """Return a column as numbers; NaN for other values and without the column."""
    values = table[name] if name in table else pd.Series(np.nan, index=table.index)
    return pd.to_numeric(values, errors="coerce")


def lesion_volumes(table: pd.DataFrame) -> pd.Series:
    """Return lesion volumes (ml): native, or in the template if there is no native volume."""
    columns = (numeric_column(table, f"lesion_volume_{end}") for end in ("ml", "mni_ml"))
    return pd.Series(native_or_template(*columns), index=table.index)


def first_sessions(table: pd.DataFrame) -> pd.Series:
    """Return whether each row is the first session of its participant, in order of names.

    >>> sessions = {"participant_id": ["sub-1", "sub-1"], "session_id": ["ses-10", "ses-2"]}
    >>> first_sessions(pd.DataFrame(sessions)).tolist()
    [False, True]
    """
    order = table["session_id"].map(natural_key).sort_values(kind="stable").index
    return ~table.loc[order, "participant_id"].duplicated().reindex(table.index)


def session_row(output_dir: PathLike, record: Record) -> Row:
    """Build the row of a session that was processed successfully.

    Raises
    ------
    DatasetError
        If a table of the session is missing or was written by another version.
    """
    native = record.path(output_dir, "components")
    lesion, *components = read_rows(native or record.require(output_dir, "components", TEMPLATE))
    participant, session = split_session_name(record.name)
    quality = _quality(record.path(output_dir, "image_quality"), record.reference)
    volume = lesion["volume_ml"] if native else np.nan
    scaling = lesion["volume_template_ml"] / volume if volume > 0 else np.nan
    row: Row = {
        "participant_id": participant,
        "session_id": session or np.nan,
        "qc_flags": "+".join(record.flags) or np.nan,
        "reference": record.reference,
        "contrasts": "+".join(record.contrasts) or np.nan,
        "model": record.model,
        "corrected_by": record.corrected_by or np.nan,
        "lesion_volume_ml": volume,
        **{f"lesion_{name}": lesion.get(name, np.nan) for name in INTERVALS},
        "lesion_volume_mni_ml": lesion["volume_template_ml"],
        "relative_lesion_scaling": scaling / quality["brain_scaling"],
        "previous_session_id": np.nan,
        "lesion_volume_change_ml": np.nan,
        "outside_brain_share": lesion["outside_brain_share"],
        "n_components": len(components),
        "hemisphere": lesion["hemisphere"],
        "index_super_region": np.nan,
        "mean_probability": lesion["mean_probability"],
        "max_probability": lesion["max_probability"],
        **quality,
    }
    for label, path in record.paths(output_dir, "loads").items():
        row |= _loads(tract_prefix(label), path)
    shares = record.path(output_dir, "regions", super_regions.super_regions_card().atlas)
    return row | (_regions(read_rows(shares)) if shares else {})


def read_rows(path: Path) -> list[Row]:
    """Read the rows of a session table.

    For tables this small, the csv module is a hundred times faster than pandas.

    Raises
    ------
    DatasetError
        If the table cannot be read.
    """
    try:
        with path.open(newline="") as file:
            names, *rows = csv.reader(file, delimiter="\t")
        return [
            {name: _value(name, text) for name, text in zip(names, row, strict=True)} for row in rows
        ]
    except (OSError, ValueError) as error:
        raise DatasetError(
            f"{path} cannot be read as a table ({error}); run the participant level again."
        ) from None


def _value(column: str, text: str) -> float | str:
    """Convert a cell to a number, or NaN if it is missing."""
    if column in _TEXT:
        return text
    try:
        return float(text)
    except ValueError:
        return np.nan if text == "n/a" else text


def _quality(path: Path | None, reference: str | None) -> Row:
    """Read the image quality columns; the columns of the reference image are always included."""
    row: Row = dict.fromkeys(image_quality.REFERENCE_MEASURES, np.nan)
    if path is None:
        return row
    for values in read_rows(path):
        prefix = image_quality.column_prefix(values["contrast"], reference)
        names = image_quality.OTHER_IMAGE_MEASURES if prefix else image_quality.REFERENCE_MEASURES
        row |= {f"{prefix}{name}": values.get(name, np.nan) for name in names}
    return row


def _loads(name: str, path: Path) -> Row:
    """Read the columns of a tract."""
    table = {values["side"]: values for values in read_rows(path)}
    try:
        return {
            f"{name}_{column}": table[side][number] for column, (number, side) in TRACT_COLUMNS.items()
        }
    except KeyError as error:
        raise DatasetError(
            f"{path} lacks {error.args[0]}: it was written by another version; run the participant "
            "level again."
        ) from None


def _regions(table: Sequence[Row]) -> Row:
    row: Row = {"index_super_region": regions.index_region(pd.DataFrame(table))}
    for values in table:
        region = super_regions.code_of(values["region"]).lower()
        row[f"{region}_volume_ml"] = values["lesion_volume_ml"]
        row[f"{region}_share"] = values["lesion_share"]
    return row


def collect(
    output_dir: PathLike, records: Sequence[Record], strict: bool = False
) -> tuple[pd.DataFrame, list[Record], list[Record]]:
    """Collect the group table from session tables.

    Parameters
    ----------
    output_dir : path
    records : sequence of Record
        Records of the sessions.
    strict : bool
        Whether sessions that failed a QC check count as failed.

    Returns
    -------
    tuple of (pandas.DataFrame, list of Record, list of Record)
        Table with columns as in :func:`bids_stroke.cohort.columns.describe_columns`, the record of
        each row, and the records of failed sessions.

    Raises
    ------
    DatasetError
        If no session was processed successfully.
    """
    rows, measured, failed = list[Row](), list[Record](), list[Record]()
    for record in records:
        try:
            row = session_row(output_dir, record) if record.complete(output_dir) else None
        except DatasetError as error:  # a session without a valid table does not stop the others
            row, record.error = None, str(error)
        if row is None or (strict and record.flags):
            failed.append(record)
            continue
        rows.append(row)
        measured.append(record)
    if not measured:
        raise DatasetError(
            f"{output_dir} contains no complete session"
            f"{' that passes the QC checks' if strict else ''}; run the participant level first."
        )
    return _add_volume_changes(pd.DataFrame(rows)), measured, failed


def _add_volume_changes(table: pd.DataFrame) -> pd.DataFrame:
    """Add the volume change since the previous session of the same participant and model."""
    volumes = ("lesion_volume_ml", "lesion_volume_mni_ml")
    ordered = table.loc[table["session_id"].map(natural_key).sort_values(kind="stable").index]
    before = ordered.groupby(["participant_id", "model"])[["session_id", *volumes]].shift()
    change = ordered[volumes[0]] - before[volumes[0]]
    template_only = ordered[volumes[0]].isna() & before[volumes[0]].isna()
    change = change.mask(template_only, ordered[volumes[1]] - before[volumes[1]])
    previous = before["session_id"].where(change.notna())
    return table.assign(previous_session_id=previous, lesion_volume_change_ml=change)
