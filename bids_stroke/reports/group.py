"""The report of a cohort: one HTML file with figures in numbers, the overlap map and the table."""

import json
import re
from pathlib import Path

import pandas as pd
from markupsafe import Markup

from .. import __version__
from ..cohort import natural
from . import MEASURES, render

FIRST = ("participant_id", "session_id", "status", *MEASURES)
LABEL = re.compile(r"sub-[a-zA-Z0-9]+")


def group_report(out_dir, table, overlap_svg_path=None, failed=(), summary=None, evaluated=None):
    """Write ``out_dir/group.html``, one file that needs no other, and return its path.

    Parameters
    ----------
    table : pandas.DataFrame
        Rows of ``group_lesion.tsv``. Only ``participant_id`` is required; known columns come
        first, all others follow.
    overlap_svg_path : path, optional
        Figure of the lesion overlap.
    failed : list of dict
        ``participant_id``, ``reason`` and, where known, ``session_id``.
    summary : pandas.DataFrame, optional
        Rows of ``group_loads.tsv``.
    evaluated : evaluation.Page, optional
        Comparison with manual masks, below ``out_dir``.
    """
    out_dir = Path(out_dir)
    cohort = _ordered(table, failed)
    volumes = _volumes(table)
    overlap = overlap_svg_path and _svg(Path(overlap_svg_path))
    return render(
        "group.html",
        out_dir / "group.html",
        tiles=_tiles(table, volumes, failed),
        overlap=overlap,
        columns=list(cohort),
        numeric=[column for column in cohort if pd.api.types.is_numeric_dtype(cohort[column])],
        rows=cohort.to_dict("records"),
        links={
            name: f"{name}.html"
            for name in set(cohort["participant_id"])
            if LABEL.fullmatch(str(name)) and (out_dir / f"{name}.html").is_file()
        },
        largest=float(volumes.max()) if volumes.notna().any() else 0.0,
        failed=list(failed),
        summary=None if summary is None else summary.dropna(axis="columns", how="all"),
        evaluated=evaluated,
        evaluation_page=evaluated and evaluated.path.relative_to(out_dir).as_posix(),
        versions=_versions(out_dir),
        version=__version__,
    )


def _ordered(table, failed):
    """The table with a ``status`` column, rows of failed sessions, and columns and rows in order;
    columns that say nothing are left out."""
    table = table.copy()
    if "status" not in table:
        empty = _volumes(table) == 0
        table["status"] = empty.map({True: "no lesion found", False: "done"})
    missing = [
        {key: item.get(key) for key in ("participant_id", "session_id")} | {"status": "failed"}
        for item in failed
    ]
    if missing:
        table = pd.concat([table, pd.DataFrame(missing, dtype=object)], ignore_index=True)
    table = table.dropna(axis="columns", how="all")
    first = [column for column in FIRST if column in table]
    rest = [column for column in table if column not in first]
    table = table[first + rest]
    return table.sort_values(_keys(table), key=lambda names: names.map(natural), kind="stable")


def _keys(table):
    return [column for column in ("participant_id", "session_id") if column in table]


def _column(table, name):
    values = table[name] if name in table else pd.Series(float("nan"), index=table.index)
    return pd.to_numeric(values, errors="coerce")


def _volumes(table):
    """Volumes of the lesions: the native ones, those in the template where there are none."""
    return _column(table, "lesion_volume_ml").fillna(_column(table, "lesion_volume_mni_ml"))


def _tiles(table, volumes, failed):
    """Names and values of the numbers on top."""
    people = set(table["participant_id"]) | {item["participant_id"] for item in failed}
    tiles = {
        "Participants": len(people),
        "Sessions measured": len(table[_keys(table)].drop_duplicates()),
        "Sessions without a lesion": int((volumes == 0).sum()),
        "Sessions failed": len(failed),
    }
    lesions = volumes[volumes > 0]
    if len(lesions):
        low, middle, high = lesions.quantile([0.25, 0.5, 0.75])
        tiles["Median lesion volume"] = f"{middle:.3g} ml"
        tiles["Quartiles of lesion volume"] = f"{low:.3g}\N{EN DASH}{high:.3g} ml"
    return tiles


def _versions(out_dir):
    """Software that made the derivatives, from their ``dataset_description.json``."""
    try:
        description = json.loads((out_dir / "dataset_description.json").read_text("utf-8"))
        made = description.get("GeneratedBy", [])
        return {item["Name"]: item.get("Version", "n/a") for item in made}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}


def _svg(path):
    """The figure as an element of the page, its XML declaration left out."""
    return Markup(re.sub(r"^<\?xml.*?\?>\s*", "", path.read_text(encoding="utf-8")))
