"""Methods text (``CITATION.md``) and its bibliography (``CITATION.bib``), from the records.

Each record contains the sentences, the software and the models of a session, of the comparison of the
sessions of a participant, or of a part of the group level (:mod:`bids_stroke.reports.group.methods`).
The files therefore describe all outputs of a folder, whichever run wrote them.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from bids_stroke.bids import longitudinal
from bids_stroke.bids.record import Record, read, read_all
from bids_stroke.utils import references
from bids_stroke.utils.files import PathLike, atomic
from bids_stroke.utils.versions import PROGRAM

#: Names of the records of the group level.
GROUP, EVALUATION, OUTCOME = "group", "evaluation", "outcome"
_PARTS = GROUP, EVALUATION, OUTCOME
TEXT, BIBLIOGRAPHY = "CITATION.md", "CITATION.bib"
_SESSIONS = (
    "The dataset is organized in BIDS [@bids] and was read with PyBIDS [@pybids]. Images were "
    "processed with {program} [@bids_stroke], which is based on Nipype [@nipype], NiBabel [@nibabel], "
    "NumPy [@numpy] and SciPy [@scipy]."
)
_REFERENCES = f"The text in brackets at the end of a reference is its key in {BIBLIOGRAPHY}."


class Methods(NamedTuple):
    """Methods text (Markdown), and the cited references (BibTeX)."""

    text: str
    bibliography: str


def write(output_dir: PathLike) -> None:
    """Write the methods text and the bibliography of all outputs of a folder.

    Files whose content is unchanged are not rewritten. Nothing is written if no session has succeeded.
    """
    # Repeat until nothing changes: another run may finish a session and write the files concurrently.
    while _write_once(Path(output_dir)):
        pass


def _write_once(output_dir: Path) -> bool:
    """Write the files; return whether one of them has changed."""
    sessions = [record for record in read_all(output_dir) if record.status == "ok"]
    cohort = (read(output_dir, name) for name in _PARTS)
    parts = [*longitudinal.read_all(output_dir), *filter(None, cohort)]
    complete = [record for record in parts if record.complete(output_dir)]
    described = [record for record in (*sessions, *complete) if record.description]
    if not described:
        return False
    methods = compose(described)
    contents = {BIBLIOGRAPHY: methods.bibliography, TEXT: methods.text}
    changed = {name: text for name, text in contents.items() if _read(output_dir / name) != text}
    for name, text in changed.items():
        with atomic(output_dir / name) as partial:
            partial.write_text(text, encoding="utf-8")
    return bool(changed)


def _read(path: Path) -> str | None:
    return path.read_text(encoding="utf-8", errors="replace") if path.is_file() else None


def compose(records: Sequence[Record]) -> Methods:
    """Compose the methods text of sessions, their comparison and the group level, with numbered
    references.

    Sessions with the same description share a paragraph.
    """
    parts = [record for record in records if _is_part(record)]
    sessions = [record for record in records if not _is_part(record)]
    materials = sorted({f"- {text}" for record in records for text in record.materials})
    blocks = [
        "# Methods",
        *([_SESSIONS.format(program=_program(sessions))] if sessions else []),
        *_by_session({record.name: record.description for record in sessions}, "{names}: {value}"),
        *dict.fromkeys(record.description for record in parts),
        *(["## Models, tracts and atlases", "\n".join(materials)] if materials else []),
        "## Software",
        "\n".join(f"- {line}" for line in _software(records)),
    ]
    text = "\n\n".join(blocks)
    keys = references.cited_keys(text)
    cited = [references.load()[key] for key in keys]
    listing = (f"{n}. {reference.format()} [{reference.key}]" for n, reference in enumerate(cited, 1))
    blocks = [references.number(text, keys), "## References", _REFERENCES, "\n".join(listing)]
    return Methods("\n\n".join(blocks) + "\n", "\n\n".join(item.entry for item in cited) + "\n")


def _is_part(record: Record) -> bool:
    """Return whether a record is not that of a session."""
    return record.name in _PARTS or longitudinal.is_longitudinal(record.name)


def _program(records: Sequence[Record]) -> str:
    """Return bids_stroke with its versions."""
    versions = {record.versions[PROGRAM] for record in records if PROGRAM in record.versions}
    return f"{PROGRAM} {' and '.join(sorted(versions))}".strip()


def _software(records: Sequence[Record]) -> list[str]:
    """List the packages with their versions; different versions are listed with their sessions."""
    names = sorted({name for record in records for name in record.versions}, key=str.lower)
    lines = []
    for name in names:
        versions = {r.name: r.versions[name] for r in records if name in r.versions}
        lines.append(f"{name} {', '.join(_by_session(versions, '{value} ({names})'))}")
    return lines


def _by_session(values: Mapping[str, str], template: str) -> list[str]:
    """List the distinct values; if they differ, format each with the names of its sessions."""
    sessions: dict[str, list[str]] = {}
    for name, value in values.items():
        sessions.setdefault(value, []).append(name)
    if len(sessions) == 1:
        return list(sessions)
    return [template.format(names=", ".join(names), value=value) for value, names in sessions.items()]
