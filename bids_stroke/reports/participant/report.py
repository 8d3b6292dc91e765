"""Participant report: summaries, figures and tables of the sessions in one HTML file."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from markupsafe import Markup

from bids_stroke import __version__
from bids_stroke.bids.logs import crash_path
from bids_stroke.bids.names import split_session_name
from bids_stroke.bids.record import CORRECTED_MASK, LESION_MASK, Record, model_title, read_participant
from bids_stroke.reports.figures import svg
from bids_stroke.reports.figures.svg import Tile
from bids_stroke.reports.methods import compose
from bids_stroke.reports.rendering import render
from bids_stroke.reports.viewer.drawing import drawing_path
from bids_stroke.reports.viewer.session import viewer_path
from bids_stroke.utils.files import PathLike

from . import neighbors
from .cohort import paragraph
from .longitudinal import changes_part
from .sections import Reportlet, Section, arrange, figures, picture_scale, read_reportlets
from .summary import State, Summary, short, shorten, summarize


class Part(NamedTuple):
    """Session in the report.

    Attributes
    ----------
    participant, session : str
        ``sub-XX`` and ``ses-YY``; ``session`` may be empty.
    label : str
        Session label, or empty.
    prefix : str
        Prefix of the anchors of the session.
    summary : Summary
    cohort : Markup
        Paragraph with the percentiles of the session in its cohort.
    warnings : list of str
        Choices that the names and headers of the files do not determine.
    tiles : list of Tile
        Slices in three planes, and views of the brain in 3D.
    viewer : dict
        File name or page of the interactive viewer, and file name of the drawing page.
    sections : list of Section
    processing : dict
        Template context of inputs, notes, command line, run times and versions.
    """

    participant: str
    session: str
    label: str
    prefix: str
    summary: Summary
    cohort: Markup
    warnings: list[str]
    tiles: list[Tile]
    viewer: dict[str, str | None]
    sections: list[Section]
    processing: dict[str, Any]


def participant_report(
    out_dir: PathLike,
    subject: str,
    embed_viewers: bool = False,
    records: Sequence[Record] | None = None,
) -> Path:
    """Write ``out_dir/sub-XX.html``, a self-contained file, and return its path.

    For each session, the page contains a summary, and sections with figures and tables in the order in
    which they should be checked. The methods text and the errors (from records and crash files
    ``logs/sub-XX[_ses-YY]_crash.txt``) follow. A session whose files cannot be shown is listed as an
    error and does not affect the other sessions.

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
    parts, unshown = _parts(out_dir, records, embed_viewers)
    errors += [
        {"session": session, "message": _reason(error), "text": ""}
        for session, error in unshown.items()
    ]
    with_description = [record for record in records if record.description]
    page = render(
        "participant.html",
        out_dir / f"{name}.html",
        title=name,
        neighbors=neighbors.links(out_dir, name),
        parts=parts,
        changes=changes_part(out_dir, name, records),
        methods=compose(with_description).text if with_description else "",
        errors=errors,
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


def _parts(
    out_dir: Path, records: Sequence[Record], embed_viewers: bool
) -> tuple[list[Part], dict[str, Exception]]:
    """Return the sessions, and the errors of those that cannot be shown completely."""
    scale = picture_scale(path for record in records for path in figures(out_dir, record))
    parts, unshown = [], dict[str, Exception]()
    for record in records:
        reportlets: list[Reportlet] = []
        tiles: list[Tile] = []
        try:
            summary = summarize(out_dir, record)
            overview = record.path(out_dir, "overview_figure")
            tiles = svg.tiles(overview, scale) if overview and overview.is_file() else []
            for reportlet in read_reportlets(out_dir, record, scale):
                reportlets.append(reportlet)
        except Exception as error:  # in the files of this session; the others are shown
            unshown[record.name] = error
            summary = Summary(State("red", "Incomplete", [_reason(error)]))
        participant, session = split_session_name(record.name)
        label = session.removeprefix("ses-")
        prefix = f"ses-{label}-" if label else ""
        parts.append(
            Part(
                participant,
                session,
                label,
                prefix,
                summary,
                paragraph(record.name, summary.cohort),
                [shorten(text, record) for text in record.ambiguous],
                tiles,
                _viewer(out_dir, record, embed_viewers),
                arrange(reportlets, prefix, summary.has_lesion),
                _processing(record),
            )
        )
    return parts, unshown


def _viewer(out_dir: Path, record: Record, embed: bool) -> dict[str, str | None]:
    """Return the file name or the page of the viewer of a session, and the file name of its drawing
    page, if they exist."""
    path, drawing = viewer_path(out_dir, record.name), drawing_path(out_dir, record.name)
    exists = record.status == "ok" and path.is_file()
    return {
        "link": path.name if exists and not embed else None,
        "page": path.read_text(encoding="utf-8") if exists and embed else None,
        "drawing": drawing.name if record.status == "ok" and drawing.is_file() else None,
    }


def _processing(record: Record) -> dict[str, Any]:
    """Return the template context of the processing of a session."""
    uses = {LESION_MASK: ["lesion"], CORRECTED_MASK: ["lesion"]} | {
        name: ["model input"] for name in record.contrasts
    }
    if record.reference:
        uses[record.reference] = ["native space", *uses.get(record.reference, [])]
    return {
        "inputs": [
            (contrast, path, short(path), ", ".join(uses.get(contrast, ["not used"])))
            for contrast, path in record.inputs.items()
        ],
        "notes": [shorten(text, record) for text in record.notes if text not in record.ambiguous],
        "command": record.command,
        "details": {
            "Status": record.status,
            "Started": record.date,
            "Model": model_title(record.model),
            **({"Corrected by": record.corrected_by} if record.corrected_by else {}),
            "Weights (SHA-256)": record.weights_sha256 and record.weights_sha256[:12],
            "Run time (s)": record.seconds,
        },
        "times": {step: seconds for step, seconds in record.steps.items() if seconds >= 1},
        "versions": record.versions,
    }


def _error(out_dir: Path, record: Record) -> dict[str, str]:
    """Return the error message of a session and the content of its crash file."""
    path = crash_path(out_dir, record.name)
    text = path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""
    message = record.error or "The session failed."
    return {"session": record.name, "message": message, "text": text.strip()}
