"""Analysis of an outcome: associations, permutation tests, lesion-symptom map and prediction."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bids_stroke.errors import DatasetError
from bids_stroke.utils.text import enumeration

from .association import MIN_PARTICIPANTS, associations
from .coding import NUMERIC, Column, Outcome, code_covariate, code_outcome
from .lesion_matrix import LesionMatrix
from .measures import Measure, log_volume
from .multivariate import Prediction, predict_outcome
from .phenotypes import Tables
from .regressions import FOLDS, r_squared
from .symptom_maps import Permutations, SymptomMap, default_min_overlap, fit_measures, fit_voxels

#: Signs of the effects of lesions by the values of an outcome that are worse.
DIRECTIONS = {None: 0, "higher": 1, "lower": -1}
#: Largest share of the variance of an outcome that the lesion volume and the covariates may explain.
MAX_EXPLAINED = 1 - 1e-9


@dataclass(frozen=True)
class Participants:
    """Lesions of the participants, one session each.

    Attributes
    ----------
    sessions : dict of str to str
        Session of each participant; empty text without ``ses-``.
    measures : sequence of Measure
        Measures in the order of the participants; the volume first.
    matrix : LesionMatrix
        Lesions in the order of the participants.
    """

    sessions: Mapping[str, str]
    measures: Sequence[Measure]
    matrix: LesionMatrix


@dataclass(frozen=True)
class Analysis:
    """Results for one outcome.

    Attributes
    ----------
    outcome : Outcome
        Outcome of the participants with complete data.
    covariates : pandas.DataFrame
        Coded covariates of these participants.
    measures : sequence of Measure
        Measures of these participants.
    associations, tests : pandas.DataFrame
        See :func:`bids_stroke.cohort.association.associations` and
        :func:`bids_stroke.cohort.symptom_maps.fit_measures`.
    symptom_map : SymptomMap or None
        None if no voxel can be tested; ``problems`` states why.
    prediction : Prediction or None
        None for fewer than two participants in each fold.
    min_overlap : int
    notices : sequence of str
        Sentences for the user.
    problems : sequence of str
        Reasons why a result does not exist, one sentence each.
    """

    outcome: Outcome
    covariates: pd.DataFrame
    measures: Sequence[Measure]
    associations: pd.DataFrame
    tests: pd.DataFrame
    symptom_map: SymptomMap | None
    prediction: Prediction | None
    min_overlap: int
    notices: Sequence[str]
    problems: Sequence[str]


def analyze(
    participants: Participants,
    tables: Tables,
    name: str,
    covariates: Sequence[str],
    options: Permutations,
) -> Analysis:
    """Relate the lesions of a cohort to an outcome.

    Parameters
    ----------
    participants : Participants
    tables : Tables
        Tables with the outcome and the covariates.
    name : str
        Column of the outcome.
    covariates : sequence of str
        Columns of the covariates.
    options : Permutations
        With ``min_overlap`` 0, the default is used.

    Raises
    ------
    DatasetError
        If a column cannot be used, or too few participants have complete data.
    """
    column, *others = map(tables.column, [name, *dict.fromkeys(covariates)])
    volume = pd.Series(participants.measures[0].values, column.texts.index)
    data = pd.concat([column.texts, *(other.texts for other in others), volume], axis=1)
    complete = data.notna().all(axis=1).to_numpy()
    notices = _notices_of_missing([column, *others], complete)
    # Participants without complete data may have further values, which are not coded.
    column, *others = (replace(item, texts=item.texts[complete]) for item in (column, *others))
    design = pd.concat([pd.DataFrame(index=column.texts.index), *map(code_covariate, others)], axis=1)
    _check([column, *others], design, volume[complete], len(complete))
    outcome = code_outcome(column)
    selected = _select(participants, complete)
    values = outcome.values.to_numpy(float)
    volumes = selected.measures[0].values
    nuisance = np.column_stack([volumes, log_volume(volumes), design])
    _check_explained(outcome, nuisance)
    if not options.min_overlap:
        options = replace(options, min_overlap=default_min_overlap(len(values)))
    symptom_map, problems = None, list[str]()
    try:
        symptom_map = fit_voxels(selected.matrix, values, nuisance, options)
    except DatasetError as error:
        problems.append(f"{name}: {error}")
    is_predicted = len(values) >= 2 * FOLDS and selected.matrix.lesions.nnz > 0
    if not is_predicted:
        notices.append(
            f"{name} is not predicted from the lesion map, because this needs {2 * FOLDS} participants "
            "with complete data, and lesions."
        )
    return Analysis(
        outcome=outcome,
        covariates=design,
        measures=selected.measures,
        associations=associations(
            outcome, values, selected.measures, design.to_numpy(float), log_volume(volumes)
        ),
        tests=fit_measures(name, values, selected.measures, nuisance, options),
        symptom_map=symptom_map,
        prediction=predict_outcome(selected.matrix, values, nuisance) if is_predicted else None,
        min_overlap=options.min_overlap,
        notices=notices,
        problems=problems,
    )


def _select(participants: Participants, selected: NDArray[np.bool_]) -> Participants:
    """Return some of the participants."""
    sessions = dict(
        item for item, keep in zip(participants.sessions.items(), selected, strict=True) if keep
    )
    measures = [replace(measure, values=measure.values[selected]) for measure in participants.measures]
    lesions = participants.matrix.lesions.tocsr()[selected].tocsc()
    return Participants(sessions, measures, LesionMatrix(lesions, participants.matrix.grid))


def _notices_of_missing(columns: Sequence[Column], complete: NDArray[np.bool_]) -> list[str]:
    """Name the participants without complete data."""
    missing = columns[0].texts.index[~complete]
    if not len(missing):
        return []
    return [
        f"{columns[0].name}: {len(missing)} of {len(complete)} participants lack a value of "
        f"{_names(columns)} or of the lesion volume and are excluded: {enumeration(list(missing))}."
    ]


def _names(columns: Sequence[Column]) -> str:
    return ", ".join(column.name for column in columns)


def _check(
    columns: Sequence[Column], design: pd.DataFrame, volume: pd.Series, participants: int
) -> None:
    """Refuse too few participants, and covariates or volumes without variance."""
    number, required = len(volume), MIN_PARTICIPANTS + design.shape[1]
    if number < required:
        raise DatasetError(
            f"Complete data of {_names(columns)} exist for {number} of {participants} participants, "
            f"but {required} are needed; add participants, or use fewer covariates."
        )
    checked = {"lesion volume": volume} | {f"covariate {name}": design[name] for name in design}
    for name, values in checked.items():
        if values.nunique() < 2:
            raise DatasetError(
                f"The {name} is the same for all {number} participants with complete data; choose "
                "another column."
            )


def _check_explained(outcome: Outcome, nuisance: NDArray[np.float64]) -> None:
    """Refuse an outcome without variance given the lesion volume and the covariates."""
    if r_squared(outcome.values.to_numpy(float), nuisance, NUMERIC) > MAX_EXPLAINED:
        raise DatasetError(
            f"The outcome {outcome.name} is a combination of the lesion volume and the covariates; use "
            "another outcome, or other covariates."
        )
