"""Independent units of scans, for bootstrap intervals and statistical tests."""

import pandas as pd

from bids_stroke.bids.names import with_prefix

#: Column of participants.tsv with the head from which a participant was simulated, written by
#: bids_stroke-simulate.
HEAD = "head"


def add_units(rows: pd.DataFrame, people: pd.DataFrame | None = None) -> pd.DataFrame:
    """Add the column ``unit`` to rows of pairs.

    Scans of the same participant form one unit, as do participants simulated from the same head.

    Parameters
    ----------
    rows : pandas.DataFrame
        Rows from :func:`bids_stroke.evaluation.run.evaluate`.
    people : pandas.DataFrame, optional
        participants.tsv; its column :data:`bids_stroke.evaluation.units.HEAD`, if present, is the
        unit.
    """
    participants = rows["participant_id"]
    if people is None or HEAD not in people:
        return rows.assign(unit=participants)
    heads = people.set_index("participant_id")[HEAD]
    units = participants.map(lambda text: with_prefix(text, "sub-")).map(heads)
    return rows.assign(unit=units.fillna(participants))
