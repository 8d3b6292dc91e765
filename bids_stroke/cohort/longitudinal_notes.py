"""Sentences on sessions that are not compared, or whose changes are not comparable."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise

from bids_stroke.bids.names import natural_key, split_session_name
from bids_stroke.bids.record import SUPPLIED_MASKS, Record
from bids_stroke.utils.files import PathLike

from .longitudinal import ALL, LesionSession, differences
from .table import Row

#: Limits of the agreement of two registered sessions, between the values of sessions of the same head
#: and of different heads (studies/longitudinal.py).
MAX_DISAGREEMENT_MM, MIN_BRAIN_DICE = 0.5, 0.95


def notes_on_pairs(sessions: Sequence[LesionSession]) -> Iterator[str]:
    """Yield sentences on pairs of consecutive sessions that are not comparable or have no interval."""
    for before, after in pairwise(sessions):
        pair = f"{before.session} and {after.session}"
        if unequal := differences(before, after):
            yield (
                f"The volumes of {pair} are not comparable, because they differ in "
                f"{' and '.join(unequal)}: a change may come from the segmentation."
            )
        elif not (before.interval_ml and after.interval_ml):
            yield f"The change between {pair} has no interval, because {_reason(before, after)}."


def is_misaligned(disagreement_mm: float, brain_dice: float) -> bool:
    """Return whether two sessions are probably misaligned, by the agreement of their registration."""
    return disagreement_mm > MAX_DISAGREEMENT_MM or brain_dice < MIN_BRAIN_DICE


def notes_on_alignment(rows: Sequence[Row]) -> Iterator[str]:
    """Yield a sentence for each pair of sessions in a table of changes that is probably misaligned."""
    for row in (row for row in rows if row["lesion"] == ALL):
        distance, dice = row["registration_disagreement_mm"], row["brain_dice"]
        if is_misaligned(distance, dice):
            yield (
                f"{row['previous_session_id']} and {row['session_id']} may be misaligned: the Dice "
                f"coefficient of their brain masks is {dice:.2f}, and the registrations in both "
                f"directions differ by {distance:.1f} mm. Check their figures before using the "
                "classes of lesions."
            )


def _reason(*sessions: LesionSession) -> str:
    """Return why the volume of one of two sessions has no interval."""
    record = next(session.record for session in sessions if not session.interval_ml)
    if record.model == SUPPLIED_MASKS:
        return "the accuracy of user-supplied masks is unknown"
    if record.corrected_by:
        return "the accuracy of corrected masks is unknown"
    contrasts = "+".join(record.contrasts)
    return f"the card of the model {record.model} states no volume interval for {contrasts}"


def notes_on_order(sessions: Sequence[LesionSession]) -> Iterator[str]:
    """Yield a sentence if the order of the acquisition times is not that of the names."""
    names = [session.session for session in sessions]
    if names != sorted(names, key=natural_key):
        yield (
            f"The sessions are in the order of their acq_time: {', '.join(names)}. "
            "lesion_volume_change_ml in group_lesion.tsv is in the order of their names."
        )


def uncompared(output_dir: PathLike, records: Sequence[Record]) -> Mapping[str, str]:
    """Return the reason for each session that cannot be compared, by session name."""
    reasons = {record.name: _problem(output_dir, record) for record in records}
    return {name: reason for name, reason in reasons.items() if reason}


def _problem(output_dir: PathLike, record: Record) -> str | None:
    if record.status != "ok":
        return "its processing failed"
    if not record.complete(output_dir):
        return "some of its outputs are missing"
    if not split_session_name(record.name)[1]:
        return "it has no session label"
    if record.path(output_dir, "image") is None:
        return "its mask is in a template space, without a scan that can be registered"
    return None
