"""Sections of a session in the participant report: figures and tables in the order of a specification.

``data/report_spec.yml`` defines sections, parts, titles and captions.
"""

from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
import yaml
from markupsafe import Markup

from bids_stroke.bids import longitudinal
from bids_stroke.bids.names import CONTRASTS, Name
from bids_stroke.bids.record import Record
from bids_stroke.cohort.table import Row, read_rows
from bids_stroke.data import DATA
from bids_stroke.reports.columns import column_title, number
from bids_stroke.reports.figures import svg
from bids_stroke.reports.rendering import fragment

ROWS = 20  # rows shown of each table
MAX_BYTES = 5_000_000  # total size of the figures of a page
#: Kinds of tables, by the ``desc-`` of their part.
_TABLES = {
    "agreement": "agreement",
    "components": "components",
    "loads": "loads",
    "regions": "regions",
    "quality": "image_quality",
}
#: Tables with many columns and few rows, and the column that names the rows. They are transposed.
_WIDE = {"loads": "side", "quality": "contrast"}
#: Columns shown of a table with many columns; its file contains all.
_SHOWN = {
    "components": (
        *("component", "volume_ml", "hemisphere", "super_region"),
        *("x_template_mm", "y_template_mm", "z_template_mm", "mean_probability"),
        *("touches_ventricle", "touches_surface"),
    ),
    longitudinal.DESC: (
        *("previous_session_id", "session_id", "lesion", "class", "previous_components", "components"),
        *("previous_volume_ml", "volume_ml", "change_ml", "change_percent", "comparable"),
    ),
}
#: Figure with several contrasts side by side.
_LINKED = "axial"


class Reportlet(NamedTuple):
    """Part of a session in the report.

    ``desc``, contrast and atlas of its figure or tables, and its HTML.
    """

    desc: str
    contrast: str
    atlas: str
    content: Markup


class Part(NamedTuple):
    """Part of a section: its title, its anchor, its caption and its figures."""

    title: str
    anchor: str
    caption: str
    kind: str
    reportlets: list[Reportlet]


class Section(NamedTuple):
    """Section of a session: its title, its anchor, what to check, and its parts."""

    title: str
    anchor: str
    check: str
    parts: list[Part]


def figures(out_dir: Path, record: Record) -> list[Path]:
    """List the existing figures of a session; those of the T1w are first."""
    paths = [path for kind, path in record.files(out_dir) if kind.endswith("_figure")]
    return sorted(paths, key=_by_contrast)


def _by_contrast(path: Path) -> tuple[int, Path]:
    suffix = Name.parse(path).suffix
    return CONTRASTS.index(suffix) if suffix in CONTRASTS else len(CONTRASTS), path


def picture_scale(paths: Iterable[Path]) -> float:
    """Return the scale of the images, which decreases with many sessions to limit the page size."""
    size = sum(path.stat().st_size for path in paths)
    # The exponent is above 0.5 because small images need more bytes per pixel.
    return (MAX_BYTES / size) ** 0.75 if size > MAX_BYTES else 1.0


def read_reportlets(out_dir: Path, record: Record, scale: float) -> Iterator[Reportlet]:
    """Yield tables and figures of a session; images are reduced by ``scale``."""
    for desc, kind in _TABLES.items():
        paths = sorted(path for name, path in record.files(out_dir) if name == kind)
        if paths:
            tables = [table_context(path, out_dir, desc) for path in paths]
            yield Reportlet(desc, "", "", fragment("tables.html", tables=tables))
    for path in figures(out_dir, record):
        name = Name.parse(path)
        desc, atlas = (name.entities.get(key, "") for key in ("desc", "atlas"))
        yield Reportlet(desc, name.suffix, atlas, svg.inline(path, scale))


@lru_cache(maxsize=1)
def specification() -> list[dict[str, Any]]:
    """Read the sections of a session and their parts."""
    return yaml.safe_load((DATA / "report_spec.yml").read_text(encoding="utf-8"))


def arrange(reportlets: Sequence[Reportlet], prefix: str, has_lesion: bool | None) -> list[Section]:
    """Arrange the reportlets of a session in sections, in the order of the specification.

    Parameters
    ----------
    reportlets : sequence of Reportlet
    prefix : str
        Prefix of the anchors, which are unique on a page.
    has_lesion : bool, optional
        False selects the captions for a session without a lesion.
    """
    sections = []
    for entry in specification():
        parts = [
            part
            for content in entry["parts"]
            for part in _parts(content, reportlets, prefix, has_lesion is False)
        ]
        if parts:
            anchor = f"{prefix}{entry['name']}"
            sections.append(Section(entry["title"], anchor, entry["check"], parts))
    return sections


def _parts(
    entry: dict[str, str], reportlets: Sequence[Reportlet], prefix: str, without_lesion: bool
) -> Iterator[Part]:
    """Yield a part for each figure or table, or one part for contrasts side by side."""
    desc = entry["desc"]
    shown = [reportlet for reportlet in reportlets if reportlet.desc == desc]
    is_linked = desc == _LINKED
    kind = "linked" if is_linked else "table" if desc in _TABLES else "figure"
    caption = entry.get("caption", "")
    if without_lesion:
        caption = entry.get("without_lesion", caption)
    groups = [shown] if is_linked and shown else [[reportlet] for reportlet in shown]
    for place, group in enumerate(groups, 1):
        words = {"suffix": group[0].contrast, "atlas": group[0].atlas}
        yield Part(
            entry["title"].format(**words),
            f"{prefix}{desc}-{place}",
            caption.format(**words),
            kind,
            group,
        )


def table_context(path: Path, out_dir: Path, desc: str) -> dict[str, Any]:
    """Return the template context of a table; ``desc`` is the ``desc-`` of its part."""
    rows = read_rows(path)
    if header := _WIDE.get(desc):
        table, more = pd.DataFrame(_transposed(rows, header)), 0
    else:
        table, more = pd.DataFrame(rows[:ROWS]), max(len(rows) - ROWS, 0)
        table = table[[column for column in _SHOWN.get(desc, table) if column in table]]
    numeric = [column for column in table if any(number(value) is not None for value in table[column])]
    return {
        "file": path.relative_to(out_dir).as_posix(),
        "columns": list(table),
        "numeric": numeric,
        "rows": list(table.itertuples(index=False, name=None)),
        "more": more,
    }


def _transposed(rows: Sequence[Row], header: str) -> list[Row]:
    """Transpose a table; each measure becomes a row, and the values of ``header`` the columns."""
    measures = [name for name in rows[0] if name != header]
    return [
        {"measure": column_title(name), **{str(row[header]): row[name] for row in rows}}
        for name in measures
    ]
