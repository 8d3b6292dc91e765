"""Independent units of scans: what intervals resample, and what tests compare."""

import pandas as pd

from bids_stroke.bids.names import with_prefix

#: Column of participants.tsv with the head that a simulated participant was made of, as
#: bids_stroke-simulate writes it.
HEAD = "head"


def add_units(rows: pd.DataFrame, people: pd.DataFrame | None = None) -> pd.DataFrame:
    """Rows of pairs with the column ``unit``.

    Scans of one participant are one unit, and so are simulated participants of one head.

    Parameters
    ----------
    rows : pandas.DataFrame
        As :func:`bids_stroke.evaluation.run.evaluate` gives them.
    people : pandas.DataFrame, optional
        participants.tsv; its column :data:`bids_stroke.evaluation.units.HEAD`, where it has one, is
        the unit.
    """
    participants = rows["participant_id"]
    if people is None or HEAD not in people:
        return rows.assign(unit=participants)
    heads = people.set_index("participant_id")[HEAD]
    found = participants.map(lambda text: with_prefix(text, "sub-")).map(heads)
    return rows.assign(unit=found.fillna(participants))
