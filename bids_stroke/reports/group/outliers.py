"""Outliers in the group report: a column of the table, and cards with a figure."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from markupsafe import Markup

from bids_stroke.reports.columns import column_title

from .checks import check_status
from .files import SessionFiles, SessionKey, Value, session_key
from .pictures import Pictures

#: Figure (``desc-`` entity) that is shown for an outlier in each measure.
PICTURES = {
    "brain_volume_ml": "brain",
    "template_brain_dice": "mni",
    "similarity": "coreg",
    "snr": "lesion",
    "cnr": "bias",
    "mean_probability": "probability",
    "lesion_volume_ml": "lesion",
    "relative_lesion_scaling": "mni",
}


@dataclass
class PicturedOutlier:
    """Row of :func:`bids_stroke.qc.outliers.outliers`, with the status of a session that failed QC
    checks, a link to the participant report and a figure (``picture``), if they exist."""

    participant_id: str
    session_id: Value
    measure: str
    value: float
    median: float
    z: float
    link: str | None
    status: str | None = None
    picture: Markup | None = None


def outlier_measures(table: pd.DataFrame, outliers: pd.DataFrame) -> pd.Series:
    """List the titles of the measures in which each session is an outlier; NaN if there are none."""
    titles: dict[tuple[str, str], list[str]] = {}
    for row in outliers.itertuples(index=False):
        key = str(row.participant_id), str(row.session_id)
        titles.setdefault(key, []).append(column_title(row.measure).partition(" (")[0])
    sessions = table.get("session_id", [np.nan] * len(table))
    keys = zip(map(str, table["participant_id"]), map(str, sessions), strict=True)
    texts = [", ".join(titles.get(key, [])) or np.nan for key in keys]
    return pd.Series(texts, index=table.index, dtype=object)


def pictured_outliers(
    outliers: pd.DataFrame,
    sessions: Mapping[SessionKey, SessionFiles],
    links: Mapping[str, str],
    pictures: Pictures,
) -> list[PicturedOutlier]:
    """Create a card for each outlier; ``pictures`` embeds the figures."""
    cards = []
    for row in outliers.to_dict("records"):
        values = {str(column): value for column, value in row.items()}
        card = PicturedOutlier(**values, link=links.get(values["participant_id"]))
        session = sessions[session_key(card.participant_id, card.session_id)]
        card.status = check_status("+".join(session.flags))
        card.picture = pictures.embed(_figure(card.measure, session))
        cards.append(card)
    return cards


def _figure(measure: str, session: SessionFiles) -> Path | None:
    """Find the figure of an outlier measure, preferably on the contrast of the measure."""
    contrast, _, kind = measure.partition("_")
    if kind not in PICTURES:
        contrast, kind = "", measure
    paths = session.figures.get(PICTURES[kind], [])
    contrast_paths = [path for path in paths if path.stem.lower().endswith(f"_{contrast}")]
    return next(iter(contrast_paths or paths), None)
