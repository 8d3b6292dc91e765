"""Sessions that failed QC checks, in the group report: status, messages and figures."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from markupsafe import Markup

from bids_stroke.qc.checks import CHECKS, OTHER_CHECKS

from .files import SessionFiles, SessionKey, table_keys
from .pictures import Pictures

#: Start of the status of a session that failed QC checks.
STATUS = "check: "
#: Figure (``desc-`` entity) that shows why a check failed; for other checks, the lesion.
_FIGURES = {
    "brain_volume": "brain",
    "field_of_view": "brain",
    "template_overlap": "mni",
    "agreement": "coreg",
    "lesion_outside": "mni",
    "bright": "bias",
    "orientation": "mni",
}
_LESION = "lesion"
_FOLDERS = re.compile(r"\S*/(?=sub-)")  # folders above the participant folder


@dataclass(frozen=True)
class FailedCheck:
    """QC check that a session failed.

    Attributes
    ----------
    session : str
        Participant and session.
    message : str
    link : str, optional
        Address of the participant report.
    picture : Markup, optional
        Figure that shows the reason.
    """

    session: str
    message: str
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
    return flags.map(_status).astype(object)


def _status(flags: object) -> str | None:
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
    figures = session.figures.get(_FIGURES.get(name, _LESION)) or session.figures.get(_LESION, [])
    words = session.flags[name].split()
    named = [path for path in figures if path.stem.rpartition("_")[2] in words]
    return next(iter(named or figures), None)


def failed_checks(
    table: pd.DataFrame,
    sessions: Mapping[SessionKey, SessionFiles],
    links: Mapping[str, str],
    pictures: Pictures,
) -> dict[str, Sequence[FailedCheck]]:
    """List the sessions of a table that failed each QC check, by the words of the check.

    Parameters
    ----------
    table : pandas.DataFrame
    sessions : mapping of SessionKey to SessionFiles
    links : mapping of str to str
        Report addresses by participant.
    pictures : Pictures
        Embeds the figures.
    """
    keys = [key for key in table_keys(table) if sessions[key].flags]
    flagged = [(key, sessions[key]) for key in keys]
    order = [*CHECKS, *OTHER_CHECKS]
    others = {name for _, session in flagged for name in session.flags}.difference(order)
    return {
        check_title(name): cards
        for name in [*order, *sorted(others)]
        if (cards := [_card(name, *item, links, pictures) for item in flagged if name in item[1].flags])
    }


def _card(
    name: str,
    key: SessionKey,
    session: SessionFiles,
    links: Mapping[str, str],
    pictures: Pictures,
) -> FailedCheck:
    message = _FOLDERS.sub("", session.flags[name])
    picture = pictures.embed(check_figure(name, session))
    return FailedCheck(" ".join(key).strip(), message, links.get(key[0]), picture)
