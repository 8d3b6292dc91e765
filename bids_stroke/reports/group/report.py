"""The report of a cohort: one HTML file with figures in numbers, pictures, plots and the table."""

import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
from markupsafe import Markup

from bids_stroke import __version__
from bids_stroke.bids.names import natural
from bids_stroke.cohort import columns
from bids_stroke.cohort import summary as cohort_summary
from bids_stroke.qc.outliers import LIMIT, outliers
from bids_stroke.reports.figures import mosaic, plots
from bids_stroke.reports.rendering import MEASURES, column_title, number, render
from bids_stroke.reports.viewer import page as viewer_page

FIRST = (
    *("participant_id", "session_id", "status"),
    *MEASURES,
    *("mean_probability", "brain_volume_ml", "template_brain_dice", "stands_out"),
)
#: Of these, what the page shows only when asked.
LATER = {"lesion_volume_mni_ml", "cst_category_status", "cst_raw_load_ml_left", "cst_raw_load_ml_right"}
LABEL = re.compile(r"sub-[a-zA-Z0-9]+")
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
REVIEWED = ("lesion", "mni", "brain", "tract", "ownmni")  # figures that a rater looks at
PICTURE_SCALE = 0.5
MOST_PICTURES = 24
MOST_GROUPS = 6


def group_report(
    out_dir,
    table,
    overlap_svg_path=None,
    failed=(),
    summary=None,
    evaluated=None,
    rejected=(),
    groups=(),
):
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
    rejected : list of dict
        Sessions left out by their rating, as ``failed``.
    groups : list of str
        Columns that sessions are divided by in the plots.
    """
    out_dir = Path(out_dir)
    volumes = _volumes(table)
    outliers = _outliers(table)
    shown = _ordered(table.assign(stands_out=_marks(table, outliers)), failed)
    links = {
        name: f"{name}.html"
        for name in set(shown["participant_id"])
        if LABEL.fullmatch(str(name)) and (out_dir / f"{name}.html").is_file()
    }
    return render(
        "group.html",
        out_dir / "group.html",
        tiles=_tiles(table, volumes, failed),
        overlap=overlap_svg_path and _svg(Path(overlap_svg_path)),
        viewer=viewer_page.name_of("group")
        if (out_dir / viewer_page.name_of("group")).is_file()
        else None,
        data=_data(shown, groups, links, out_dir),
        plots=_plots(table, volumes, groups, links),
        outliers=_pictured(outliers, out_dir, links),
        limit=LIMIT,
        failed=list(failed),
        rejected=list(rejected),
        summary=None if summary is None else summary.dropna(axis="columns", how="all"),
        evaluated=evaluated,
        evaluation_page=evaluated and evaluated.path.relative_to(out_dir).as_posix(),
        versions=_versions(out_dir),
        version=__version__,
    )


def _outliers(table):
    return outliers(table) if "reference" in table else pd.DataFrame(columns=["measure"])


def _marks(table, outliers):
    """What each session stands out by, in words; NaN where by nothing."""
    marks = {}
    for row in outliers.itertuples(index=False):
        key = str(row.participant_id), str(row.session_id)
        marks.setdefault(key, []).append(column_title(row.measure).partition(" (")[0])
    keys = zip(table["participant_id"], table.get("session_id", [np.nan] * len(table)), strict=True)
    found = [", ".join(marks.get((str(one), str(other)), [])) or np.nan for one, other in keys]
    return pd.Series(found, index=table.index, dtype=object)


def _pictured(outliers, out_dir, links):
    """The outliers as dictionaries, the first of them with a picture."""
    rows, pictures = outliers.to_dict("records"), 0
    for row in rows:
        contrast, _, kind = row["measure"].partition("_")
        kind, contrast = (kind, contrast) if kind in PICTURES else (row["measure"], "")
        paths = _figures(out_dir, row["participant_id"], row["session_id"], PICTURES[kind])
        paths = [path for path in paths if path.stem.lower().endswith(f"_{contrast}")] or paths
        row |= {"link": links.get(row["participant_id"]), "picture": None}
        if paths and pictures < MOST_PICTURES:
            row["picture"] = Markup(mosaic.shrunk(str(_svg(paths[0])), PICTURE_SCALE))
            pictures += 1
    return rows


def _figures(out_dir, participant, session, kind):
    """Figures of a kind of a session."""
    if not LABEL.fullmatch(str(participant)):
        return []
    name = participant if pd.isna(session) or not session else f"{participant}_{session}"
    return sorted((out_dir / participant / "figures").glob(f"{name}_*desc-{kind}_*.svg"))


def _data(table, groups, links, out_dir):
    """What the page's script draws the table and the rating from."""
    numeric = [name for name in table if pd.api.types.is_numeric_dtype(table[name])]
    keys = zip(table["participant_id"], table.get("session_id", [""] * len(table)), strict=True)
    return {
        "columns": [
            {
                "name": name,
                "title": column_title(name),
                "number": name in numeric,
                "first": (name in FIRST and name not in LATER) or name in groups[:4],
            }
            for name in table
        ],
        "rows": [[_plain(value) for value in row] for row in table.itertuples(index=False)],
        "links": links,
        "pictures": [
            [
                path.relative_to(out_dir).as_posix()
                for kind in REVIEWED
                for path in _figures(out_dir, participant, session, kind)
            ]
            for participant, session in keys
        ],
    }


def _plain(value):
    """A value as JSON has it: a number of six digits, a text, or None."""
    real = number(value)
    if real is not None:
        return float(f"{real:.6g}")
    return None if pd.isna(value) or value == "" else str(value)


def _plots(table, volumes, groups, links):
    """Titles and plots of volumes and loads."""
    if not volumes.notna().any():
        return []
    table = table.assign(volume=volumes)
    measures = {"volume": "Lesion volume (ml)"}
    made = []
    for name in columns.tracts(table)[:1]:
        title = f"{name.upper()} weighted load (ml)"
        table["load"] = cohort_summary.affected_load(table, name)
        measures["load"] = title
        scatter = plots.load_against_volume(table, volumes, table["load"], title, links)
        made.append(("Load of the affected side against lesion volume, by hemisphere", scatter))
    made.insert(0, ("Distribution over the sessions", plots.distributions(table, measures)))
    divided = ((f"By {name}", plots.groups(table, name, measures)) for name in groups)
    made += [(title, svg) for title, svg in divided if svg][:MOST_GROUPS]
    return [(title, Markup(svg)) for title, svg in made]


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
