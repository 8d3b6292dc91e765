"""Further tables of a cohort: the columns that are used most, and long tables of tracts and regions."""

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
_SHORT = (
    *("participant_id", "session_id", "qc_flags", "model"),
    *("lesion_volume_ml", "lesion_volume_mni_ml", "n_components", "hemisphere", "index_super_region"),
)
#: Columns of the short table by tract, without the start.
_SHORT_OF_TRACT = (
    *("weighted_load_ml_ipsilesional", "weighted_load_ml_contralesional", "weighted_load_ml_total"),
    *("max_slice_load_ipsilesional", "max_slice_load_total", "raw_load_ml_total"),
)
_SESSION = ("participant_id", "session_id", "atlas")
_ATLAS: Description = {"Description": "Value of the atlas- entity of the table of the session"}
_OF_SESSION = {**{name: COLUMNS[name] for name in _SESSION[:2]}, "atlas": _ATLAS}
#: Role of the tables of sessions, and columns of the long table, by its name.
LONG_TABLES: dict[str, tuple[str, dict[str, Description]]] = {
    "group_tracts": ("loads", _OF_SESSION | load_columns.COLUMNS),
    "group_regions": ("regions", _OF_SESSION | regions.COLUMNS),
}


def short_table(table: pd.DataFrame) -> tuple[pd.DataFrame, dict[str, Description]]:
    """The columns of the group table that are used most, six of them for each tract.

    Parameters
    ----------
    table : pandas.DataFrame
        Of :func:`bids_stroke.cohort.table.collect`.

    Returns
    -------
    tuple of (pandas.DataFrame, dict)
        The table, and the descriptions of its columns.
    """
    of_tracts = [f"{tract}_{name}" for tract in tract_prefixes(table) for name in _SHORT_OF_TRACT]
    short = table[[*_SHORT, *of_tracts]]
    return short, describe_columns(short)


def long_table(name: str, output_dir: PathLike, records: Sequence[Record]) -> pd.DataFrame:
    """A long table: a row for each session, and each side of each tract or each region of each atlas.

    Parameters
    ----------
    name : str
        Of :data:`bids_stroke.cohort.long_tables.LONG_TABLES`.
    output_dir : path
    records : sequence of Record
        Of the sessions of the group table, in its order.

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
            start = (participant, session or np.nan, atlas)
            rows += [dict(zip(_SESSION, start, strict=True)) | row for row in read_rows(path)]
    return pd.DataFrame(rows, columns=list(columns))


def unmeasured_atlases(output_dir: PathLike, records: Sequence[Record]) -> Iterator[str]:
    """A sentence on each tract or atlas that some sessions were not measured on."""
    for role, _ in LONG_TABLES.values():
        found = [set(record.paths(output_dir, role)) for record in records]
        for atlas in sorted(set().union(*found)):
            missing = sum(atlas not in atlases for atlases in found)
            if missing:
                yield (
                    f"{missing} of {len(records)} sessions were not measured on {atlas}; run the "
                    "participant level with the same --tract and --atlas for all."
                )
