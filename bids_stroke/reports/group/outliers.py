"""Outliers of a cohort on the group report: marks in the table, and cards with a picture."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from markupsafe import Markup

from bids_stroke.reports.columns import column_title
from bids_stroke.reports.figures import svg

from .files import Value, inline_svg, session_figures

#: The figure that shows why a session stands out.
PICTURES = {
    "brain_volume_ml": "brain",
    "template_brain_dice": "mni",
    "similarity": "coreg",
    "snr": "lesion",
    "cnr": "bias",
    "mean_probability": "probability",
    "lesion_volume_ml": "lesion",
}
PICTURE_SCALE = 0.5
MAX_PICTURES = 24


@dataclass
class PicturedOutlier:
    """A row of :func:`bids_stroke.qc.outliers.outliers`, with the participant's report (``link``) and
    a figure (``picture``) where there are any."""

    participant_id: str
    session_id: Value
    measure: str
    value: float
    median: float
    z: float
    link: str | None
    picture: Markup | None = None


def outlier_measures(table: pd.DataFrame, outliers: pd.DataFrame) -> pd.Series:
    """The measures by which each session stands out, in words; NaN where there are none."""
    words: dict[tuple[str, str], list[str]] = {}
    for row in outliers.itertuples(index=False):
        key = str(row.participant_id), str(row.session_id)
        words.setdefault(key, []).append(column_title(row.measure).partition(" (")[0])
    sessions = table.get("session_id", [np.nan] * len(table))
    keys = zip(map(str, table["participant_id"]), map(str, sessions), strict=True)
    texts = [", ".join(words.get(key, [])) or np.nan for key in keys]
    return pd.Series(texts, index=table.index, dtype=object)


def pictured_outliers(
    outliers: pd.DataFrame, out_dir: Path, links: Mapping[str, str]
) -> list[PicturedOutlier]:
    """A card for each outlier; the first :data:`bids_stroke.reports.group.outliers.MAX_PICTURES`
    figures are shown."""
    cards = []
    pictures = 0
    for row in outliers.to_dict("records"):
        values = {str(column): value for column, value in row.items()}
        card = PicturedOutlier(**values, link=links.get(values["participant_id"]))
        path = _figure(card, out_dir)
        if path and pictures < MAX_PICTURES:
            card.picture = Markup(svg.downscale(str(inline_svg(path)), PICTURE_SCALE))
            pictures += 1
        cards.append(card)
    return cards


def _figure(outlier: PicturedOutlier, out_dir: Path) -> Path | None:
    """The figure that shows the measure, on the contrast of the measure where there is one."""
    contrast, _, kind = outlier.measure.partition("_")
    if kind not in PICTURES:
        contrast, kind = "", outlier.measure
    figures = session_figures(out_dir, outlier.participant_id, outlier.session_id)
    paths = figures.get(PICTURES[kind], [])
    of_contrast = [path for path in paths if path.stem.lower().endswith(f"_{contrast}")]
    return next(iter(of_contrast or paths), None)
