"""The report of one participant: reportlets gathered into one HTML file.

nireports finds and orders the reportlets by ``data/report_spec.yml``; its own page loads its style
from the network and leaves the figures outside, so the page is rendered from our templates.
"""

import re
import shutil
from importlib.resources import files
from itertools import groupby
from pathlib import Path
from tempfile import TemporaryDirectory

import pandas as pd
from markupsafe import Markup

from .. import __version__
from . import number, render

ROWS = 20  # of a table shown; the rest is in the file
FIGURE = re.compile(r'(?:src|data)="\./([^"]+\.svg)"')
EXCEPTION = re.compile(r"^[\w.]*(Error|Exception|Interrupt|Exit)\b.*", re.MULTILINE)


def summary(facts, out):
    """Write the summary reportlet of a session (HTML fragment).

    Parameters
    ----------
    facts : dict
        All optional: ``warnings`` (list of str, shown on top), ``measures`` (dict, named like the
        columns of ``group_lesion.tsv``), ``inputs`` (list of dicts with ``contrast``, ``file`` and
        ``reason``), ``details`` (dict of what was done: model, brain extraction, space ...),
        ``times`` (dict, seconds), ``versions`` (dict).
    """
    blank = {
        "warnings": [],
        "measures": {},
        "inputs": [],
        "details": {},
        "times": {},
        "versions": {},
    }
    return render("summary.html", out, **blank | facts)


def participant_report(out_dir, subject):
    """Write ``out_dir/sub-XX.html``, one file that needs no other, and return its path.

    It holds, for every session: the reportlets in ``sub-XX/figures``, and the tables of components
    and loads (``sub-XX/**/*_morph.tsv``). Then the methods text (``CITATION.md`` in ``logs`` or in
    ``out_dir``), and the errors (``logs/sub-XX[_ses-YY]/crash*.txt``).

    Parameters
    ----------
    subject : str
        Label, with or without ``sub-``.
    """
    out_dir = Path(out_dir)
    name = f"sub-{subject.removeprefix('sub-')}"
    # On a copy: nireports rewrites the figures in place, and pybids takes entities from anywhere
    # in the path, so that out_dir itself must not be part of it.
    with TemporaryDirectory(prefix="report-") as folder:
        stage = Path(folder)
        figures = stage / name / "figures"
        figures.mkdir(parents=True)
        for path in (out_dir / name / "figures").glob(f"{name}_*"):
            shutil.copyfile(path, figures / path.name)
        _tables(out_dir, name, figures)
        render("methods.html", figures / f"{name}_desc-methods_log.html", text=_methods(out_dir))
        errors = _errors(out_dir, name)
        render("errors.html", figures / f"{name}_desc-errors_log.html", errors=errors)
        parts = _parts(stage, name)
    return render(
        "participant.html",
        out_dir / f"{name}.html",
        title=name,
        parts=parts,
        failed=len(errors),
        version=__version__,
    )


def _parts(stage, name):
    """Sections of the page, one per session and one per section without sessions."""
    from nireports.assembler.report import Report

    report = Report(
        stage,
        None,
        bootstrap_file=files("bids_stroke") / "data/report_spec.yml",
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
                        (_inline(content, stage), caption)
                        for content, caption in reportlet.components
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
    found = sorted((out_dir / name).rglob(f"{name}_*_morph.tsv"))

    def kind(path):
        session = re.search(r"_ses-[a-zA-Z0-9]+", path.name)
        return session[0] if session else "", "loads" if "_atlas-" in path.name else "components"

    for (session, desc), paths in groupby(sorted(found, key=kind), kind):
        out = figures / f"{name}{session}_desc-{desc}_morph.html"
        render("tables.html", out, tables=[_table(path, out_dir) for path in paths])


def _table(path, out_dir):
    table = pd.read_csv(path, sep="\t", na_values="n/a")
    numeric = [
        column for column in table if any(number(value) is not None for value in table[column])
    ]
    return {
        "file": path.relative_to(out_dir).as_posix(),
        "columns": list(table),
        "numeric": numeric,
        "rows": table.head(ROWS).itertuples(index=False, name=None),
        "more": max(len(table) - ROWS, 0),
    }


def _methods(out_dir):
    for path in (out_dir / "logs" / "CITATION.md", out_dir / "CITATION.md"):
        if path.is_file():
            return path.read_text(encoding="utf-8")
    return ""


def _errors(out_dir, name):
    """Crash files of all sessions: node and message (of nipype's text format), and the text."""
    errors = []
    for folder in [out_dir / "logs" / name, *sorted((out_dir / "logs").glob(f"{name}_*"))]:
        for path in sorted(folder.glob("crash*.txt")):
            text = path.read_text(encoding="utf-8", errors="replace").strip()
            lines = text.splitlines() or ["The file is empty."]
            node = lines[0].removeprefix("Node: ") if lines[0].startswith("Node: ") else ""
            message = [match[0] for match in EXCEPTION.finditer(text)] or lines
            file = path.relative_to(out_dir).as_posix()
            errors.append({"file": file, "node": node, "message": message[-1], "text": text})
    return errors
