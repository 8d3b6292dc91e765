import numpy as np
import pandas as pd
import pytest

from bids_stroke.errors import DatasetError
from bids_stroke.qc import outliers, ratings


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


def test_robust_z_by_hand():
    values = pd.Series([1.0, 2, 3, 4, np.nan, 100])
    # Median 3, absolute deviations 2 1 0 1 97: their median is 1.
    np.testing.assert_allclose(
        outliers.robust_z(values), [-1.349, -0.6745, 0, 0.6745, np.nan, 0.6745 * 97]
    )
    mostly_equal = pd.Series([5.0, 5, 5, 5, 10])
    assert outliers.robust_z(mostly_equal).iloc[-1] == pytest.approx(5 / 1.2533)
    assert outliers.robust_z(pd.Series([2.0, 2, 2])).eq(0).all()


def test_sessions_that_stand_out(table):
    assert outliers.outliers(table).empty
    table.loc[3, "brain_volume_ml"] = 700
    table.loc[7, "flair_snr"] = 1.0
    table.loc[9, "age"] = 900
    found = outliers.outliers(table).set_index("participant_id")
    assert set(found["measure"].items()) == {
        ("sub-03", "brain_volume_ml"),
        ("sub-07", "flair_snr"),
    }
    assert found.loc["sub-03", "z"] < -3.5 and found.loc["sub-03", "value"] == 700
    assert found["z"].abs().is_monotonic_decreasing


def test_reference_images_are_compared_with_their_like(table):
    table.loc[20:, "reference"] = "FLAIR"
    table.loc[20:, "brain_volume_ml"] += 5000
    assert outliers.outliers(table).empty
    few = table.head(outliers.LEAST - 1).copy()
    few.loc[0, "brain_volume_ml"] = 1
    assert outliers.outliers(few).empty, "too few to stand out of"


def test_empty_lesions_have_no_logarithm(table):
    table.loc[:2, "lesion_volume_ml"] = 0.0
    assert outliers.outliers(table).empty


def test_ratings_are_read(tmp_path):
    path = tmp_path / "ratings.tsv"
    path.write_text(
        "\ufeffparticipant_id\tsession_id\trating\tnotes\r\n"
        "sub-01\tses-1\treject\tmotion\r\nsub-01\tses-2\taccept\t\r\n02\tn/a\treject\tn/a\r\n",
        encoding="utf-8",
    )
    rated = ratings.ratings(path)
    assert ratings.rejected(rated, "sub-01", "ses-1")["notes"] == "motion"
    assert ratings.rejected(rated, "sub-01", "ses-2") is None
    assert ratings.rejected(rated, "sub-02", "ses-9") is not None, "of all sessions"
    assert ratings.rejected(rated, "sub-02", "") is not None
    assert ratings.rejected(rated, "sub-03", "") is None


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("participant_id\tnotes\nsub-01\tx\n", "participant_id or rating"),
        ("participant_id\trating\nsub-01\tgood\n", "'good'; use accept or reject"),
        ("", "cannot be read"),
    ],
)
def test_bad_ratings_are_named(tmp_path, text, told):
    path = tmp_path / "ratings.tsv"
    path.write_text(text)
    with pytest.raises(DatasetError, match=told) as error:
        ratings.ratings(path)
    assert str(path) in str(error.value)
