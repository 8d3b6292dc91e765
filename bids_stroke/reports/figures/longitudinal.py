"""Plot of the lesion volumes of a participant over time, as an SVG file."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from bids_stroke.cohort.longitudinal import ALL, VOLUME_COVERAGE, LesionSession
from bids_stroke.utils.files import PathLike, atomic

from . import plots
from .cohort import INK, RED

if TYPE_CHECKING:
    from matplotlib.axes import Axes

GRAY = "#6b7885"
#: Color and name of the lines of components, by the class of the lesion; others have the first.
_LINES = {"stable": (INK, "component"), "new": (RED, "new component"), "gone": (GRAY, "gone component")}


def draw_changes(sessions: Sequence[LesionSession], table: pd.DataFrame, out: PathLike) -> Path:
    """Plot the volumes of the entire lesion and of its components against the time of the sessions.

    Without the acquisition times of all sessions, sessions have equal distances. The lines of pairs
    that are not comparable are dashed. Error bars are the intervals of the volumes, if there are any.

    Parameters
    ----------
    sessions : sequence of LesionSession
    table : pandas.DataFrame
        Table with columns as in :data:`bids_stroke.cohort.longitudinal.COLUMNS`.
    out : path
        SVG file.
    """
    figure = plots.figure(7.5, 3.8)
    axes = figure.subplots()
    places = _places(sessions)
    volumes = {session.session: session.volumes_ml for session in sessions}
    for row in table.to_dict("records"):
        ends = [places[row[name]] for name in ("previous_session_id", "session_id")]
        style = "-" if row["comparable"] == "yes" else "--"
        if row["lesion"] == ALL:
            entire = [row["previous_volume_ml"], row["volume_ml"]]
            axes.plot(ends, entire, style, color="black", linewidth=2.2, label="entire lesion")
            continue
        color, label = _LINES.get(row["class"], _LINES["stable"])
        for values in _segments(row, volumes):
            axes.plot(ends, values, style, color=color, linewidth=1, marker=".", label=label)
    _draw_sessions(axes, sessions, places)
    handles, labels = axes.get_legend_handles_labels()
    unique = dict(zip(labels, handles, strict=True))
    axes.legend(unique.values(), unique.keys(), frameon=False)
    axes.set(ylabel="Volume (ml)", ylim=(0, None))
    axes.grid(alpha=0.25, axis="y")
    with atomic(out) as partial:
        partial.write_text(plots.svg_text(figure, "longitudinal"), encoding="utf-8")
    return Path(out)


def _places(sessions: Sequence[LesionSession]) -> dict[str, float]:
    """Return the horizontal position of each session: days since the first session, or its number."""
    times = _times(sessions)
    if not times:
        return {session.session: float(number) for number, session in enumerate(sessions)}
    days = [(time - times[0]).total_seconds() / 86400 for time in times]
    return {session.session: day for session, day in zip(sessions, days, strict=True)}


def _times(sessions: Sequence[LesionSession]) -> list[datetime]:
    """Return the acquisition times of all sessions; empty if one is missing."""
    times = [session.time for session in sessions if session.time]
    return times if len(times) == len(sessions) else []


def _segments(row: dict, volumes: dict[str, tuple[float, ...]]) -> Iterator[tuple[float, float]]:
    """Yield the volumes at both ends of the lines of a lesion; those of new and gone ones are 0."""
    ends = []
    for session, column in (
        ("previous_session_id", "previous_components"),
        ("session_id", "components"),
    ):
        numbers = [] if pd.isna(row[column]) else map(int, row[column].split("+"))
        ends.append([volumes[row[session]][number - 1] for number in numbers] or [0.0])
    yield from product(*ends)


def _draw_sessions(axes: "Axes", sessions: Sequence[LesionSession], places: dict[str, float]) -> None:
    """Draw the volume of each session with its interval, and label the horizontal axis."""
    for session in sessions:
        x = places[session.session]
        axes.plot(x, session.volume_ml, "o", color="black", markersize=5)
        if session.interval_ml:
            label = f"{VOLUME_COVERAGE}% interval"
            axes.vlines(x, *session.interval_ml, color="black", linewidth=1.2, label=label)
    names = [plots.plain(session.session, 14) for session in sessions]
    if _times(sessions):
        names = [f"{name}\n{place:.0f} d" for name, place in zip(names, places.values(), strict=True)]
    axes.set_xticks(list(places.values()), names)
    axes.set_xlabel("Session, days since the first session" if _times(sessions) else "Session")
