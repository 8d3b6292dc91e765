"""Tables and report of an evaluation."""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from bids_stroke import __version__
from bids_stroke.bids.derivatives import write_json, write_tsv
from bids_stroke.evaluation import published_tables
from bids_stroke.evaluation import summary as evaluation_summary
from bids_stroke.evaluation.columns import (
    AGREEMENT,
    CATEGORIES,
    COLUMNS,
    COMPARISONS,
    KEYS,
    LESIONS,
    SUMMARY,
)
from bids_stroke.evaluation.run import remarks_notice
from bids_stroke.evaluation.units import add_units
from bids_stroke.utils.files import PathLike, atomic

from .figures.evaluation import draw_evaluation
from .rendering import Picture, render

LEVELS = ("none", "small", "medium", "large")
#: Relative errors, whose means depend on a few small lesions, and errors in ml. The page shows them
#: with median and number.
_ERRORS = (
    "er_lv",
    "absolute_volume_difference_ml",
    "er_ll",
    "absolute_load_difference_ml",
)
#: Scores in the tables of the page.
_LISTED = ("dice", "f1_isles", "rq", "hd95_mm", "assd_mm", "precision", "sensitivity", *_ERRORS)


class Page(NamedTuple):
    """Path of the evaluation page, and the parts shown in the group report."""

    path: Path
    summary: pd.DataFrame
    pictures: list[Picture]


class PublishedTable(NamedTuple):
    """Table in the layout of a publication, and its description."""

    doc: str
    table: pd.DataFrame


def write_evaluation(
    out: PathLike,
    rows: pd.DataFrame,
    lesions: pd.DataFrame,
    people: pd.DataFrame | None = None,
    orientation: str | None = None,
) -> Page:
    """Write an evaluation to the folder ``out``.

    The tables are ``evaluation.tsv`` (pairs), ``evaluation_lesions.tsv``, ``evaluation_summary.tsv``,
    ``evaluation_comparisons.tsv``, ``evaluation_agreement.tsv`` and ``evaluation_categories.tsv``,
    with JSON sidecars. The folder ``tables`` contains published tables (TSV, Markdown),
    ``figures`` the figures (SVG, PNG). The report is ``evaluation.html``.

    Parameters
    ----------
    out : path
    rows, lesions : pandas.DataFrame
        Tables from :func:`bids_stroke.evaluation.run.evaluate`.
    people : pandas.DataFrame, optional
        participants.tsv, for groups and independent units of scans.
    orientation : {"RAS", "LAS"}, optional
        Orientation of masks whose header does not define one.

    Returns
    -------
    Page
    """
    out, rows = Path(out), add_units(rows, people)
    summary = evaluation_summary.summary(rows, people)
    comparisons = evaluation_summary.comparisons(rows)
    agreement = evaluation_summary.agreement(rows)
    _write_table(out / "evaluation.tsv", rows, COLUMNS)
    _write_table(out / "evaluation_lesions.tsv", lesions, KEYS | LESIONS)
    _write_table(out / "evaluation_summary.tsv", summary, SUMMARY)
    _write_table(out / "evaluation_comparisons.tsv", comparisons, COMPARISONS)
    _write_table(out / "evaluation_agreement.tsv", agreement, AGREEMENT)
    categories, kappas = evaluation_summary.categories(rows, LEVELS)
    _write_table(out / "evaluation_categories.tsv", categories, CATEGORIES)
    pictures = draw_evaluation(rows, out / "figures", orientation)
    listed = _listed_scores(summary)
    path = render(
        "evaluation.html",
        out / "evaluation.html",
        summary=listed,
        comparisons=comparisons[comparisons["score"].isin(_LISTED)],
        agreement=agreement,
        kappas=kappas,
        published=_write_published_tables(rows, out / "tables"),
        pictures=pictures,
        failed=rows[rows["tp"].isna()][[*KEYS, "reason"]],
        pairs=len(rows),
        remarks=remarks_notice(rows),
        units=rows["unit"].nunique(),
        version=__version__,
    )
    return Page(path, listed[listed["grouping"] == "all"], pictures)


def _write_table(path: Path, table: pd.DataFrame, columns: Mapping[str, object]) -> None:
    """Write a table and its sidecar with the column descriptions."""
    write_tsv(table, path)
    write_json(columns, path.with_suffix(".json"))


def _write_published_tables(rows: pd.DataFrame, folder: Path) -> dict[str, PublishedTable]:
    """Write the published tables as TSV and Markdown, and return them by name."""
    published = {}
    for name, table in published_tables.all_tables(rows).items():
        write_tsv(table, folder / f"{name}.tsv")
        with atomic(folder / f"{name}.md") as partial:
            partial.write_text(table.to_markdown(index=False, disable_numparse=True) + "\n")
        published[name] = PublishedTable(published_tables.description(name), table)
    return published


def _listed_scores(summary: pd.DataFrame) -> pd.DataFrame:
    """Format the listed scores, with a row for each model and group."""
    scores = summary[summary["score"].isin(_LISTED)]
    text = scores.assign(text=[_summary_text(row) for _, row in scores.iterrows()])
    keys = ["grouping", "group", "model"]
    wide = text.pivot_table("text", keys, "score", "first", sort=False)
    counts = scores[scores["score"] == "dice"].set_index(keys)[["n", "units"]]
    wide = counts.join(wide)
    return wide[[c for c in ("n", "units", *_LISTED) if c in wide]].reset_index().fillna("n/a")


def _summary_text(row: pd.Series) -> str:
    """Format mean and interval of a score; for errors also median and number."""
    text = f"{row['mean']:.3g} ({row['low']:.3g}\N{EN DASH}{row['high']:.3g})"
    if row["score"] in _ERRORS:
        text += f"; median {row['median']:.3g}, n {row['n']}"
    return text
