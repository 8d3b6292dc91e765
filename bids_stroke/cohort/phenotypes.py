"""Columns with outcomes and covariates: of participants.tsv, sessions.tsv or a phenotype table."""

import json
from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from bids_stroke.bids.names import sidecar_of
from bids_stroke.errors import DatasetError
from bids_stroke.utils.text import enumeration

from .coding import Column
from .participants import read_keyed_table

KEYS = ("participant_id", "session_id")


class Tables:
    """Tables with outcomes and covariates of one session of each participant.

    Parameters
    ----------
    bids_dir : Path
        Dataset with ``participants.tsv`` and ``sub-XX_sessions.tsv``, which need not exist.
    sessions : mapping of str to str
        Session of each participant; empty text without ``ses-``.
    measured : pandas.DataFrame
        Columns of the group table that can be covariates, with the column participant_id.
    phenotype : Path, optional
        Table with the column participant_id and, optionally, session_id.

    Raises
    ------
    DatasetError
        If a table cannot be read, or has different rows for a participant or session.
    """

    def __init__(
        self,
        bids_dir: Path,
        sessions: Mapping[str, str],
        measured: pd.DataFrame,
        phenotype: Path | None = None,
    ) -> None:
        self._sessions = sessions
        #: Rows of the participants by the path of the table.
        self._tables = dict[Path, pd.DataFrame]()
        self._add(Path("group_lesion.tsv"), measured)
        path = bids_dir / "participants.tsv"
        if path.is_file():
            self._add(path, read_keyed_table(path, ["participant_id"]))
        self._add_sessions(bids_dir)
        if phenotype:
            if not phenotype.is_file():
                raise DatasetError(f"{phenotype} does not exist; check --phenotype.")
            self._add_selected(
                phenotype, read_keyed_table(phenotype, ["participant_id"], ["session_id"])
            )

    def _add(self, path: Path, table: pd.DataFrame) -> None:
        """Add a table with a row for each participant."""
        self._tables[path] = table.set_index("participant_id").reindex(list(self._sessions))

    def _add_selected(self, path: Path, table: pd.DataFrame) -> None:
        """Add the rows of the selected sessions, if the table has sessions."""
        if "session_id" in table:
            selected = table["participant_id"].map(self._sessions)
            table = table[table["session_id"].fillna("") == selected]
        self._add(path, table)

    def _add_sessions(self, bids_dir: Path) -> None:
        """Add the rows of the sessions from the sessions.tsv of each participant."""
        tables = []
        for participant in self._sessions:
            path = bids_dir / participant / f"{participant}_sessions.tsv"
            if path.is_file():
                table = read_keyed_table(path, ["session_id"])
                tables.append(table.assign(participant_id=participant))
        if tables:
            self._add_selected(bids_dir / "sessions.tsv", pd.concat(tables))

    def column(self, name: str) -> Column:
        """Return a column.

        Raises
        ------
        DatasetError
            If no table, or more than one, has the column, or if its sidecar cannot be read.
        """
        paths = [path for path, rows in self._tables.items() if name in rows and name not in KEYS]
        if len(paths) > 1:
            listing = " and ".join(map(str, paths))
            raise DatasetError(f"The column {name} is in {listing}; rename it in one of them.")
        if not paths:
            columns = dict.fromkeys(
                str(column) for rows in self._tables.values() for column in rows if column not in KEYS
            )
            raise DatasetError(
                f"There is no column {name}; choose one of {enumeration(list(columns), 40)}."
                if columns
                else f"There is no column {name}, because there is no table with outcomes; add "
                "participants.tsv to the dataset, or use --phenotype."
            )
        (path,) = paths
        description = _read_description(sidecar_of(path), name)
        levels = description.get("Levels")
        return Column(
            name,
            self._tables[path][name],
            path.name,
            tuple(map(str, levels)) if isinstance(levels, dict | list) else (),
            "Units" in description,
        )


def _read_description(sidecar: Path, name: str) -> Mapping[str, object]:
    """Read the description of a column; empty without a sidecar or an entry."""
    if not sidecar.is_file():
        return {}
    try:
        content = json.loads(sidecar.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError) as error:
        raise DatasetError(f"{sidecar} is not valid JSON ({error}); fix the file.") from None
    description = content.get(name) if isinstance(content, dict) else None
    return description if isinstance(description, dict) else {}
