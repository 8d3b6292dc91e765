"""Evaluation of all pairs of a predicted and a manual mask.

Masks are matched by participant and session, or by file name if a folder is not a BIDS dataset, and
compared on the grid of the true mask. A pair that cannot be compared has a reason instead of scores; it
does not affect the other pairs.
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
from .metrics import Confusion
from .pairs import match_masks
from .units import add_units

#: Numeric columns, which may be missing completely.
_NUMERIC = (
    *SCORES,
    "true_volume_ml",
    "predicted_volume_ml",
    "true_load_ml",
    "predicted_load_ml",
)


class Evaluation(NamedTuple):
    """Tables of an evaluation.

    ``rows`` has a row for each pair (:data:`bids_stroke.evaluation.columns.COLUMNS`), ``lesions`` a row
    for each lesion (:data:`bids_stroke.evaluation.columns.KEYS`, then
    :data:`bids_stroke.evaluation.columns.LESIONS`).
    """

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
        Prediction folder of each model.
    truth : path
        Folder of the true masks.
    jobs : int
        Number of pairs compared in parallel.
    wanted : callable
        Called with a session name; returns whether the session is compared.
    orientation : {"RAS", "LAS"}, optional
        Orientation of masks whose header does not define one; by default, they are not compared.

    Raises
    ------
    DatasetError
        If there are no true masks.
    """
    pairs = match_masks(predictions, truth, wanted, orientation)
    measure_pair = partial(measure, orientation=orientation)
    if jobs == 1 or len(pairs) <= 1:
        measurements = list(map(measure_pair, pairs))
    else:
        workers = min(jobs, len(pairs))
        with ProcessPoolExecutor(workers, get_context("spawn"), use_one_thread) as pool:
            measurements = list(pool.map(measure_pair, pairs))
    rows = pd.DataFrame([measurement.row for measurement in measurements], columns=list(COLUMNS))
    rows = rows.astype(dict.fromkeys(_NUMERIC, float) | dict.fromkeys(Confusion._fields, "Int64"))
    lesions = [
        {key: measurement.row[key] for key in KEYS} | lesion
        for measurement in measurements
        for lesion in measurement.lesions
    ]
    return Evaluation(add_units(rows), pd.DataFrame(lesions, columns=[*KEYS, *LESIONS]))


def remarks_notice(rows: pd.DataFrame) -> str | None:
    """Return a notice if there are remarks on selected masks, assumptions or missing scores."""
    count = int((rows["tp"].notna() & rows["reason"].notna()).sum())
    if not count:
        return None
    return (
        f"{count} pairs have remarks on the selection of masks or on missing scores: see the column "
        "reason in evaluation.tsv."
    )
