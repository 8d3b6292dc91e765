"""The report of one participant: reportlets gathered into one HTML file.

nireports finds and orders the reportlets by ``data/report_spec.yml``; its own page loads its style
from the network and leaves the figures outside, so the page is rendered from our templates.
"""

import re
from itertools import groupby
from pathlib import Path
from tempfile import TemporaryDirectory

import pandas as pd
from markupsafe import Markup

from bids_stroke import __version__
from bids_stroke.bids import record
from bids_stroke.cohort import table as cohort_table
from bids_stroke.data import DATA
from bids_stroke.reports.figures import mosaic
from bids_stroke.reports.rendering import MEASURES, number, render
from bids_stroke.reports.viewer import page as viewer_page

MOST_BYTES = 5_000_000  # of the figures of a page
ROWS = 20  # of a table shown; the rest is in the file
FIGURE = re.compile(r'(?:src|data)="\./([^"]+\.svg)"')
ABOVE = re.compile(r"^.*?/(?=sub-)")  # of a path, the folders above the participant's
SHOWN = (*MEASURES, "mean_probability", "brain_volume_ml", "template_brain_dice", "snr", "cnr")


def participant_report(out_dir, subject, embed_viewers=False):
    """Write ``out_dir/sub-XX.html``, one file that needs no other, and return its path.

    It holds, for every session: a summary (from its record), the figures in ``sub-XX/figures``,
    and the tables of components and loads. Then the methods text (``CITATION.md``), and the errors
    (of the records, and the crash files ``logs/sub-XX[_ses-YY]_crash.txt``).

    Parameters
    ----------
    subject : str
        Label, with or without ``sub-``.
    embed_viewers : bool
        Put the sessions' viewers into the page and remove their files, in place of a link to each.
    """
    out_dir = Path(out_dir)
    name = f"sub-{subject.removeprefix('sub-')}"
    records = record.read_participant(out_dir, name)
    errors = [_error(out_dir, known) for known in records if known.status != "ok"]
    citation = out_dir / "CITATION.md"
    methods = citation.read_text(encoding="utf-8") if citation.is_file() else ""
    # On a copy: nireports rewrites the figures in place, and pybids takes entities from anywhere
    # in the path, so that out_dir itself must not be part of it.
    with TemporaryDirectory(prefix="report-") as folder:
        stage = Path(folder)
        figures = stage / name / "figures"
        figures.mkdir(parents=True)
        drawn = sorted((out_dir / name / "figures").glob(f"{name}_*.svg"))
        # Many sessions: smaller pictures keep the page light enough to mail.
        size = sum(path.stat().st_size for path in drawn)
        # A pixel of a smaller picture takes more bytes: not the square root.
        scale = (MOST_BYTES / size) ** 0.75 if size > MOST_BYTES else 1
        for path in drawn:
            svg = path.read_text(encoding="utf-8")
            (figures / path.name).write_text(mosaic.shrunk(svg, scale) if scale < 1 else svg, "utf-8")
        for known in records:
            out = figures / f"{known.name}_desc-summary_log.html"
            viewers = _viewer(out_dir, known, embed_viewers)
            render("summary.html", out, **_summary(out_dir, known), **viewers)
        _tables(out_dir, name, figures)
        render("methods.html", figures / f"{name}_desc-methods_log.html", text=methods)
        render("errors.html", figures / f"{name}_desc-errors_log.html", errors=errors)
        parts = _parts(stage, name)
    page = render(
        "participant.html",
        out_dir / f"{name}.html",
        title=name,
        parts=parts,
        failed=len(errors),
        version=__version__,
    )
    for known in records if embed_viewers else ():
        (out_dir / viewer_page.name_of(known.name)).unlink(missing_ok=True)
    return page


def _viewer(out_dir, known, embed):
    """The viewer of a session where there is one: its file's name, or its page."""
    path = out_dir / viewer_page.name_of(known.name)
    there = known.status == "ok" and path.is_file()
    return {
        "viewer_link": path.name if there and not embed else None,
        "viewer_page": path.read_text(encoding="utf-8") if there and embed else None,
    }


def _summary(out_dir, known):
    """What the summary of a session tells: the context of its template."""
    measures, warnings = {}, []
    if known.complete(out_dir):
        row = cohort_table.session_row(out_dir, known)
        measures = {name: row[name] for name in SHOWN if name in row}
        warnings += known.flags.values()
        if row.get("cst_category_status") == "unvalidated":
            warnings.append(
                "The cut-offs of the CST category were not derived on this map of the tract: "
                "read the category with caution."
            )
    elif known.status == "ok":
        warnings.append("Some outputs are missing: run the session again.")
    roles = {"lesion mask": ["lesion"]} | {name: ["model input"] for name in known.contrasts}
    roles[known.reference] = ["native space", *roles.get(known.reference, [])]
    return {
        "error": known.error,
        "warnings": warnings,
        "measures": measures,
        "inputs": [
            (contrast, path, ABOVE.sub("", path), ", ".join(roles.get(contrast, ["not used"])))
            for contrast, path in known.inputs.items()
        ],
        "notes": known.notes,
        "details": {
            "Status": known.status,
            "Model": known.model,
            "Weights (SHA-256)": known.weights_sha256 and known.weights_sha256[:12],
            "Run time (s)": known.seconds,
        },
        "times": {step: seconds for step, seconds in known.steps.items() if seconds >= 1},
        "versions": known.versions,
    }


def _error(out_dir, known):
    """Why a session failed, and its crash file where there is one."""
    path = out_dir / "logs" / f"{known.name}_crash.txt"
    text = path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""
    message = known.error or "The session did not end well."
    return {"session": known.name, "message": message, "text": text.strip()}


def _parts(stage, name):
    """Sections of the page, one per session and one per section without sessions."""
    from nireports.assembler.report import Report

    report = Report(
        stage,
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
                        (_inline(content, stage), caption) for content, caption in reportlet.components
                    ],
                }
                for reportlet in reportlets
            ]
            anchor = re.sub(r"\W+", "-", heading.lower())
            parts.append({"heading": heading, "anchor": anchor, "reportlets": shown})
    return parts


def _session(reportlet):
    """The session of a reportlet, which nireports keeps in its name alone."""
    match = re.search(r"(?:^|_)session-([^_]+)", reportlet.name)
    return match and match[1]


def _inline(content, stage):
    """The reportlet's HTML, with a linked figure put inside the page."""
    match = FIGURE.search(content)
    return Markup((stage / match[1]).read_text(encoding="utf-8") if match else content)


def _tables(out_dir, name, figures):
    """Write the tables of lesion components and of loads as reportlets, one of each a session."""

    def kind(path):
        session = re.search(r"_ses-[a-zA-Z0-9]+", path.name)
        return session[0] if session else "", "loads" if "_atlas-" in path.name else "components"

    found = sorted((out_dir / name).rglob(f"{name}_*_label-L_*_morph.tsv"))
    for (session, desc), paths in groupby(sorted(found, key=kind), kind):
        out = figures / f"{name}{session}_desc-{desc}_morph.html"
        render("tables.html", out, tables=[_table(path, out_dir) for path in paths])


def _table(path, out_dir):
    table = pd.read_csv(path, sep="\t", na_values="n/a")
    numeric = [column for column in table if any(number(value) is not None for value in table[column])]
    return {
        "file": path.relative_to(out_dir).as_posix(),
        "columns": list(table),
        "numeric": numeric,
        "rows": list(table.head(ROWS).itertuples(index=False, name=None)),
        "more": max(len(table) - ROWS, 0),
    }
