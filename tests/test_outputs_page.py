"""The page "Outputs" describes every column of every table."""

import re
from pathlib import Path

import pytest

from bids_stroke.atlases import load_columns, regions
from bids_stroke.cohort import (
    association,
    long_tables,
    longitudinal,
    outcome_tables,
    summary,
    symptom_maps,
)
from bids_stroke.cohort import columns as cohort_columns
from bids_stroke.evaluation import columns as evaluation_columns
from bids_stroke.execution import group_corrections, group_longitudinal, outcome
from bids_stroke.lesion import measurements
from bids_stroke.qc import image_quality, ratings

PAGE = (Path(__file__).parents[1] / "docs" / "outputs.md").read_text(encoding="utf-8")
NAMES = set(re.findall(r"`([^`]+)`", PAGE))
ELLIPSIS = "\N{HORIZONTAL ELLIPSIS}"
TABLES = {
    "components": measurements.COLUMNS,
    "loads": load_columns.COLUMNS,
    "regions": regions.COLUMNS,
    "quality": image_quality.COLUMNS,
    "longitudinal": longitudinal.COLUMNS,
    "group_lesion": cohort_columns.COLUMNS,
    "group_loads": summary.SUMMARY_COLUMNS,
    "group_ratings": ratings.MERGED_COLUMNS,
    "group_agreement": group_corrections.COLUMNS,
    "group_longitudinal": group_longitudinal.COLUMNS,
    **{name: columns for name, (_, columns) in long_tables.LONG_TABLES.items()},
    "group_outcome": association.COLUMNS,
    "group_outcome_tests": symptom_maps.COLUMNS,
    "group_outcome_summary": outcome_tables.SUMMARY_COLUMNS,
    "evaluation": evaluation_columns.COLUMNS,
    "evaluation_lesions": evaluation_columns.LESIONS,
    "evaluation_summary": evaluation_columns.SUMMARY,
    "evaluation_comparisons": evaluation_columns.COMPARISONS,
    "evaluation_agreement": evaluation_columns.AGREEMENT,
    "evaluation_categories": evaluation_columns.CATEGORIES,
}


@pytest.mark.parametrize("table", TABLES)
def test_every_column_is_described(table):
    """The page shortens some names to their end, ``…_q1_ml``, and omits some of the intervals."""
    endings = tuple(name[1:] for name in NAMES if name[0] == ELLIPSIS)
    assert "lesion_volume_low80_ml" in NAMES
    described = NAMES | {f"lesion_{name}" for name in measurements.INTERVALS}
    missing = [name for name in TABLES[table] if name not in described and not name.endswith(endings)]
    assert not missing


def test_every_map_of_an_outcome_is_described():
    """The page shortens some names to their end, ``…_stat-p_statmap.nii.gz``."""
    endings = tuple(name[1:] for name in NAMES if name[0] == ELLIPSIS)
    names = [outcome.map_name("<label>", "statmap", stat) for stat in outcome.STATISTICS]
    names += [outcome.map_name("<label>", suffix) for suffix in ("mask", "count")]
    missing = [name for name in names if name not in NAMES and not name.endswith(endings)]
    assert not missing
