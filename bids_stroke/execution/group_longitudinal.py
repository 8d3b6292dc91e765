"""Changes between sessions at the group level, from the comparisons of the participant level."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from bids_stroke.bids import logs, longitudinal
from bids_stroke.bids import record as records
from bids_stroke.bids.derivatives import write_described
from bids_stroke.bids.names import join_session_name, natural_key, split_session_name
from bids_stroke.bids.record import Record
from bids_stroke.cohort.columns import COLUMNS as COHORT_COLUMNS
from bids_stroke.cohort.columns import Description
from bids_stroke.cohort.longitudinal import ALL
from bids_stroke.cohort.longitudinal import COLUMNS as CHANGE_COLUMNS
from bids_stroke.cohort.longitudinal_notes import is_misaligned, uncompared
from bids_stroke.utils.tables import read_table
from bids_stroke.utils.text import enumeration

#: Name of the table, without extension.
TABLE = "group_longitudinal"
COLUMNS: dict[str, Description] = {
    "participant_id": COHORT_COLUMNS["participant_id"],
    **CHANGE_COLUMNS,
}


@dataclass
class _Changes:
    """Tables of participants, and participants or sessions without a table, by reason."""

    tables: list[pd.DataFrame] = field(default_factory=list)
    single: list[str] = field(default_factory=list)
    outdated: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    uncompared: list[str] = field(default_factory=list)
    excluded: list[str] = field(default_factory=list)

    def add(self, out: Path, subject: str, names: Sequence[str], included: set[str]) -> None:
        """Add the comparison of a participant with the sessions ``names``, restricted to those
        ``included`` in the group table."""
        sessions = records.read_finished(out, names) if len(names) > 1 else []
        if len(sessions) < 2:
            self.single.append(subject)
            return
        record = longitudinal.read_current(out, subject, sessions)
        if record is None:
            self.outdated.append(subject)
        elif record.error:
            self.failed.append(f"{subject} ({record.error})")
        else:
            reasons = uncompared(out, sessions).items()
            self.uncompared += [f"{name} ({reason})" for name, reason in reasons]
            if path := record.path(out, longitudinal.TABLE):
                self._add_table(path, subject, included)

    def _add_table(self, path: Path, subject: str, included: set[str]) -> None:
        table = read_table(path)
        is_included = pd.Series(True, index=table.index)
        for column in ("previous_session_id", "session_id"):
            names = [join_session_name(subject, session) for session in table[column]]
            is_included &= pd.Series(names, index=table.index).isin(included)
        if not is_included.all():
            self.excluded.append(subject)
        self.tables.append(table[is_included].assign(participant_id=subject))

    def notices(self, table: pd.DataFrame | None) -> Iterator[str]:
        """Yield sentences on sessions without changes, and on changes that are not comparable."""
        if self.outdated:
            yield (
                f"The sessions of {enumeration(self.outdated)} have not been compared since they were "
                "processed; run the participant level again."
            )
        if self.failed:
            yield f"The comparison of sessions failed: {enumeration(self.failed)}."
        if self.uncompared:
            yield f"These sessions are not compared with others: {enumeration(self.uncompared)}."
        if self.excluded:
            yield (
                f"{TABLE}.tsv lacks the changes of {enumeration(self.excluded)} from or to sessions "
                "that are not in the group table."
            )
        if table is None:
            return
        if self.single:
            yield f"{TABLE}.tsv lacks participants with a single session: {enumeration(self.single)}."
        yield from _notices_of_table(table)


def _notices_of_table(table: pd.DataFrame) -> Iterator[str]:
    """Yield sentences on pairs of sessions that are not comparable, lack days, or are reordered."""
    pairs = table[table["lesion"] == ALL]
    different = pairs.loc[pairs["comparable"] == "no", "differences"].value_counts()
    if len(different):
        counts = zip(different.index.str.replace("+", " and "), different, strict=True)
        listing = ", ".join(f"{names} ({number})" for names, number in counts)
        yield (
            f"{different.sum()} of {len(pairs)} changes between sessions are not comparable, because "
            f"the sessions differ in {listing}: see the column comparable of {TABLE}.tsv."
        )
    if doubtful := _misaligned(pairs):
        yield (
            f"These sessions may be misaligned: {enumeration(doubtful)}. Check their figures in the "
            "participant reports before using the classes of lesions."
        )
    unknown = (pairs["days"] == "n/a").sum()
    if unknown:
        yield (
            f"The days are unknown for {unknown} of {len(pairs)} changes between sessions; add "
            "acq_time to the sessions.tsv of the participants and run the participant level again."
        )
    keys = [pairs[name].map(natural_key) for name in ("previous_session_id", "session_id")]
    reordered = pairs.loc[keys[0] > keys[1], "participant_id"].unique()
    if len(reordered):
        yield (
            f"The sessions of {enumeration(list(reordered))} are compared in the order of their "
            "acq_time. lesion_volume_change_ml in group_lesion.tsv is in the order of their names."
        )


def _misaligned(pairs: pd.DataFrame) -> list[str]:
    """Return the pairs of sessions that are probably misaligned."""
    distances, dice = pairs["registration_disagreement_mm"], pairs["brain_dice"]
    is_doubtful = [*map(is_misaligned, distances.astype(float), dice.astype(float))]
    keys = pairs.loc[is_doubtful, ["participant_id", "previous_session_id", "session_id"]]
    return [f"{name} ({before}, {after})" for name, before, after in keys.itertuples(index=False)]


def write_changes(out: Path, finished: Sequence[Record]) -> list[str]:
    """Write the table of changes, or remove that of an earlier run; return notices for the user.

    Parameters
    ----------
    out : Path
    finished : sequence of Record
        Records of the sessions in the group table.
    """
    included = {record.name for record in finished}
    names: dict[str, list[str]] = {}
    # The folder of the records is searched once, since this takes long in a large dataset.
    for name in sorted(logs.recorded(out)):
        names.setdefault(split_session_name(name)[0], []).append(name)
    changes = _Changes()
    for subject in dict.fromkeys(split_session_name(record.name)[0] for record in finished):
        changes.add(out, subject, names.get(subject, []), included)
    table = pd.concat(changes.tables)[list(COLUMNS)] if changes.tables else None
    write_described(table, COLUMNS, out / TABLE)
    return list(changes.notices(table))
