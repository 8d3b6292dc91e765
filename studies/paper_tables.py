"""Tables of the papers, beside those of the studies.

The folder ``published`` contains the values of the papers' texts, with the columns of
:mod:`bids_stroke.evaluation.published_tables`. Of two values for one result, the first is used (Jaccard
of the pretrained network of S4, 0.584 and 0.555). The text of S4 contains means only.
"""

from pathlib import Path

import numpy as np
import pandas as pd
from common import markdown

from bids_stroke.evaluation.published_tables import description

PUBLISHED = Path(__file__).parent / "published"
MISSING = "–"
#: Columns by which the rows of a paper and of a study are grouped; by default, the first column.
KEYS = {"S1_table2": 2, "S1_table3": 2}


def beside(name, table):
    """Return a table with the rows of the paper below those of the study with the same key."""
    paper = pd.read_csv(PUBLISHED / f"{name}.tsv", sep="\t", dtype=str)
    both = pd.concat([table.assign(Source="ours"), paper.assign(Source="paper")]).fillna(MISSING)
    keys = list(both.columns[: KEYS.get(name, 1)])
    order = both.groupby(keys, sort=False).ngroup()
    both = both.iloc[np.argsort(order, kind="stable")]
    return both[[*keys, "Source", *both.columns.difference([*keys, "Source"], sort=False)]]


def sections(tables):
    """Return tables by name in Markdown, each with its description and the values of the paper."""
    parts = []
    for name, table in tables.items():
        title = name.replace("_table", ", Table ").replace("_figure", ", Figure ")
        text = markdown(beside(name, table))
        parts.append(f"### {title}\n\n{description(name)}\n\n{text}")
    return "\n\n".join(parts)
