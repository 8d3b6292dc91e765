import numpy as np
import pandas as pd
import pytest

from bids_stroke.cohort import summary as cohort_summary
from bids_stroke.errors import UsageError


def test_summary_of_groups():
    table = pd.DataFrame(
        {
            "participant_id": ["sub-1", "sub-2", "sub-3", "sub-4"],
            "lesion_volume_mni_ml": [1.0, 2.0, 3.0, 8.0],
            "cst_raw_load_ml_total": [0.6, 1.5, 0.0, 2.0],
            "cst_weighted_load_ml_total": [1.2, 4.0, 0.0, 9.0],
            "cst_max_slice_load_total": [0.1, 0.4, 0.0, 1.0],
            "cst_category": ["small", "medium", np.nan, "large"],
            "cst_category_status": ["unvalidated"] * 4,
            "sex": ["F", "M", "F", np.nan],
        }
    )
    summary = cohort_summary.summary(table, "sex").set_index("group")
    assert [summary.index.name, *summary] == [
        "group",
        *(name for name in cohort_summary.SUMMARY_COLUMNS if name != "group"),
    ]
    assert summary.index.tolist() == ["all", "F", "M"] and set(summary["tract"]) == {"cst"}
    assert summary["n_sessions"].tolist() == [4, 2, 1]
    counts = [f"n_{name}" for name in ("none", "small", "medium", "large")]
    assert summary[counts].to_numpy().tolist() == [[1, 1, 1, 1], [1, 1, 0, 0], [0, 0, 1, 0]]
    assert summary["weighted_load_median_ml"].tolist() == [np.median([1.2, 4, 0, 9]), 0.6, 4]
    assert summary["raw_load_median_ml"].tolist() == [np.median([0.6, 1.5, 0, 2]), 0.3, 1.5]
    assert summary["max_slice_load_median"].tolist() == [0.25, 0.05, 0.4]
    assert summary.loc["all", "max_slice_load_q1"] == np.quantile([0.1, 0.4, 0, 1], 0.25)
    assert summary.loc["all", "lesion_volume_q3_ml"] == np.quantile([1, 2, 3, 8], 0.75)
    assert cohort_summary.summary(table)["group"].tolist() == ["all"]
    with pytest.raises(UsageError, match="no column age"):
        cohort_summary.summary(table, "age")
