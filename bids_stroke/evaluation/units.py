"""Independent units of scans, for bootstrap intervals and statistical tests."""

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

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

    Examples
    --------
    >>> rows = pd.DataFrame({"participant_id": ["sub-1", "sub-1", "sub-2"]})
    >>> add_units(rows)["unit"].tolist()
    ['sub-1', 'sub-1', 'sub-2']
    """
    participants = rows["participant_id"]
    if people is None or HEAD not in people:
        return rows.assign(unit=participants)
    heads = people.set_index("participant_id")[HEAD]
    units = participants.map(lambda text: with_prefix(text, "sub-")).map(heads)
    return rows.assign(unit=units.fillna(participants))


def unit_means(table: pd.DataFrame, units: ArrayLike | None) -> pd.DataFrame:
    """Compute the mean of the rows of each unit; without units, each row is a unit.

    Parameters
    ----------
    table : pandas.DataFrame
        Numeric columns.
    units : array-like, (rows,), optional
        Unit of each row.

    Examples
    --------
    >>> unit_means(pd.DataFrame({"dice": [0.25, 0.75, 0.5]}), ["a", "a", "b"])["dice"].to_dict()
    {'a': 0.5, 'b': 0.5}
    """
    return table if units is None else table.groupby(np.asarray(units), sort=False).mean()
