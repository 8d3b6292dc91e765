"""Outcomes at the group level: analyses, and their tables and maps."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import Progress

from bids_stroke.bids import names
from bids_stroke.bids.derivatives import write_json, write_tsv
from bids_stroke.bids.names import derivative
from bids_stroke.bids.record import Record
from bids_stroke.cohort import association, long_tables, measures, outcome, phenotypes, symptom_maps
from bids_stroke.cohort.lesion_matrix import SPACING_MM, LesionMatrix, read_lesions
from bids_stroke.cohort.outcome import DIRECTIONS, Analysis, Participants
from bids_stroke.cohort.outcome_tables import SUMMARY_COLUMNS, data_table, summary_row
from bids_stroke.cohort.permutation import SEED
from bids_stroke.cohort.symptom_maps import ALPHA, POWER_EFFECT, Permutations, SymptomMap
from bids_stroke.cohort.table import first_sessions
from bids_stroke.errors import DatasetError
from bids_stroke.reports.viewer.page import viewer_name
from bids_stroke.settings import Settings
from bids_stroke.spatial import image
from bids_stroke.spatial.templates import TEMPLATE
from bids_stroke.utils.text import enumeration

#: Start of the names of all tables.
TABLES = "group_outcome"
_RESOLUTION = str(SPACING_MM)
_TESTED = "0 outside of the tested voxels"
#: Descriptions of the maps, by the ``stat-`` entity.
STATISTICS = {
    "t": "t value of the difference of the coded outcome between participants with and without a "
    f"lesion in the voxel; {_TESTED}",
    "effect": "Regression coefficient: difference of the coded outcome between participants with and "
    "without a lesion in the voxel, given the lesion volume, its logarithm and the covariates; "
    f"{_TESTED}",
    "p": "p value of the t value, corrected for the number of voxels (permutations of Freedman and "
    "Lane 1983, maximum t); 1 outside of the tested voxels",
    "power": f"Power of the test for a difference of {POWER_EFFECT:g} residual standard deviations, at "
    f"a corrected p value of {ALPHA:g}; {_TESTED}",
    "tfce": f"t values with threshold-free cluster enhancement (Smith and Nichols 2009); {_TESTED}",
    "ptfce": "p value of the enhanced t values, corrected for the number of voxels; 1 outside of the "
    "tested voxels",
}


@dataclass(frozen=True)
class Outcomes:
    """Analyses of the outcomes of a run.

    Attributes
    ----------
    analyses : dict of str to Analysis
        Analyses by the ``desc-`` entity of their files.
    notices : sequence of str
        Sentences for the user.
    problems : sequence of str
        Reasons why a result does not exist, one sentence each.
    flagged : sequence of str
        Participants whose session failed QC checks.
    """

    analyses: Mapping[str, Analysis]
    notices: Sequence[str]
    problems: Sequence[str]
    flagged: Sequence[str] = ()


def analyze_outcomes(settings: Settings, table: pd.DataFrame, records: Sequence[Record]) -> Outcomes:
    """Analyze the outcomes of a run and write their tables and maps.

    Parameters
    ----------
    settings : Settings
    table : pandas.DataFrame
        Group table from :func:`bids_stroke.cohort.table.collect`.
    records : sequence of Record
        Record of each row.
    """
    out = settings.output_dir
    remove_outputs(out)
    if not settings.outcomes:
        return Outcomes({}, [], [])
    participants, rows, notices = _collect(settings, table, records)
    analyses, problems = dict[str, Analysis](), list[str]()
    try:
        tables = phenotypes.Tables(
            settings.bids_dir,
            participants.sessions,
            rows[["participant_id", "hemisphere"]],
            settings.phenotype,
        )
    except DatasetError as error:
        return Outcomes({}, notices, [str(error)])
    for name in dict.fromkeys(settings.outcomes):
        try:
            label = _label(name, analyses)
            analyses[label] = _analyze(settings, participants, tables, name)
        except DatasetError as error:
            problems.append(str(error))
            continue
        notices += analyses[label].notices
        problems += analyses[label].problems
        if symptom_map := analyses[label].symptom_map:
            _write_maps(out, label, analyses[label], symptom_map, participants.matrix, settings)
    if analyses:
        _write_tables(settings, analyses, rows, participants.matrix)
    flagged = rows.loc[rows["qc_flags"].notna(), "participant_id"].tolist()
    return Outcomes(analyses, notices, problems, flagged)


def remove_outputs(out: Path) -> None:
    """Remove the outcome tables and maps of an earlier run of the group level."""
    maps = derivative("group", "*", ".*", space=TEMPLATE, res=_RESOLUTION, desc="*")
    for pattern in (f"{TABLES}*", maps, viewer_name("group_desc-*")):
        for path in out.glob(pattern):
            path.unlink()


def _collect(
    settings: Settings, table: pd.DataFrame, records: Sequence[Record]
) -> tuple[Participants, pd.DataFrame, list[str]]:
    """Collect the lesions of one session of each participant.

    Returns
    -------
    tuple of (Participants, pandas.DataFrame, list of str)
        Lesions, the rows of the group table, and notices.
    """
    first = first_sessions(table)
    rows = table[first].reset_index(drop=True)
    selected = [record for record, keep in zip(records, first, strict=True) if keep]
    sessions = dict(zip(rows["participant_id"], rows["session_id"].fillna(""), strict=True))
    out = settings.output_dir
    paths = [record.require(out, "lesion_mask", TEMPLATE) for record in selected]
    mirrored = (rows["hemisphere"] == "right") & (settings.flip_to == "left")
    regions = long_tables.long_table("group_regions", out, selected)
    participants = Participants(
        sessions,
        measures.collect_measures(rows, regions),
        read_lesions(paths, mirrored.tolist(), settings.nprocs),
    )
    return participants, rows, list(_notices(table, rows, settings))


def _notices(table: pd.DataFrame, rows: pd.DataFrame, settings: Settings) -> list[str]:
    """Name the choices that the analysis depends on."""
    notices = []
    counts = table["participant_id"].value_counts()
    several = rows[rows["participant_id"].map(counts) > 1]
    if len(several):
        chosen = [f"{row.participant_id} {row.session_id}" for row in several.itertuples()]
        notices.append(
            "Outcomes are related to the first session of participants with several sessions: "
            f"{enumeration(chosen)}. Use --session-label for another session."
        )
    labels = sorted(rows["session_id"].fillna("no session").unique(), key=names.natural_key)
    if len(labels) > 1:
        notices.append(
            f"The analyzed sessions have different names: {enumeration(labels)}. If these are "
            "different times after the stroke, choose one of them with --session-label."
        )
    bilateral = rows.loc[rows["hemisphere"] == "bilateral", "participant_id"]
    if len(bilateral):
        notices.append(
            f"For {len(bilateral)} participants with a bilateral lesion, outcomes are related to the "
            f"tract load of the side with the larger load: {enumeration(list(bilateral))}."
        )
        if settings.flip_to:
            notices.append("--flip-to does not mirror bilateral lesions.")
    return notices


def _label(name: str, analyses: Mapping[str, Analysis]) -> str:
    """Return the ``desc-`` entity of an outcome."""
    label = re.sub("[^0-9A-Za-z]", "", name) or "outcome"
    if label.lower() in map(str.lower, analyses):
        raise DatasetError(
            f"The files of the outcome {name} have the same names as those of another outcome; rename "
            "its column."
        )
    return label


def _analyze(
    settings: Settings, participants: Participants, tables: phenotypes.Tables, name: str
) -> Analysis:
    """Analyze an outcome and show the progress of its permutations on a terminal."""
    console = Console(stderr=True)
    with Progress(console=console, disable=not console.is_terminal, transient=True) as bar:
        task = bar.add_task(f"{name}: permutations", total=settings.permutations)
        options = Permutations(
            settings.permutations,
            DIRECTIONS[settings.worse],
            settings.min_overlap or 0,
            settings.tfce,
            settings.nprocs,
            lambda done: bar.advance(task, done),
        )
        return outcome.analyze(participants, tables, name, settings.covariates, options)


def map_name(label: str, suffix: str, stat: str | None = None, extension: str = ".nii.gz") -> str:
    """Return the file name of a map of an outcome."""
    return derivative(
        "group", suffix, extension, space=TEMPLATE, res=_RESOLUTION, desc=label, stat=stat
    )


def statistics(symptom_map: SymptomMap) -> dict[str, NDArray[np.float64]]:
    """Return the values of the tested voxels by the ``stat-`` entity of their map."""
    values = {
        "t": symptom_map.regression.t,
        "effect": symptom_map.regression.effect,
        "p": symptom_map.inference.p,
        "power": symptom_map.power,
    }
    if symptom_map.enhanced:
        values |= {"tfce": symptom_map.enhanced.scores, "ptfce": symptom_map.enhanced.p}
    return values


def _write_maps(
    out: Path,
    label: str,
    analysis: Analysis,
    symptom_map: SymptomMap,
    matrix: LesionMatrix,
    settings: Settings,
) -> None:
    """Write the lesion-symptom maps of an outcome, the tested voxels and the lesion overlap."""
    volume = analysis.measures[0].name
    sidecar = {
        "Outcome": analysis.outcome.name,
        "Levels": list(analysis.outcome.levels),
        "Participants": len(analysis.outcome.values),
        "Covariates": [volume, f"logarithm of {volume}", *analysis.covariates],
        "MinimumOverlap": analysis.min_overlap,
        "TestedVoxels": len(symptom_map.voxels),
        "WorseValues": settings.worse,
        "FlippedTo": settings.flip_to,
        "Permutations": settings.permutations,
        "Seed": SEED,
        "CriticalT": symptom_map.critical,
        "Resolution": f"{SPACING_MM} mm isotropic",
        "Sources": [f"bids::{TABLES}_data.tsv"],
    }

    def write(values: NDArray, fill: float, description: str, suffix: str, stat: str | None) -> None:
        path = out / map_name(label, suffix, stat)
        image.save(matrix.image(values, symptom_map.voxels, fill), path)
        write_json({"Description": description, **sidecar}, names.sidecar_of(path))

    for stat, values in statistics(symptom_map).items():
        fill = 1 if stat.startswith("p") and stat != "power" else 0
        write(values.astype(np.float32), fill, STATISTICS[stat], "statmap", stat)
    tested = np.ones(len(symptom_map.voxels), np.uint8)
    write(tested, 0, "Tested voxels", "mask", None)
    write(
        symptom_map.overlap.astype(np.int32),
        0,
        f"Number of participants with a lesion in the voxel; {_TESTED}",
        "count",
        None,
    )


def _write_tables(
    settings: Settings, analyses: Mapping[str, Analysis], rows: pd.DataFrame, matrix: LesionMatrix
) -> None:
    """Write the tables of all outcomes, and the data that they are computed from."""
    several = list(analyses.values())
    summaries = [summary_row(label, item, settings, matrix) for label, item in analyses.items()]
    data, descriptions = data_table(several, rows)
    for name, table, columns in (
        ("", pd.concat([item.associations for item in several]), association.COLUMNS),
        ("_tests", pd.concat([item.tests for item in several]), symptom_maps.COLUMNS),
        ("_summary", pd.DataFrame(summaries, columns=list(SUMMARY_COLUMNS)), SUMMARY_COLUMNS),
        ("_data", data, descriptions),
    ):
        write_tsv(table, settings.output_dir / f"{TABLES}{name}.tsv")
        write_json(columns, settings.output_dir / f"{TABLES}{name}.json")
