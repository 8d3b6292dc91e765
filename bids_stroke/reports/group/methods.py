"""Sentences of the group level for the methods text (:mod:`bids_stroke.reports.methods`)."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from bids_stroke.cohort.coding import NUMERIC
from bids_stroke.cohort.outcome import Analysis
from bids_stroke.qc.agreement import agreement
from bids_stroke.qc.outliers import LIMIT, MIN_SESSIONS
from bids_stroke.qc.ratings import REJECT, CohortRatings
from bids_stroke.settings import Settings
from bids_stroke.spatial.templates import TEMPLATE

#: Scores of an evaluation that follow a publication, by column.
_SCORES = {
    "dice": "Dice coefficient [@dice]",
    "hd_mm": "Hausdorff distance",
    "assd_mm": "average symmetric surface distance",
    "max_dice": "maximum Dice coefficient over thresholds [@tomita]",
    "er_lv": "error of the lesion volume (ER LV) [@mohapatra]",
    "er_ll": "error of the weighted tract load (ER LL) [@mohapatra]",
    "f1_anima": "lesion-wise F1 of Anima [@anima]",
    "f1_10percent": "lesion-wise F1 with an overlap of 10% [@meddahi2024]",
    "f1_atlas": "lesion-wise F1 of the ATLAS v2.0 challenge [@atlas2]",
    "f1_isles": "lesion-wise F1 of ISLES 2022 [@isles2022]",
    "pq": "panoptic quality [@panoptic]",
}


def describe_cohort(
    table: pd.DataFrame,
    tracts: Sequence[str],
    rated: CohortRatings | None = None,
    agreement: pd.DataFrame | None = None,
) -> str:
    """Describe the overlap map, the load maps, the outliers, the ratings and the corrections.

    Parameters
    ----------
    table : pandas.DataFrame
        Group table from :func:`bids_stroke.cohort.table.collect`.
    tracts : sequence of str
        Names of the tracts with a map of the mean load.
    rated : CohortRatings, optional
        Visual ratings.
    agreement : pandas.DataFrame, optional
        Agreement of the model with corrected masks, a row for each of them.
    """
    text = (
        f"The lesion-overlap map counts the lesions of the cohort (sessions: {len(table)}) in each "
        f"voxel of {TEMPLATE} [@mni2009] (from Nilearn [@nilearn]); it was computed with bids_stroke "
        "[@bids_stroke]."
    )
    if tracts:
        text += (
            " Maps of the mean raw load [@zhu] multiply the share of lesioned sessions by the "
            f"probability of the {', '.join(tracts)}."
        )
    if "reference" in table and table["reference"].value_counts(dropna=False).max() >= MIN_SESSIONS:
        text += (
            f" Outliers in image quality and lesion volume have a robust z-score above {LIMIT:g} "
            "[@outliers]."
        )
    if agreement is not None:
        dice = agreement["dice"]
        text += (
            f" Raters corrected the lesion masks (sessions: {len(agreement)}); the Dice coefficient "
            f"[@dice] of the masks of the model with the corrected masks was {dice.median():.2f} "
            f"(median, range {dice.min():.2f} to {dice.max():.2f})."
        )
    return f"{text} {_describe_ratings(rated)}" if rated else text


def _describe_ratings(rated: CohortRatings) -> str:
    """Describe the visual ratings and the agreement of the raters."""
    rejected = int((rated.merged["rating"] == REJECT).sum())
    text = f"Sessions were rated visually (sessions: {len(rated.merged)}, rejected: {rejected})"
    result = agreement(rated.verdicts)
    if result is None or np.isnan(result.kappa):
        return f"{text}."
    reference = "cohen" if len(result.raters) == 2 else "fleiss"
    return (
        f"{text} by {len(result.raters)} raters ({result.name} [@{reference}]: {result.kappa:.2f}, 95% "
        f"percentile bootstrap interval [@bootstrap] {result.low:.2f} to {result.high:.2f}, sessions: "
        f"{result.sessions})."
    )


def describe_evaluation(rows: pd.DataFrame) -> str:
    """Describe the comparison with manual masks.

    Parameters
    ----------
    rows : pandas.DataFrame
        Scores of each pair, from :func:`bids_stroke.evaluation.run.evaluate`.
    """
    compared = rows[rows["tp"].notna()]
    scores = [text for column, text in _SCORES.items() if compared[column].notna().any()]
    text = f"Lesion masks were compared with manual masks (pairs: {len(compared)})"
    if not scores:
        return f"{text}."
    text += (
        f" by {', '.join(scores)}, and by the Dice coefficient of pooled voxels (microDSC) [@tomita]. "
        "Means have 95% percentile bootstrap intervals over independent units [@bootstrap]."
    )
    if len(compared) > 1:
        text += " Agreement of lesion volumes and loads is given by limits of agreement [@blandaltman]."
    if compared["true_category"].notna().any():
        text += " Agreement of load categories is given by weighted kappa [@kappa]."
    return text


def describe_outcomes(analyses: Sequence[Analysis], settings: Settings) -> str:
    """Describe the analyses of outcomes and their limits.

    Parameters
    ----------
    analyses : sequence of Analysis
    settings : Settings
    """
    outcomes = ", ".join(
        f"{analysis.outcome.name} ({analysis.outcome.kind}, n = {len(analysis.outcome.values)})"
        for analysis in analyses
    )
    names = dict.fromkeys(str(name) for analysis in analyses for name in analysis.covariates)
    covariates = ", ".join(names)
    text = f"Outcomes were {outcomes}; participants without complete data were excluded"
    text += f", and covariates were {covariates}. " if covariates else ". "
    text += (
        "Lesion volume, ipsilesional tract loads (for bilateral lesions, the larger side) and the "
        "lesioned share of regions were related to each outcome by Spearman and Pearson correlations "
        "with 95% percentile bootstrap intervals [@bootstrap] and by partial correlations given the "
        "logarithm of the lesion volume and the covariates, with p values corrected by the method of "
        "Holm [@holm]"
    )
    if {analysis.outcome.kind for analysis in analyses} - {NUMERIC}:
        text += (
            "; ordinal and two-valued outcomes by proportional-odds and logistic models with R² of "
            "Nagelkerke [@nagelkerke]"
        )
    text += (
        " (statsmodels [@statsmodels]). The gain of each measure over the lesion volume was "
        "cross-validated. "
    )
    return text + _describe_tests(analyses, settings)


def _describe_tests(analyses: Sequence[Analysis], settings: Settings) -> str:
    """Describe the permutation tests and the prediction, and the limits of the analyses."""
    mapped = [analysis for analysis in analyses if analysis.symptom_map]
    text = (
        "Voxel-wise lesion-symptom maps [@bates] at 2 mm, and region-wise" if mapped else "Region-wise"
    )
    text += (
        " and tract-wise tests, are linear regressions of the outcome given the lesion volume, its "
        "logarithm and the covariates, with family-wise correction by the maximum t of "
        f"{settings.permutations} permutations of Freedman and Lane [@freedmanlane; @winkler]"
    )
    if settings.worse:
        text += f", one-sided for {settings.worse} outcomes with a lesion"
    if mapped:
        if settings.tfce:
            text += " and with threshold-free cluster enhancement [@tfce] of Nilearn [@nilearn]"
        overlaps = " or ".join(map(str, sorted({analysis.min_overlap for analysis in mapped})))
        text += f"; voxels lesioned in at least {overlaps} participants were tested"
    if any(analysis.prediction for analysis in analyses):
        text += (
            ". The outcome was predicted from the lesion map, divided by its norm [@dtlvc], by ridge "
            "regression with nested cross-validation (scikit-learn [@sklearn])"
        )
    if settings.flip_to:
        text += (
            f". For the map and the prediction, lesions were mirrored to the {settings.flip_to} side"
        )
    return text + (
        ". Voxels that are often damaged together cannot be separated, which biases maps along "
        "vascular territories [@mah]; scores of the acute phase change during recovery; and the "
        "associations are not evidence of causes."
    )
