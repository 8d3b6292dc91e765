import numpy as np
import pandas as pd
import pytest

from bids_stroke.qc import outliers


@pytest.fixture
def table():
    rng = np.random.default_rng(0)
    n = 30
    return pd.DataFrame(
        {
            "participant_id": [f"sub-{i:02}" for i in range(n)],
            "session_id": [np.nan] * n,
            "reference": "T1w",
            "brain_volume_ml": rng.normal(1400, 60, n),
            "flair_snr": np.exp(rng.normal(3, 0.2, n)),
            "lesion_volume_ml": np.exp(rng.normal(2, 1, n)),
            "age": rng.normal(60, 5, n),
        }
    )


def test_outliers(table):
    assert outliers.outliers(table).empty
    table.loc[3, "brain_volume_ml"] = 700
    table.loc[7, "flair_snr"] = 1.0
    table.loc[9, "age"] = 900
    result = outliers.outliers(table).set_index("participant_id")
    assert set(result["measure"].items()) == {
        ("sub-03", "brain_volume_ml"),
        ("sub-07", "flair_snr"),
    }
    assert result.loc["sub-03", "z"] < -3.5 and result.loc["sub-03", "value"] == 700
    assert result["z"].abs().is_monotonic_decreasing


def test_sessions_are_compared_by_reference_contrast(table):
    table.loc[20:, "reference"] = "FLAIR"
    table.loc[20:, "brain_volume_ml"] += 5000
    assert outliers.outliers(table).empty
    few = table.head(outliers.MIN_SESSIONS - 1).copy()
    few.loc[0, "brain_volume_ml"] = 1
    assert outliers.outliers(few).empty, "too few sessions for outliers"


def test_empty_lesions_have_no_logarithm(table):
    table.loc[:2, "lesion_volume_ml"] = 0.0
    assert outliers.outliers(table).empty
