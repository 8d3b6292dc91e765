"""Evaluation of all pairs of a predicted and a manual mask.

Masks are matched by participant and session, or by file name where a folder is no BIDS dataset, and
compared on the grid of the true mask. A pair that cannot be compared has a sentence that states why,
and the others are compared all the same.
"""

from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from typing import NamedTuple

import pandas as pd

from bids_stroke.compute.threads import use_one_thread
from bids_stroke.utils.files import PathLike

from .columns import COLUMNS, KEYS, LESIONS, SCORES
from .measurement import measure
from .pairs import match_masks
from .units import add_units

#: Columns of numbers, of which a whole column may be missing.
_NUMERIC = (
    *SCORES,
    "true_volume_ml",
    "predicted_volume_ml",
    "true_load_ml",
    "predicted_load_ml",
)


class Evaluation(NamedTuple):
    """Tables of an evaluation: one row for each pair (:data:`bids_stroke.evaluation.columns.COLUMNS`),
    and one for each lesion (:data:`bids_stroke.evaluation.columns.KEYS`, then
    :data:`bids_stroke.evaluation.columns.LESIONS`)."""

    rows: pd.DataFrame
    lesions: pd.DataFrame


def evaluate(
    predictions: Mapping[str, PathLike],
    truth: PathLike,
    jobs: int = 1,
    wanted: Callable[[str], bool] = lambda _: True,
    orientation: str | None = None,
) -> Evaluation:
    """Compare the predictions of models with true masks.

    Parameters
    ----------
    predictions : mapping of str to path
        Folder of each model.
    truth : path
        Folder of the true masks.
    jobs : int
        Pairs at a time.
    wanted : callable
        Whether a session is compared, by its name.
    orientation : {"RAS", "LAS"}, optional
        That of masks whose headers state none; without it they are not compared.

    Raises
    ------
    DatasetError
        If there is no true mask.
    """
    matched = match_masks(predictions, truth, wanted, orientation)
    measured = partial(measure, orientation=orientation)
    if jobs == 1 or len(matched) <= 1:
        measurements = list(map(measured, matched))
    else:
        workers = min(jobs, len(matched))
        with ProcessPoolExecutor(workers, get_context("spawn"), use_one_thread) as pool:
            measurements = list(pool.map(measured, matched))
    rows = pd.DataFrame([measurement.row for measurement in measurements], columns=list(COLUMNS))
    rows = rows.astype(dict.fromkeys(_NUMERIC, float))
    lesions = [
        {key: measurement.row[key] for key in KEYS} | lesion
        for measurement in measurements
        for lesion in measurement.lesions
    ]
    return Evaluation(add_units(rows), pd.DataFrame(lesions, columns=[*KEYS, *LESIONS]))


def remarks_notice(rows: pd.DataFrame) -> str | None:
    """A sentence if pairs were compared with remarks: choices of masks, assumptions, missing scores."""
    remarked = int((rows["tp"].notna() & rows["reason"].notna()).sum())
    if not remarked:
        return None
    return (
        f"{remarked} pairs were compared with remarks on choices of masks or on missing scores: see "
        "reason in evaluation.tsv."
    )
