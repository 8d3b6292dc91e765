"""Participant report: reportlets combined in one HTML file.

nireports collects and orders the reportlets by ``data/report_spec.yml``. Its HTML page loads styles
from the network and links to the figures; this page is therefore rendered from the templates of the
package.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import pandas as pd
from markupsafe import Markup

from bids_stroke import __version__
from bids_stroke.bids.logs import crash_path
from bids_stroke.bids.names import derivative
from bids_stroke.bids.record import Record, model_title, read_participant
from bids_stroke.cohort.table import Row, session_row
from bids_stroke.data import DATA
from bids_stroke.reports.columns import MEASURES, number
from bids_stroke.reports.figures.svg import downscale
from bids_stroke.reports.methods import compose
from bids_stroke.reports.rendering import render
from bids_stroke.reports.viewer.session import viewer_path
from bids_stroke.utils.files import PathLike

if TYPE_CHECKING:
    from nireports.assembler.reportlet import Reportlet  # slow to load

MAX_BYTES = 5_000_000  # total size of the figures of a page
ROWS = 20  # rows shown of each table
FIGURE = re.compile(r'(?:src|data)="\./([^"]+\.svg)"')
PARENTS = re.compile(r"^.*?/(?=sub-)")  # folders above the participant folder
SHOWN = (*MEASURES, "mean_probability", "brain_volume_ml", "template_brain_dice", "snr", "cnr")


def participant_report(
    out_dir: PathLike,
    subject: str,
    embed_viewers: bool = False,
    records: Sequence[Record] | None = None,
) -> Path:
    """Write ``out_dir/sub-XX.html``, a self-contained file, and return its path.

    For each session, the page contains a summary, the figures, and the tables of components and loads.
    The methods text and the errors (from records and crash files ``logs/sub-XX[_ses-YY]_crash.txt``)
    follow. A session whose files cannot be shown is listed as an error and does not affect the other
    sessions. ``data/report_spec.yml`` defines the captions of the figures.

    Parameters
    ----------
    subject : str
        Participant label, with or without ``sub-``.
    embed_viewers : bool
        Embed the viewers in the page and remove their files, instead of linking to them.
    records : sequence of Record, optional
        Records of the sessions of the participant; default: the records in the output folder.

    Raises
    ------
    UnshownSessionsError
        If there are sessions that cannot be shown; raised after the page is written.
    """
    out_dir = Path(out_dir)
    name = f"sub-{subject.removeprefix('sub-')}"
    if records is None:
        records = read_participant(out_dir, name)
    errors = [_error(out_dir, record) for record in records if record.status != "ok"]
    # Use a copy: nireports rewrites figures in place, and pybids reads entities from the complete
    # path, which must not contain out_dir.
    with TemporaryDirectory(prefix="report-") as folder:
        staging = Path(folder)
        figures = staging / name / "figures"
        figures.mkdir(parents=True)
        scale = _scale(path for record in records for path in _figures(out_dir, record))
        unshown: dict[str, Exception] = {}
        for record in records:
            try:
                _write_reportlets(out_dir, record, figures, scale, embed_viewers)
            except Exception as error:  # in the files of this session; the others are shown
                unshown[record.name] = error
                errors.append({"session": record.name, "message": _reason(error), "text": ""})
        with_description = [record for record in records if record.description]
        methods = compose(with_description).text if with_description else ""
        render("methods.html", figures / derivative(name, "log", ".html", desc="methods"), text=methods)
        render("errors.html", figures / derivative(name, "log", ".html", desc="errors"), errors=errors)
        parts = _parts(staging, name)
    page = render(
        "participant.html",
        out_dir / f"{name}.html",
        title=name,
        parts=parts,
        failed=len(errors),
        version=__version__,
    )
    for record in records if embed_viewers else ():
        viewer_path(out_dir, record.name).unlink(missing_ok=True)
    if unshown:
        raise UnshownSessionsError(unshown)
    return page


class UnshownSessionsError(Exception):
    """Sessions that cannot be shown in a report, with the error of each session."""

    def __init__(self, errors: Mapping[str, Exception]) -> None:
        super().__init__(", ".join(errors))
        self.errors = errors


def _reason(error: Exception) -> str:
    return f"Its files cannot be shown ({error}); run the participant level again."


def _figures(out_dir: Path, record: Record) -> list[Path]:
    return [path for kind, path in record.files(out_dir) if kind.endswith("_figure")]


def _scale(figures: Iterable[Path]) -> float:
    """Return the scale of the images, which decreases with many sessions to limit the page size."""
    size = sum(path.stat().st_size for path in figures)
    # The exponent is above 0.5 because small images need more bytes per pixel.
    return (MAX_BYTES / size) ** 0.75 if size > MAX_BYTES else 1.0


def _write_reportlets(
    out_dir: Path, record: Record, figures: Path, scale: float, embed_viewers: bool
) -> None:
    """Write figures, summary and tables of a session to the folder of reportlets."""
    out = figures / derivative(record.name, "log", ".html", desc="summary")
    viewers = _viewer(out_dir, record, embed_viewers)
    render("summary.html", out, **_summary(out_dir, record), **viewers)
    _write_tables(out_dir, record, figures)
    for path in _figures(out_dir, record):
        svg = path.read_text(encoding="utf-8")
        svg = downscale(svg, scale) if scale < 1 else svg
        (figures / path.name).write_text(svg, encoding="utf-8")


def _viewer(out_dir: Path, record: Record, embed: bool) -> dict[str, str | None]:
    """Return the file name or the page of the viewer of a session, if it exists."""
    path = viewer_path(out_dir, record.name)
    exists = record.status == "ok" and path.is_file()
    return {
        "viewer_link": path.name if exists and not embed else None,
        "viewer_page": path.read_text(encoding="utf-8") if exists and embed else None,
    }


def _summary(out_dir: Path, record: Record) -> dict[str, Any]:
    """Return the template context of the summary of a session."""
    measures: dict[str, Any] = {}
    notes = [note for note in record.notes if note not in record.ambiguous]
    warnings = list(record.ambiguous)
    if record.complete(out_dir):
        row = session_row(out_dir, record)
        measures = {name: row[name] for name in SHOWN if name in row}
        notes += _volume_interval(row)
        warnings += record.flags.values()
    elif record.status == "ok":
        warnings.append("Some outputs are missing; run the participant level again.")
    uses = {"lesion mask": ["lesion"]} | {name: ["model input"] for name in record.contrasts}
    if record.reference:
        uses[record.reference] = ["native space", *uses.get(record.reference, [])]
    return {
        "error": record.error,
        "warnings": warnings,
        "measures": measures,
        "inputs": [
            (contrast, path, PARENTS.sub("", path), ", ".join(uses.get(contrast, ["not used"])))
            for contrast, path in record.inputs.items()
        ],
        "notes": notes,
        "details": {
            "Status": record.status,
            "Model": model_title(record.model),
            "Weights (SHA-256)": record.weights_sha256 and record.weights_sha256[:12],
            "Run time (s)": record.seconds,
        },
        "times": {step: seconds for step, seconds in record.steps.items() if seconds >= 1},
        "versions": record.versions,
    }


def _volume_interval(row: Row) -> list[str]:
    """Describe the interval of the lesion volume, if the model card has a calibration."""
    low, high = (row[f"lesion_volume_{end}95_ml"] for end in ("low", "high"))
    if pd.isna(low) or pd.isna(high):
        return []
    return [
        f"The 95% interval of the lesion volume is {low:.1f} to {high:.1f} ml, calibrated on simulated "
        "patients."
    ]


def _error(out_dir: Path, record: Record) -> dict[str, str]:
    """Return the error message of a session and the content of its crash file."""
    path = crash_path(out_dir, record.name)
    text = path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""
    message = record.error or "The session failed."
    return {"session": record.name, "message": message, "text": text.strip()}


def _parts(staging: Path, name: str) -> list[dict[str, Any]]:
    """Build the sections of the page: one per session, and one per section without sessions."""
    from nireports.assembler.report import Report

    report = Report(
        staging,
        None,
        bootstrap_file=DATA / "report_spec.yml",
        out_filename=f"{name}.html",
        metadata={"subject": name},
    )
    parts = []
    for section in report.sections:
        for session, reportlets in groupby(section.reportlets, _session):
            heading = f"Session {session}" if session else section.name
            shown = [
                {
                    "subtitle": reportlet.subtitle,
                    "components": [
                        (_inline(content, staging), caption)
                        for content, caption in reportlet.components
                    ],
                }
                for reportlet in reportlets
            ]
            anchor = re.sub(r"\W+", "-", heading.lower())
            parts.append({"heading": heading, "anchor": anchor, "reportlets": shown})
    return parts


def _session(reportlet: "Reportlet") -> str | None:
    """Extract the session of a reportlet from its name."""
    match = re.search(r"(?:^|_)session-([^_]+)", reportlet.name)
    return match[1] if match else None


def _inline(content: str, staging: Path) -> Markup:
    """Return the HTML of a reportlet with an inline figure."""
    match = FIGURE.search(content)
    return Markup((staging / match[1]).read_text(encoding="utf-8") if match else content)


def _write_tables(out_dir: Path, record: Record, figures: Path) -> None:
    """Write reportlets with the tables of components and of loads of a session."""
    tables = {"components": ("components",), "loads": ("loads", "regions")}
    for desc, shown in tables.items():
        paths = sorted(path for kind, path in record.files(out_dir) if kind in shown)
        if paths:
            out = figures / derivative(record.name, "morph", ".html", desc=desc)
            render("tables.html", out, tables=[_table(path, out_dir) for path in paths])


def _table(path: Path, out_dir: Path) -> dict[str, Any]:
    """Return the template context of a table."""
    table = pd.read_csv(path, sep="\t", na_values="n/a")
    numeric = [column for column in table if any(number(value) is not None for value in table[column])]
    return {
        "file": path.relative_to(out_dir).as_posix(),
        "columns": list(table),
        "numeric": numeric,
        "rows": list(table.head(ROWS).itertuples(index=False, name=None)),
        "more": max(len(table) - ROWS, 0),
    }
