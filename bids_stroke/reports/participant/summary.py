"""Summary of a session at the top of the participant report: QC checks, lesion, key numbers."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, NamedTuple

import pandas as pd

from bids_stroke.bids.record import Record, model_title
from bids_stroke.cohort.columns import tract_prefix
from bids_stroke.cohort.place import read_places
from bids_stroke.cohort.table import Row, read_rows, session_row, volume_ml
from bids_stroke.reports.columns import cell
from bids_stroke.utils.text import date_and_time
from bids_stroke.utils.versions import PROGRAM

from .cohort import describe_places

_PARENTS = re.compile(r"^.*?/(?=sub-)")
#: Note and explanation for cut-offs of categories that were not derived on the tract map.
_ORIGINS = {
    "unvalidated": (
        "unvalidated",
        "The cut-offs of the category were derived on another tract map: interpret the category with "
        "caution.",
    ),
    "own": ("user-defined cut-offs", "The cut-offs of the category were set by the user."),
}


class State(NamedTuple):
    """Traffic light of a session, with a sentence for each reason."""

    color: Literal["green", "amber", "red"]
    title: str
    reasons: list[str]


class KeyNumber(NamedTuple):
    """Key number of a session, with a note below it and an explanation."""

    title: str
    value: str
    unit: str
    note: str
    explanation: str


class Summary(NamedTuple):
    """Summary of a session. Without measurements, ``sentence`` and ``numbers`` are empty, and
    ``has_lesion`` is None. ``cohort`` states the percentiles of the session in its cohort, and
    ``correction`` who corrected the mask."""

    state: State
    sentence: str = ""
    numbers: Sequence[KeyNumber] = ()
    has_lesion: bool | None = None
    origin: str = ""
    cohort: str = ""
    correction: str = ""


def short(path: str) -> str:
    """Remove the folders above the participant folder from a path.

    >>> short("/data/sub-01/anat/sub-01_T1w.nii.gz")
    'sub-01/anat/sub-01_T1w.nii.gz'
    """
    return _PARENTS.sub("", path)


def shorten(text: str, record: Record) -> str:
    """Shorten the paths of inputs in a text."""
    for path in record.inputs.values():
        text = text.replace(path.removesuffix(short(path)), "")
    return text


def summarize(out_dir: Path, record: Record) -> Summary:
    """Summarize a session.

    Raises
    ------
    DatasetError
        If a table of the session cannot be read.
    """
    state, origin = _state(out_dir, record), _origin(record)
    if not record.complete(out_dir):
        return Summary(state, origin=origin)
    row = session_row(out_dir, record)
    labels = sorted(record.paths(out_dir, "loads"), key=lambda label: tract_prefix(label) != "cst")
    tract = labels[0] if labels else None
    numbers = [_volume(row), _components(row), *(_loads(row, tract) if tract else [])]
    places = describe_places(read_places(out_dir, row))
    correction = describe_correction(out_dir, record)
    sentence = describe_lesion(row, tract)
    return Summary(state, sentence, numbers, volume_ml(row) > 0, origin, places, correction)


def _state(out_dir: Path, record: Record) -> State:
    if record.status != "ok":
        return State("red", "Failed", [record.error or "The session failed."])
    if not record.complete(out_dir):
        missing = "Some outputs are missing; run the participant level again."
        return State("red", "Incomplete", [missing])
    if record.flags:
        names = ", ".join(name.replace("_", " ") for name in record.flags)
        reasons = [shorten(text, record) for text in record.flags.values()]
        return State("amber", f"Check: {names}", reasons)
    return State("green", "Passed all QC checks", [])


def _origin(record: Record) -> str:
    """Describe when and how a session was processed; empty for a session that failed at once."""
    version = record.versions.get(PROGRAM)
    contrasts = ", ".join(record.contrasts)
    parts = (
        date_and_time(record.date),
        f"{PROGRAM} {version}" if version else "",
        f"model {record.model} ({contrasts})" if contrasts else model_title(record.model),
    )
    return "; ".join(filter(None, parts))


def describe_lesion(row: Row, tract: str | None) -> str:
    """Describe volume, side, region, components and tract damage of a lesion in a sentence.

    Parameters
    ----------
    row : mapping
        Row of the group table (:func:`bids_stroke.cohort.table.session_row`).
    tract : str, optional
        ``atlas-`` entity of the tract.
    """
    volume = volume_ml(row)
    if not volume > 0:
        return "No lesion found."
    number = int(row["n_components"])
    region, side = row["index_super_region"], row["hemisphere"]
    in_template = bool(pd.isna(row["lesion_volume_ml"]))
    location = [f"{cell(volume)} ml{' in the template' if in_template else ''}"]
    location += [side] if isinstance(side, str) else []
    location += [f"mostly {region}"] if isinstance(region, str) else []
    parts = [", ".join(location), "one component" if number == 1 else f"{number} components"]
    share = row.get(f"{tract_prefix(tract)}_max_slice_load_total") if tract else None
    if share is not None and pd.notna(share):
        parts.append(f"largest share of a {_name(tract)} cross-section {share:.0%}")
    return "; ".join(parts) + "."


def describe_correction(out_dir: Path, record: Record) -> str:
    """Describe who corrected the mask of a session, and the difference; empty without a correction."""
    path = record.path(out_dir, "agreement")
    if not record.corrected_by or path is None:
        return ""
    date = f" on {date_and_time(record.corrected_on)}" if record.corrected_on else ""
    (row,) = read_rows(path)
    return (
        f"Lesion mask corrected by {record.corrected_by}{date}: Dice with the mask of the model "
        f"{cell(row['dice'])}; volume {cell(row['model_volume_ml'])} ml before and "
        f"{cell(row['corrected_volume_ml'])} ml after the correction."
    )


def _name(tract: str | None) -> str:
    return "CST" if tract and tract_prefix(tract) == "cst" else str(tract)


def _volume(row: Row) -> KeyNumber:
    """Return the lesion volume with its interval, if the model card has a calibration."""
    in_template = pd.isna(row["lesion_volume_ml"])
    low, high = (row[f"lesion_volume_{end}95_ml"] for end in ("low", "high"))
    note = "" if pd.isna(low) or pd.isna(high) else f"95% interval {cell(low)} to {cell(high)} ml"
    explanation = (
        f"Volume of the lesion mask in the {'template' if in_template else 'native space'}."
        f"{' The interval was calibrated on simulated patients.' if note else ''}"
    )
    return KeyNumber("Lesion volume", cell(volume_ml(row)), "ml", note, explanation)


def _components(row: Row) -> KeyNumber:
    explanation = (
        "Number of connected parts of the lesion mask; a table below lists their sizes and locations."
    )
    return KeyNumber("Components", cell(row["n_components"]), "", "", explanation)


def _loads(row: Row, tract: str) -> list[KeyNumber]:
    """Return the weighted load and the largest share of a cross-section of a tract."""
    prefix, name = tract_prefix(tract), _name(tract)
    note, origin = _category(row, prefix)
    load = {side: row[f"{prefix}_weighted_load_ml_{side}"] for side in ("left", "right", "total")}
    ipsilesional = row[f"{prefix}_weighted_load_ml_ipsilesional"]
    title, value = f"{name} weighted load", cell(load["total"])
    if pd.notna(ipsilesional):
        title, value = f"{title}, side of the lesion", cell(ipsilesional)
    elif load["total"] > 0:  # a bilateral lesion
        title, value = f"{title}, left / right", f"{cell(load['left'])} / {cell(load['right'])}"
    share = row[f"{prefix}_max_slice_load_total"]
    weighted = (
        f"Weighted lesion load of the {name} (Feng et al. 2015): lesioned volume of the tract, where "
        "narrow cross-sections count more."
    )
    largest = (
        f"Share of the {name} that is lesioned in the cross-section with the most damage, on the side "
        "with the larger share; 100% is a complete transection."
    )
    return [
        KeyNumber(title, value, "ml", note, f"{weighted} {origin}".strip()),
        KeyNumber(
            f"Largest share of a {name} cross-section",
            f"{share:.0%}" if pd.notna(share) else "n/a",
            "",
            "",
            largest,
        ),
    ]


def _category(row: Row, prefix: str) -> tuple[str, str]:
    """Return the category of a load and the origin of its cut-offs; empty without a category."""
    category, status = row[f"{prefix}_category"], row[f"{prefix}_category_status"]
    if category not in ("small", "medium", "large"):
        return "", ""
    note, explanation = _ORIGINS.get(status, ("", ""))
    return f"category: {category}" + (f" ({note})" if note else ""), explanation
