"""Tables of the analyses of outcomes: a summary, and the data that they are computed from."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from nibabel.affines import apply_affine

from bids_stroke.settings import Settings
from bids_stroke.spatial.templates import TEMPLATE

from . import association
from .lesion_matrix import SPACING_MM, LesionMatrix
from .measures import Measure
from .outcome import Analysis
from .permutation import SEED, directed
from .symptom_maps import ALPHA

#: The columns of ``group_outcome_summary.tsv``.
SUMMARY_COLUMNS: dict[str, dict[str, object]] = {
    "outcome": {"Description": "Column of the outcome"},
    "file_label": {"Description": "Value of the desc- entity of the maps"},
    "source": {"Description": "Table with the outcome"},
    "kind": association.COLUMNS["kind"],
    "levels": {
        "Description": "Values of an ordinal or two-valued outcome, joined by +; texts and two values "
        "are coded as 0, 1, ... in this order"
    },
    "n": {"Description": "Number of participants with complete data"},
    "covariates": {"Description": "Coded covariates, joined by +"},
    "volume": {"Description": "Column of group_lesion.tsv with the lesion volume"},
    "worse": {"Description": "Values of the outcome that are worse; n/a for tests in both directions"},
    "flipped_to": {"Description": "Side to which lesions of the other side are mirrored in the maps"},
    "permutations": {"Description": "Number of permutations"},
    "seed": {"Description": "Seed of the permutations"},
    "min_overlap": {
        "Description": "Smallest number of participants with and without a lesion in a tested voxel"
    },
    "n_voxels": {"Description": f"Number of tested voxels of {SPACING_MM} mm"},
    "critical_t": {
        "Description": "t values that exceed it in a tested direction have a corrected p value of at "
        f"most {ALPHA:g}; n/a for too few permutations"
    },
    "n_significant": {"Description": f"Number of voxels with a corrected p value up to {ALPHA:g}"},
    "peak_t": {"Description": "t value with the smallest corrected p value"},
    "peak_p": {"Description": "Smallest corrected p value"},
    **{
        f"peak_{axis}": {"Description": f"{axis} coordinate of this voxel in {TEMPLATE}", "Units": "mm"}
        for axis in "xyz"
    },
    "n_significant_tfce": {
        "Description": f"Number of voxels with a corrected p value of the TFCE scores up to {ALPHA:g}"
    },
    "cv_r2_volume": {
        "Description": "Cross-validated R² of a linear regression on the lesion volume, its logarithm "
        "and the covariates"
    },
    "cv_r2_map": {
        "Description": "Cross-validated R² with the lesion map added (ridge regression, nested "
        "cross-validation)"
    },
    "cv_gain": {"Description": "cv_r2_map - cv_r2_volume"},
    "cv_gain_low": {"Description": "Lower limit of the 95% bootstrap interval of cv_gain"},
    "cv_gain_high": {"Description": "Upper limit of the 95% bootstrap interval of cv_gain"},
}


def summary_row(
    label: str, analysis: Analysis, settings: Settings, matrix: LesionMatrix
) -> dict[str, object]:
    """Return the row of an outcome in the summary.

    Parameters
    ----------
    label : str
        Value of the ``desc-`` entity of its maps.
    analysis : Analysis
    settings : Settings
    matrix : LesionMatrix
        Grid of the lesion-symptom map.
    """
    row: dict[str, object] = {
        "outcome": analysis.outcome.name,
        "file_label": label,
        "source": analysis.outcome.source,
        "kind": analysis.outcome.kind,
        "levels": "+".join(analysis.outcome.levels) or np.nan,
        "n": len(analysis.outcome.values),
        "covariates": "+".join(map(str, analysis.covariates)) or np.nan,
        "volume": analysis.measures[0].name,
        "worse": settings.worse,
        "flipped_to": settings.flip_to,
        "permutations": settings.permutations,
        "seed": SEED,
        "min_overlap": analysis.min_overlap,
    }
    if symptom_map := analysis.symptom_map:
        p = symptom_map.inference.p
        scores = directed(symptom_map.regression.t, symptom_map.direction)
        peak = int(np.lexsort((-scores, p))[0])
        position = np.unravel_index(symptom_map.voxels[peak], matrix.grid.shape)
        row |= {
            "n_voxels": len(p),
            "critical_t": symptom_map.critical,
            "n_significant": int((p <= ALPHA).sum()),
            "peak_t": symptom_map.regression.t[peak],
            "peak_p": p[peak],
            **dict(
                zip(
                    ("peak_x", "peak_y", "peak_z"),
                    apply_affine(matrix.grid.affine, position),
                    strict=True,
                )
            ),
        }
        if symptom_map.enhanced:
            row["n_significant_tfce"] = int((symptom_map.enhanced.p <= ALPHA).sum())
    if prediction := analysis.prediction:
        row |= {
            "cv_r2_volume": prediction.r2_volume,
            "cv_r2_map": prediction.r2_map,
            "cv_gain": prediction.gain,
            "cv_gain_low": prediction.gain_low,
            "cv_gain_high": prediction.gain_high,
        }
    return row


def data_table(
    analyses: Sequence[Analysis], rows: pd.DataFrame
) -> tuple[pd.DataFrame, dict[str, dict[str, object]]]:
    """Return the coded outcomes, covariates and measures of each participant.

    Parameters
    ----------
    analyses : sequence of Analysis
    rows : pandas.DataFrame
        Rows of the group table, one for each participant.

    Returns
    -------
    tuple of (pandas.DataFrame, dict)
        The table, and the descriptions of its columns.
    """
    table = rows[["participant_id", "session_id"]].set_index("participant_id")
    descriptions: dict[str, dict[str, object]] = {
        "participant_id": {"Description": "Participant"},
        "session_id": {"Description": "Session"},
    }
    for analysis in analyses:
        values = analysis.outcome.values
        columns = {f"outcome_{analysis.outcome.name}": (values, "Coded outcome")}
        columns |= {
            f"covariate_{name}": (analysis.covariates[name], "Coded covariate")
            for name in analysis.covariates
        }
        columns |= {
            _column(measure): (
                pd.Series(measure.values, values.index),
                f"{measure.title}; n/a for participants that are not analyzed",
            )
            for measure in analysis.measures
        }
        for name, (column, description) in columns.items():
            table[name] = column.combine_first(table[name]) if name in table else column
            descriptions[name] = {"Description": description}
    return table.reset_index(), descriptions


def _column(measure: Measure) -> str:
    """Return the column of a measure; several atlases may have regions with the same name."""
    return f"{measure.atlas}_{measure.name}" if measure.atlas else measure.name
