"""Outcomes in the group report: plots, tables and lesion-symptom maps."""

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd
from markupsafe import Markup

from bids_stroke.cohort.coding import BINARY
from bids_stroke.cohort.measures import Measure
from bids_stroke.cohort.outcome import Analysis
from bids_stroke.cohort.symptom_maps import ALPHA, SymptomMap
from bids_stroke.reports.columns import cell
from bids_stroke.reports.figures import svg
from bids_stroke.reports.figures.outcome import drawn_points, outcome_plots
from bids_stroke.reports.figures.symptom_map import draw_symptom_map
from bids_stroke.reports.viewer.page import viewer_name
from bids_stroke.reports.viewer.symptom_map import write_symptom_viewer
from bids_stroke.spatial import image
from bids_stroke.spatial.templates import template
from bids_stroke.utils.files import PathLike
from bids_stroke.utils.text import enumeration

MAX_REGIONS = 30  # regions in the tables of the page
LINES = "Lines: linear regression with its 95% confidence interval."
BOXES = "Boxes: median and quartiles."


@dataclass(frozen=True)
class OutcomeSection:
    """Section of an outcome.

    Attributes
    ----------
    name : str
    label : str
        Value of the ``desc-`` entity of its files.
    sentences : sequence of str
        Participants, covariates and results.
    plots : Markup
        Outcome against measures.
    legend : str
        Sentence on the lines or boxes of the plots.
    associations, tests : pandas.DataFrame
        Formatted cells.
    shortened : int
        Number of regions that the tables leave out.
    figure : Markup, optional
        Lesion-symptom map.
    viewer : str, optional
        Address of its interactive viewer.
    """

    name: str
    label: str
    sentences: Sequence[str]
    plots: Markup
    legend: str
    associations: pd.DataFrame
    tests: pd.DataFrame
    shortened: int
    figure: Markup | None
    viewer: str | None


@dataclass(frozen=True)
class MapFiles:
    """Maps of an outcome: t values, corrected p values, and lesion overlap."""

    t: Path
    p: Path
    count: Path


def outcome_section(
    label: str,
    analysis: Analysis,
    maps: MapFiles,
    out_dir: PathLike,
    links: Mapping[str, str],
    flagged: Container[str] = (),
) -> OutcomeSection:
    """Create the section of an outcome, and write the viewer of its lesion-symptom map.

    Parameters
    ----------
    label : str
        Value of the ``desc-`` entity of the files.
    analysis : Analysis
    maps : MapFiles
        Files of the maps, which exist if ``analysis`` has a map.
    out_dir : path
        Folder of the derivatives.
    links : mapping of str to str
        Report addresses by participant.
    flagged : container of str
        Participants whose session failed QC checks.
    """
    figure, viewer = None, None
    if symptom_map := analysis.symptom_map:
        viewer = viewer_name(f"group_desc-{label}")
        figure = _figure(analysis.outcome.name, maps)
        title = f"Lesion-symptom map: {analysis.outcome.name}"
        critical = symptom_map.inference.critical(ALPHA)
        t, count = image.load(maps.t), image.load(maps.count)
        write_symptom_viewer(
            title,
            t,
            count,
            critical,
            symptom_map.direction,
            template().t1w,
            Path(out_dir) / viewer,
        )
    regions = [measure for measure in analysis.measures if measure.kind == "region"]
    return OutcomeSection(
        name=analysis.outcome.name,
        label=label,
        sentences=[*_sentences(analysis), *_flagged_sentence(analysis, flagged)],
        plots=Markup(outcome_plots(analysis.outcome, _plotted(analysis), links, flagged)),
        legend=BOXES if analysis.outcome.kind == BINARY else LINES,
        associations=_association_table(analysis),
        tests=_test_table(analysis),
        shortened=max(len(regions) - MAX_REGIONS, 0),
        figure=figure,
        viewer=viewer,
    )


def _figure(name: str, maps: MapFiles) -> Markup:
    with TemporaryDirectory() as folder:
        path = Path(folder, "map.svg")
        draw_symptom_map(image.load(maps.t), image.load(maps.p), ALPHA, template().t1w, name, path)
        return svg.inline(path)


def _plotted(analysis: Analysis) -> list[Measure]:
    """Return the measures with a plot: the volume, and two loads of the first tract, if they were
    related to the outcome."""
    related = analysis.associations["spearman"].notna()
    volume, *_ = analysis.measures
    tracts = [
        measure
        for measure, is_related in zip(analysis.measures, related, strict=True)
        if measure.kind == "tract" and is_related
    ]
    return [volume, *(measure for measure in tracts[:3] if "raw_load" not in measure.name)]


def _sentences(analysis: Analysis) -> list[str]:
    """Describe the data and the results of an outcome."""
    outcome = analysis.outcome
    covariates = ", ".join(map(str, analysis.covariates)) or "none"
    coding = f" ({', '.join(outcome.levels)})" if outcome.levels else ""
    sentences = [
        f"Participants with complete data: {len(outcome.values)}. Outcome: {outcome.kind}{coding}, "
        f"from {outcome.source}. Covariates: {covariates}.",
    ]
    if len(drawn_points(len(outcome.values))) < len(outcome.values):
        number = len(drawn_points(len(outcome.values)))
        sentences.append(f"The plots show {number} participants, chosen at random.")
    if prediction := analysis.prediction:
        low, high = prediction.gain_low, prediction.gain_high
        sentences.append(
            "Prediction of held-out participants: cross-validated R² "
            f"{prediction.r2_volume:.3f} from the lesion volume and the covariates, "
            f"{prediction.r2_map:.3f} with the lesion map added; difference {prediction.gain:+.3f} "
            f"(95% interval {low:.3f} to {high:.3f}): {_conclusion(low, high)}."
        )
    if symptom_map := analysis.symptom_map:
        sentences.append(_map_sentence(symptom_map, analysis.min_overlap))
    return sentences


def _flagged_sentence(analysis: Analysis, flagged: Container[str]) -> list[str]:
    """Name the participants of an outcome whose session failed QC checks."""
    names = [str(name) for name in analysis.outcome.values.index if name in flagged]
    if not names:
        return []
    return [f"Participants whose session failed QC checks (amber rings): {enumeration(names)}."]


def _conclusion(low: float, high: float) -> str:
    if low > 0:
        return "the map improves the prediction"
    return "the map worsens the prediction" if high < 0 else "no difference shown"


def _map_sentence(symptom_map: SymptomMap, min_overlap: int) -> str:
    """Describe the voxel-wise tests."""
    p = symptom_map.inference.p
    direction = {
        0: "in both directions",
        1: "for higher outcomes with a lesion",
        -1: "for lower outcomes with a lesion",
    }
    power = 100 * np.nanmedian(symptom_map.power)
    text = (
        f"Lesion-symptom map: {len(p)} voxels were tested {direction[symptom_map.direction]}, given "
        "the lesion volume, its logarithm and the covariates. Each of them is lesioned in at least "
        f"{min_overlap} participants, and intact in at least {min_overlap}. "
        f"{np.count_nonzero(p <= ALPHA)} voxels have a corrected p value of at most {ALPHA:g}; the "
        f"smallest corrected p value is {p.min():.3g}. The median power for a difference of half a "
        f"residual standard deviation is {power:.0f}%."
    )
    if symptom_map.enhanced:
        number = np.count_nonzero(symptom_map.enhanced.p <= ALPHA)
        text += f" With TFCE, {number} voxels have such a corrected p value."
    return text


def _title(measure: Measure) -> str:
    return measure.title if measure.kind != "region" else f"{measure.name} (share lesioned)"


def _association_table(analysis: Analysis) -> pd.DataFrame:
    """Format the associations of all measures, of regions the first :data:`MAX_REGIONS`."""
    rows = []
    for position, measure in _listed(analysis.measures):
        row = analysis.associations.iloc[position]
        cells = {
            "measure": _title(measure),
            "n": f"{row.n} ({row.n_nonzero} > 0)",
            "Spearman": _interval(row, "spearman"),
            "p (Holm)": _p(row.spearman_p_holm),
            "Pearson": _interval(row, "pearson"),
            "partial r": cell(row.partial_r),
            "partial p (Holm)": _p(row.partial_p_holm),
            "R²": f"{cell(row.r2_baseline)} → {cell(row.r2)}",
            "cross-validated gain": _interval(row, "cv_gain"),
        }
        if analysis.outcome.kind == BINARY:
            cells["area under the ROC curve"] = _interval(row, "auc")
        rows.append(cells)
    return pd.DataFrame(rows)


def _listed(measures: Sequence[Measure]) -> list[tuple[int, Measure]]:
    """Return the measures of the page with their positions."""
    listed, regions = [], 0
    for position, measure in enumerate(measures):
        regions += measure.kind == "region"
        if measure.kind != "region" or regions <= MAX_REGIONS:
            listed.append((position, measure))
    return listed


def _interval(row: pd.Series, name: str) -> str:
    """Format an estimate with its interval."""
    if not np.isfinite(row[name]):
        return "n/a"
    return f"{row[name]:.2f} ({row[f'{name}_low']:.2f} to {row[f'{name}_high']:.2f})"


def _p(value: float) -> str:
    """Format a p value."""
    if not np.isfinite(value):
        return "n/a"
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def _test_table(analysis: Analysis) -> pd.DataFrame:
    """Format the tests of all tracts, and of the first :data:`MAX_REGIONS` regions."""
    titles = {measure.name: _title(measure) for measure in analysis.measures}
    tracts = sum(measure.kind == "tract" for measure in analysis.measures)
    rows = [
        {
            "family": row["family"],
            "measure": titles[row["measure"]],
            "n > 0": str(row["n_nonzero"]),
            "effect": cell(row["effect"]),
            "t": cell(row["t"]),
            "p": _p(row["p"]),
            "corrected p": _p(row["p_fwe"]),
        }
        for row in analysis.tests[: tracts + MAX_REGIONS].to_dict("records")
    ]
    columns = ["family", "measure", "n > 0", "effect", "t", "p", "corrected p"]
    return pd.DataFrame(rows, columns=columns)
