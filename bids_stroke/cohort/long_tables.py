"""Additional group tables: a short table, and long tables of tracts and regions."""

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd

from bids_stroke.atlases import load_columns, regions
from bids_stroke.bids.names import split_session_name
from bids_stroke.bids.record import Record
from bids_stroke.utils.files import PathLike

from .columns import COLUMNS, Description, describe_columns, tract_prefixes
from .table import read_rows

#: Columns of the short table that do not depend on the tracts.
_SHORT_COLUMNS = (
    *("participant_id", "session_id", "qc_flags", "model"),
    *("lesion_volume_ml", "lesion_volume_mni_ml", "n_components", "hemisphere", "index_super_region"),
)
#: Columns of the short table for each tract, without their prefix.
_SHORT_TRACT_COLUMNS = (
    *("weighted_load_ml_ipsilesional", "weighted_load_ml_contralesional", "weighted_load_ml_total"),
    *("max_slice_load_ipsilesional", "max_slice_load_total", "raw_load_ml_total"),
)
_SESSION_KEYS = ("participant_id", "session_id", "atlas")
_ATLAS: Description = {"Description": "Value of the atlas- entity of the table of the session"}
_SESSION_COLUMNS = {**{name: COLUMNS[name] for name in _SESSION_KEYS[:2]}, "atlas": _ATLAS}
#: Role of the session tables and columns of the long table, by the name of the long table.
LONG_TABLES: dict[str, tuple[str, dict[str, Description]]] = {
    "group_tracts": ("loads", _SESSION_COLUMNS | load_columns.COLUMNS),
    "group_regions": ("regions", _SESSION_COLUMNS | regions.COLUMNS),
}


def short_table(table: pd.DataFrame) -> tuple[pd.DataFrame, dict[str, Description]]:
    """Select the most important columns of the group table, with six columns for each tract.

    Parameters
    ----------
    table : pandas.DataFrame
        Group table from :func:`bids_stroke.cohort.table.collect`.

    Returns
    -------
    tuple of (pandas.DataFrame, dict)
        The short table and the descriptions of its columns.
    """
    tract_columns = [
        f"{tract}_{name}" for tract in tract_prefixes(table) for name in _SHORT_TRACT_COLUMNS
    ]
    descriptions = describe_columns(table)
    names = [*_SHORT_COLUMNS, *tract_columns]
    return table[names], {name: descriptions[name] for name in names}


def long_table(name: str, output_dir: PathLike, records: Sequence[Record]) -> pd.DataFrame:
    """Build a long table with a row for each session and tract side, or for each session and region.

    Parameters
    ----------
    name : str
        Key of :data:`bids_stroke.cohort.long_tables.LONG_TABLES`.
    output_dir : path
    records : sequence of Record
        Records of the sessions in the group table, in the same order.

    Returns
    -------
    pandas.DataFrame
        Columns as in :data:`bids_stroke.cohort.long_tables.LONG_TABLES`.
    """
    role, columns = LONG_TABLES[name]
    rows = []
    for record in records:
        participant, session = split_session_name(record.name)
        for atlas, path in record.paths(output_dir, role).items():
            key = (participant, session or np.nan, atlas)
            rows += [dict(zip(_SESSION_KEYS, key, strict=True)) | row for row in read_rows(path)]
    return pd.DataFrame(rows, columns=list(columns))


def unmeasured_atlases(output_dir: PathLike, records: Sequence[Record]) -> Iterator[str]:
    """Yield a notice for each tract or atlas in which some sessions were not measured."""
    for role, _ in LONG_TABLES.values():
        measured = [set(record.paths(output_dir, role)) for record in records]
        for atlas in sorted(set().union(*measured)):
            missing = sum(atlas not in atlases for atlases in measured)
            if missing:
                yield (
                    f"{missing} of {len(records)} sessions were not measured in {atlas}; run the "
                    "participant level with the same --tract and --atlas for all sessions."
                )
