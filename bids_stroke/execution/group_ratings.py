"""Visual ratings at the group level: tables of raters, and the table of merged ratings."""

from collections.abc import Sequence
from pathlib import Path

from bids_stroke.bids import names
from bids_stroke.bids.derivatives import write_described
from bids_stroke.bids.record import Record
from bids_stroke.qc import ratings
from bids_stroke.qc.ratings import CohortRatings
from bids_stroke.reports.group.ratings import describe_rejection
from bids_stroke.reports.group.table import ExcludedSession
from bids_stroke.settings import Settings
from bids_stroke.utils.text import enumeration

NAME = "group_ratings"


def rate_sessions(settings: Settings, records: Sequence[Record]) -> CohortRatings | None:
    """Read and merge the ratings of ``--qc-ratings``, if given."""
    if not settings.qc_ratings:
        return None
    sessions = [names.split_session_name(record.name) for record in records]
    return ratings.rate_cohort(settings.qc_ratings, sessions)


def rejected_sessions(rated: CohortRatings) -> dict[str, ExcludedSession]:
    """Return the sessions that the ratings reject, by name, with reasons and notes."""
    rows = rated.merged[rated.merged["rating"] == ratings.REJECT].to_dict("records")
    return {
        names.join_session_name(row["participant_id"], row["session_id"]): ExcludedSession(
            row["participant_id"],
            row["session_id"],
            describe_rejection(row["reasons"], row["notes"]),
        )
        for row in rows
    }


def names_of_ratings(settings: Settings) -> str:
    """Return the paths of the tables of ratings as text."""
    return enumeration(list(map(str, settings.qc_ratings)))


def write_ratings(out: Path, rated: CohortRatings | None) -> None:
    """Write the merged ratings, or remove those of an earlier run."""
    table = rated.merged.replace("", "n/a") if rated else None
    write_described(table, ratings.MERGED_COLUMNS, out / NAME)
