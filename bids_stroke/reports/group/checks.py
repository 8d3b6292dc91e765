"""Sessions that failed QC checks, in the group report: status, messages and figures."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from markupsafe import Markup

from .files import SessionFiles, SessionKey, table_keys
from .pictures import Pictures

#: Start of the status of a session that failed QC checks.
STATUS = "check: "
#: Figure (``desc-`` entity) that shows why a check failed; otherwise, the lesion.
_FIGURES = {
    "brain_volume": "brain",
    "field_of_view": "brain",
    "template_overlap": "mni",
    "agreement": "coreg",
    "lesion_outside": "mni",
    "bright": "bias",
    "orientation": "mni",
}
_LESIONS = ("lesion", "ownmni")  # on an image, and without an image on the template
_FOLDERS = re.compile(r"\S*/(?=sub-)")  # folders above the participant folder


@dataclass(frozen=True)
class FlaggedSession:
    """Session that failed QC checks.

    Attributes
    ----------
    name : str
        Participant and session.
    status : str
        Status with the failed checks.
    messages : sequence of str
    link : str, optional
        Address of the participant report.
    picture : Markup, optional
        Figure that shows the reason of the first failed check.
    """

    name: str
    status: str
    messages: Sequence[str]
    link: str | None
    picture: Markup | None


def check_title(name: str) -> str:
    """Convert the name of a check to words.

    >>> check_title("brain_volume")
    'brain volume'
    """
    return name.replace("_", " ")


def check_statuses(table: pd.DataFrame) -> pd.Series:
    """Return the status of the sessions that failed QC checks, such as ``check: agreement``.

    Parameters
    ----------
    table : pandas.DataFrame
        Group table; ``qc_flags`` lists the failed checks, joined by ``+``.

    Returns
    -------
    pandas.Series
        None for the other sessions.
    """
    flags = table.get("qc_flags", pd.Series(index=table.index, dtype=object))
    return flags.map(check_status).astype(object)


def check_status(flags: object) -> str | None:
    """Return the status of a session with failed checks, joined by ``+``; None without failed checks.

    >>> check_status("brain_volume+agreement")
    'check: brain volume, agreement'
    """
    if not isinstance(flags, str) or not flags:
        return None
    return STATUS + ", ".join(map(check_title, flags.split("+")))


def messages(session: SessionFiles) -> list[str]:
    """Return the messages of the failed checks of a session, with shortened paths."""
    return [_FOLDERS.sub("", message) for message in session.flags.values()]


def check_figure(name: str, session: SessionFiles) -> Path | None:
    """Return the figure of a session that shows why a check failed, or None without figures.

    Of several figures, the one of a contrast in the message is returned.
    """
    kinds = (_FIGURES.get(name, ""), *_LESIONS)
    figures = next((session.figures[kind] for kind in kinds if kind in session.figures), [])
    words = session.flags[name].split()
    named = [path for path in figures if path.stem.rpartition("_")[2] in words]
    return next(iter(named or figures), None)


def flagged_sessions(
    table: pd.DataFrame,
    sessions: Mapping[SessionKey, SessionFiles],
    links: Mapping[str, str],
    pictures: Pictures,
) -> list[FlaggedSession]:
    """List the sessions of a table that failed QC checks, in the order of the table.

    Parameters
    ----------
    table : pandas.DataFrame
    sessions : mapping of SessionKey to SessionFiles
    links : mapping of str to str
        Report addresses by participant.
    pictures : Pictures
        Embeds the figures.
    """
    cards = []
    for key, status in zip(table_keys(table), check_statuses(table), strict=True):
        if isinstance(status, str):
            session = sessions[key]
            figures = (check_figure(name, session) for name in session.flags)
            picture = pictures.embed(next(filter(None, figures), None))
            name = " ".join(key).strip()
            cards.append(FlaggedSession(name, status, messages(session), links.get(key[0]), picture))
    return cards


def count_checks(table: pd.DataFrame) -> dict[str, int]:
    """Count the sessions that failed each check, by the words of the check.

    >>> count_checks(pd.DataFrame({"qc_flags": ["agreement+no_lesion", None, "no_lesion"]}))
    {'no lesion': 2, 'agreement': 1}
    """
    flags = table["qc_flags"].dropna().astype(str) if "qc_flags" in table else pd.Series(dtype=str)
    names = flags.str.split("+").explode()
    return {check_title(str(name)): int(count) for name, count in names.value_counts().items()}
