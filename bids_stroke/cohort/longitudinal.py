"""Table of the changes of a lesion between consecutive sessions of a participant."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import nibabel as nib
import numpy as np
import pandas as pd

from bids_stroke.bids.names import entity, natural_key, split_session_name
from bids_stroke.bids.record import Record
from bids_stroke.errors import DatasetError
from bids_stroke.lesion.changes import CLASSES, LesionChange
from bids_stroke.lesion.components import components
from bids_stroke.spatial import image
from bids_stroke.utils.files import PathLike

from .acquisition_times import parse_time
from .columns import Description
from .table import Row, read_rows

#: Coverage (percent) of the volume intervals, and of the interval of the change. If each volume is
#: outside of its interval in at most 5% of sessions, one of two is in at most 10%.
VOLUME_COVERAGE, CHANGE_COVERAGE = 95, 90
#: Number of the row of the entire lesion.
ALL = "all"
_CHANGE = "change_{}" + f"{CHANGE_COVERAGE}_ml"
#: Columns of the table.
COLUMNS: dict[str, Description] = {
    "previous_session_id": {"Description": "Earlier session"},
    "session_id": {"Description": "Later session"},
    "days": {"Description": "Days between the sessions, by acq_time in sessions.tsv", "Units": "d"},
    "lesion": {"Description": "Number of the lesion in the pair of sessions; 'all' is the entire mask"},
    "class": {"Description": "Class of the change; n/a for the entire mask", "Levels": CLASSES},
    "previous_components": {
        "Description": "Components of the lesion in the table of the earlier session, joined by +"
    },
    "components": {
        "Description": "Components of the lesion in the table of the later session, joined by +"
    },
    "previous_volume_ml": {"Description": "Volume in the earlier session", "Units": "mL"},
    "volume_ml": {"Description": "Volume in the later session", "Units": "mL"},
    "change_ml": {"Description": "volume_ml minus previous_volume_ml", "Units": "mL"},
    "change_percent": {
        "Description": "change_ml in percent of previous_volume_ml; n/a for new lesions"
    },
    **{
        _CHANGE.format(end): {
            "Description": f"{limit} limit of the interval that contains the true change of at least "
            f"{CHANGE_COVERAGE}% of lesions, from the {VOLUME_COVERAGE}% intervals of both volumes; "
            "n/a for single lesions, for sessions that are not comparable, and for models without a "
            "calibration",
            "Units": "mL",
        }
        for end, limit in (("low", "Lower"), ("high", "Upper"))
    },
    "shared_ml": {
        "Description": "Volume that matching components share in the midpoint space",
        "Units": "mL",
    },
    "registration_disagreement_mm": {
        "Description": "Mean distance of brain points between the registrations in both directions; "
        "n/a for single lesions",
        "Units": "mm",
    },
    "brain_dice": {
        "Description": "Dice coefficient of the brain masks in the midpoint space; n/a for single "
        "lesions"
    },
    "comparable": {
        "Description": "Whether the masks of the sessions were made in the same way",
        "Levels": {"yes": "No difference", "no": "The column differences lists the differences"},
    },
    "differences": {
        "Description": "Differences between the sessions that affect the masks, joined by +",
        "Levels": {
            "model": "The masks come from different models, or from different weights",
            "contrasts": "The lesion was segmented or drawn on different contrasts",
            "correction": "The masks were corrected by different raters, or only one was corrected",
        },
    },
}


@dataclass(frozen=True)
class LesionSession:
    """Lesion of a session that is compared with those of other sessions.

    Attributes
    ----------
    record : Record
    drawn_on : str
        Contrast on whose grid the lesion was segmented or drawn.
    volumes_ml : tuple of float
        Volume of each component, in the order of their numbers.
    interval_ml : tuple of (float, float), optional
        Interval of the volume of the entire lesion.
    time : datetime, optional
        Acquisition time.
    """

    record: Record
    drawn_on: str
    volumes_ml: tuple[float, ...]
    interval_ml: tuple[float, float] | None = None
    time: datetime | None = None

    @property
    def session(self) -> str:
        """Session, such as ``ses-1``."""
        return split_session_name(self.record.name)[1]

    @property
    def volume_ml(self) -> float:
        """Volume of the entire lesion."""
        return sum(self.volumes_ml)


def read_session(output_dir: PathLike, record: Record, time: str | None = None) -> LesionSession:
    """Read the volumes of the components of a session from its table.

    Parameters
    ----------
    output_dir : path
    record : Record
        Record of a complete session.
    time : str, optional
        Acquisition time (ISO 8601).

    Raises
    ------
    DatasetError
        If the table cannot be read.
    """
    path = record.require(output_dir, "components")
    entire, *parts = read_rows(path)
    ends = [entire.get(f"volume_{end}{VOLUME_COVERAGE}_ml", np.nan) for end in ("low", "high")]
    interval = None if np.isnan(ends).any() else (ends[0], ends[1])
    volumes = tuple(row["volume_ml"] for row in parts)
    return LesionSession(
        record, entity(path, "space") or "", volumes, interval, parse_time(time) if time else None
    )


def read_components(output_dir: PathLike, session: LesionSession) -> nib.Nifti1Image:
    """Read the lesion mask of a session; return the numbers of its components on its grid.

    Raises
    ------
    DatasetError
        If the components are not those of the table.
    """
    record = session.record
    place = None if session.drawn_on == record.reference else session.drawn_on
    path = record.require(output_dir, "lesion_mask", place)
    # The components are numbered in RAS order.
    mask = image.conform(image.load(path))
    labels, count = components(mask.dataobj)
    if count != len(session.volumes_ml):
        raise DatasetError(
            f"{path} has {count} components, but its table has {len(session.volumes_ml)}; run the "
            "participant level again."
        )
    return image.like(labels, mask, np.int32)


def in_order(sessions: Sequence[LesionSession]) -> list[LesionSession]:
    """Sort sessions by acquisition time or, if a time is missing, by name (2 before 10)."""
    by_name = sorted(sessions, key=lambda session: natural_key(session.session))
    times = [session.time for session in by_name]
    if None in times:
        return by_name
    return sorted(by_name, key=lambda session: session.time or datetime.min)


def differences(before: LesionSession, after: LesionSession) -> list[str]:
    """List the differences between two sessions that affect their masks (column ``differences``)."""
    first, second = before.record, after.record
    contrasts = [tuple(s.record.contrasts) or (s.drawn_on,) for s in (before, after)]
    unequal = {
        "model": (first.model, first.weights_sha256) != (second.model, second.weights_sha256),
        "contrasts": contrasts[0] != contrasts[1],
        "correction": first.corrected_by != second.corrected_by,
    }
    return [name for name, is_unequal in unequal.items() if is_unequal]


@dataclass(frozen=True)
class Alignment:
    """Agreement of two registered sessions.

    Attributes
    ----------
    disagreement_mm : float
        Mean distance of brain points between the registrations in both directions.
    brain_dice : float
        Dice coefficient of the brain masks.
    """

    disagreement_mm: float
    brain_dice: float


def change_rows(
    before: LesionSession,
    after: LesionSession,
    changes: Sequence[LesionChange],
    voxel_ml: float,
    alignment: Alignment,
) -> list[Row]:
    """Build the rows of a pair of sessions: one for the entire lesion, then one for each lesion.

    Parameters
    ----------
    before, after : LesionSession
    changes : sequence of LesionChange
    voxel_ml : float
        Volume of a voxel of the space in which the components were matched.
    alignment : Alignment

    Returns
    -------
    list of dict
        Columns as in :data:`bids_stroke.cohort.longitudinal.COLUMNS`.
    """
    unequal = differences(before, after)
    pair: Row = {
        "previous_session_id": before.session,
        "session_id": after.session,
        "days": _days(before, after),
        "comparable": "no" if unequal else "yes",
        "differences": "+".join(unequal) or np.nan,
    }
    entire = {
        "lesion": ALL,
        "class": np.nan,
        "previous_components": np.nan,
        "components": np.nan,
        **_volumes(before.volume_ml, after.volume_ml),
        **_interval(before, after),
        "shared_ml": voxel_ml * sum(change.shared for change in changes),
        "registration_disagreement_mm": alignment.disagreement_mm,
        "brain_dice": alignment.brain_dice,
    }
    parts = [
        {
            "lesion": number,
            "class": change.kind,
            "previous_components": _joined(change.before),
            "components": _joined(change.after),
            **_volumes(_total(before, change.before), _total(after, change.after)),
            "shared_ml": voxel_ml * change.shared,
        }
        for number, change in enumerate(changes, 1)
    ]
    return [pair | row for row in (entire, *parts)]


def _days(before: LesionSession, after: LesionSession) -> float:
    if before.time is None or after.time is None:
        return np.nan
    return (after.time - before.time).total_seconds() / 86400


def _total(session: LesionSession, numbers: Sequence[int]) -> float:
    return sum(session.volumes_ml[number - 1] for number in numbers)


def _joined(numbers: Sequence[int]) -> str | float:
    return "+".join(map(str, numbers)) or np.nan


def _volumes(before: float, after: float) -> Row:
    return {
        "previous_volume_ml": before,
        "volume_ml": after,
        "change_ml": after - before,
        "change_percent": 100 * (after - before) / before if before else np.nan,
    }


def _interval(before: LesionSession, after: LesionSession) -> Row:
    """Return the interval of the change of the entire lesion."""
    if not (before.interval_ml and after.interval_ml) or differences(before, after):
        return {}
    return {
        _CHANGE.format("low"): after.interval_ml[0] - before.interval_ml[1],
        _CHANGE.format("high"): after.interval_ml[1] - before.interval_ml[0],
    }


def change_table(rows: Sequence[Row]) -> pd.DataFrame:
    """Return the table of rows, with all columns in order."""
    return pd.DataFrame(rows, columns=list(COLUMNS))
