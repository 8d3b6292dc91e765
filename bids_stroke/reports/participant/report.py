"""Participant report: summaries, tables and figures of the sessions in one HTML file."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
import yaml
from markupsafe import Markup

from bids_stroke import __version__
from bids_stroke.bids.logs import crash_path
from bids_stroke.bids.names import REFERENCES, TRACE, Name, split_session_name
from bids_stroke.bids.record import Record, model_title, read_participant
from bids_stroke.cohort.table import Row, read_rows, session_row
from bids_stroke.data import DATA
from bids_stroke.reports.columns import MEASURES, number
from bids_stroke.reports.figures import svg
from bids_stroke.reports.methods import compose
from bids_stroke.reports.rendering import fragment, render
from bids_stroke.reports.viewer.session import viewer_path
from bids_stroke.utils.files import PathLike

MAX_BYTES = 5_000_000  # total size of the figures of a page
ROWS = 20  # rows shown of each table
PARENTS = re.compile(r"^.*?/(?=sub-)")  # folders above the participant folder
SHOWN = (*MEASURES, "mean_probability", "brain_volume_ml", "template_brain_dice", "snr", "cnr")


class Reportlet(NamedTuple):
    """Part of a session in the report: ``desc`` and contrast of its figure or tables, and its HTML."""

    desc: str
    contrast: str
    content: Markup


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
    parts, unshown = _session_parts(out_dir, records, embed_viewers)
    errors += [
        {"session": session, "message": _reason(error), "text": ""}
        for session, error in unshown.items()
    ]
    with_description = [record for record in records if record.description]
    methods = compose(with_description).text if with_description else ""
    parts.append(_part("Methods", [_card(fragment("methods.html", text=methods))]))
    parts.append(_part("Errors", [_card(fragment("errors.html", errors=errors))]))
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


def _session_parts(
    out_dir: Path, records: Sequence[Record], embed_viewers: bool
) -> tuple[list[dict[str, Any]], dict[str, Exception]]:
    """Return the sections of the sessions, and the errors of those that cannot be shown completely."""
    scale = _scale(path for record in records for path in _figures(out_dir, record))
    parts, unshown = [], dict[str, Exception]()
    for record in records:
        reportlets: list[Reportlet] = []
        try:
            for reportlet in _reportlets(out_dir, record, scale, embed_viewers):
                reportlets.append(reportlet)
        except Exception as error:  # in the files of this session; the others are shown
            unshown[record.name] = error
        if reportlets:
            parts.append(_part(_heading(record), _cards(reportlets)))
    return parts, unshown


def _scale(figures: Iterable[Path]) -> float:
    """Return the scale of the images, which decreases with many sessions to limit the page size."""
    size = sum(path.stat().st_size for path in figures)
    # The exponent is above 0.5 because small images need more bytes per pixel.
    return (MAX_BYTES / size) ** 0.75 if size > MAX_BYTES else 1.0


def _reportlets(
    out_dir: Path, record: Record, scale: float, embed_viewers: bool
) -> Iterator[Reportlet]:
    """Yield the summary, the tables and the figures of a session."""
    viewers = _viewer(out_dir, record, embed_viewers)
    summary = fragment("summary.html", **_summary(out_dir, record), **viewers)
    yield Reportlet("summary", "", summary)
    for desc, kinds in {"components": ("components",), "loads": ("loads", "regions")}.items():
        paths = sorted(path for kind, path in record.files(out_dir) if kind in kinds)
        if paths:
            tables = [_table(path, out_dir) for path in paths]
            yield Reportlet(desc, "", fragment("tables.html", tables=tables))
    for path in sorted(_figures(out_dir, record), key=_by_contrast):
        name = Name.parse(path)
        yield Reportlet(name.entities.get("desc", ""), name.suffix, svg.inline(path, scale))


def _by_contrast(path: Path) -> tuple[int, Path]:
    """Return a sort key that puts figures of the T1w first."""
    order = (*REFERENCES, TRACE)
    suffix = Name.parse(path).suffix
    return order.index(suffix) if suffix in order else len(order), path


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
        "warnings": [_shorten(text, record) for text in warnings],
        "measures": measures,
        "inputs": [
            (contrast, path, PARENTS.sub("", path), ", ".join(uses.get(contrast, ["not used"])))
            for contrast, path in record.inputs.items()
        ],
        "notes": [_shorten(text, record) for text in notes],
        "details": {
            "Status": record.status,
            "Model": model_title(record.model),
            "Weights (SHA-256)": record.weights_sha256 and record.weights_sha256[:12],
            "Run time (s)": record.seconds,
        },
        "times": {step: seconds for step, seconds in record.steps.items() if seconds >= 1},
        "versions": record.versions,
    }


def _shorten(text: str, record: Record) -> str:
    """Shorten the paths of inputs in a text, as in the table of inputs."""
    for path in record.inputs.values():
        text = text.replace(path.removesuffix(PARENTS.sub("", path)), "")
    return text


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


def _heading(record: Record) -> str:
    session = split_session_name(record.name)[1].removeprefix("ses-")
    return f"Session {session}" if session else "Lesion"


def _part(heading: str, cards: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the template context of a section of the page."""
    return {"heading": heading, "anchor": re.sub(r"\W+", "-", heading.lower()), "cards": cards}


@lru_cache(maxsize=1)
def _specification() -> list[dict[str, str]]:
    return yaml.safe_load((DATA / "report_spec.yml").read_text(encoding="utf-8"))


def _cards(reportlets: Sequence[Reportlet]) -> list[dict[str, Any]]:
    """Arrange the reportlets of a session in the order of the specification."""
    cards = []
    for entry in _specification():
        shown = [reportlet for reportlet in reportlets if reportlet.desc == entry["desc"]]
        caption = entry.get("caption", "")
        figures = [(item.content, caption.format(suffix=item.contrast)) for item in shown]
        if figures:
            cards.append({"subtitle": entry.get("subtitle"), "figures": figures})
    return cards


def _card(content: Markup) -> dict[str, Any]:
    """Return the template context of a card without subtitle and caption."""
    return {"subtitle": None, "figures": [(content, "")]}


def _table(path: Path, out_dir: Path) -> dict[str, Any]:
    """Return the template context of a table."""
    table = pd.DataFrame(read_rows(path))
    numeric = [column for column in table if any(number(value) is not None for value in table[column])]
    return {
        "file": path.relative_to(out_dir).as_posix(),
        "columns": list(table),
        "numeric": numeric,
        "rows": list(table.head(ROWS).itertuples(index=False, name=None)),
        "more": max(len(table) - ROWS, 0),
    }
