"""Measures of lesions for the analysis of outcomes."""

import numpy as np
import pandas as pd
import pytest

from bids_stroke.cohort.measures import MIN_VOLUME_ML, collect_measures, ipsilesional, log_volume

LOADS = ("weighted_load_ml", "raw_load_ml", "max_slice_load")
#: Loads of the left and of the right tract, by the side of the lesion.
SIDES = {"left": (2.0, 0.5), "right": (0.5, 3.0), "bilateral": (1.0, 4.0), "none": (0.0, 0.0)}


def cohort(tract="cst", **changes):
    """Rows of the group table of participants with a left, right, bilateral and no lesion."""
    left, right = np.transpose(list(SIDES.values()))
    table = pd.DataFrame(
        {
            "participant_id": ["sub-01", "sub-02", "sub-03", "sub-04"],
            "session_id": ["ses-1", "ses-2", "ses-1", np.nan],
            "lesion_volume_ml": [10.0, 20, 30, 0],
            "lesion_volume_mni_ml": [11.0, 22, 33, 0],
            f"{tract}_category_status": "unvalidated",
        }
    )
    for load in LOADS:
        table[f"{tract}_{load}_left"], table[f"{tract}_{load}_right"] = left, right
        table[f"{tract}_{load}_ipsilesional"] = [left[0], right[1], np.nan, np.nan]
    return table.assign(**changes)


def regions(*rows):
    """Long table of regions."""
    names = ["participant_id", "session_id", "atlas", "region", "region_share"]
    return pd.DataFrame(rows, columns=names).assign(lesion_volume_ml=1.0)


NO_REGIONS = regions()


def by_name(measures):
    return {measure.name: measure.values.tolist() for measure in measures}


def test_the_load_is_that_of_the_side_of_the_lesion():
    """For a bilateral lesion, it is the larger of both sides; without a lesion, 0."""
    expected = [2.0, 3.0, 4.0, 0.0]
    for load in LOADS:
        assert ipsilesional(cohort(), f"cst_{load}").tolist() == expected
    measures = collect_measures(cohort(), NO_REGIONS)
    assert by_name(measures[1:]) == {f"cst_{load}_ipsilesional": expected for load in LOADS}
    assert [measure.kind for measure in measures] == ["volume", "tract", "tract", "tract"]


def test_a_smaller_load_of_the_side_of_the_lesion_is_not_replaced():
    table = cohort(cst_raw_load_ml_left=[0.1, 9, 1, 0])
    table["cst_raw_load_ml_ipsilesional"] = [0.1, 3, np.nan, np.nan]
    assert ipsilesional(table, "cst_raw_load_ml").tolist() == [0.1, 3, 4, 0]


def test_participants_that_were_not_measured_have_no_load():
    table = cohort()
    table.loc[1, [name for name in table if name.startswith("cst_")]] = np.nan
    assert np.isnan(ipsilesional(table, "cst_raw_load_ml")).tolist() == [False, True, False, False]


def test_loads_of_several_tracts():
    """A tract without an axis has a raw load only."""
    missing = {
        f"own_{load}_{side}": np.nan
        for load in ("weighted_load_ml", "max_slice_load")
        for side in ("left", "right", "ipsilesional")
    }
    second = cohort("own", **missing).filter(like="own_")
    measures = collect_measures(pd.concat([cohort(), second], axis=1), NO_REGIONS)
    names = [measure.name for measure in measures if measure.kind == "tract"]
    expected = [f"cst_{load}_ipsilesional" for load in LOADS] + ["own_raw_load_ml_ipsilesional"]
    assert names == expected
    assert measures[1].title.startswith("CST weighted") and measures[-1].title.startswith("own raw")


@pytest.mark.parametrize(
    ("native", "name", "values"),
    [
        ([10.0, 20, 30, 0], "lesion_volume_ml", [10, 20, 30, 0]),
        ([np.nan, 20, 30, 0], "lesion_volume_mni_ml", [11, 22, 33, 0]),
        ([np.nan] * 4, "lesion_volume_mni_ml", [11, 22, 33, 0]),
    ],
)
def test_one_kind_of_volume_for_all_participants(native, name, values):
    volume, *_ = collect_measures(cohort(lesion_volume_ml=native), NO_REGIONS)
    assert (volume.kind, volume.name, volume.values.tolist()) == ("volume", name, values)


def test_regions_of_several_atlases():
    """Rows are matched by participant and session; regions of the same name remain apart."""
    table = regions(
        ("sub-04", np.nan, "A", "Thalamus", 0.4),
        ("sub-01", "ses-1", "A", "Thalamus", 0.1),
        ("sub-01", "ses-1", "A", "outside", np.nan),
        ("sub-01", "ses-1", "B", "Thalamus", 0.2),
        ("sub-02", "ses-2", "A", "Thalamus", 0.3),
        ("sub-02", "ses-1", "A", "Thalamus", 0.9),
        ("sub-02", "ses-2", "B", "17", 0.7),
    )
    measures = collect_measures(cohort(), table)[4:]
    shares = {(measure.atlas, measure.name): measure.values for measure in measures}
    expected = {
        ("A", "Thalamus"): [0.1, 0.3, np.nan, 0.4],
        ("B", "Thalamus"): [0.2, np.nan, np.nan, np.nan],
        ("B", "17"): [np.nan, 0.7, np.nan, np.nan],
    }
    assert shares.keys() == expected.keys()
    for key, values in expected.items():
        np.testing.assert_array_equal(shares[key], values)
    assert {measure.kind for measure in measures} == {"region"}


def test_regions_with_the_same_name_are_numbered():
    """Labels of the left and right side may have one name."""
    table = regions(
        *(("sub-02", "ses-2", "A", "Thalamus", share) for share in (0.3, 0.5)),
        *(("sub-01", "ses-1", "A", "Thalamus", share) for share in (0.1, 0.2)),
    )
    left, right = collect_measures(cohort(), table)[4:]
    assert (left.name, right.name) == ("Thalamus", "Thalamus (2)")
    np.testing.assert_array_equal(left.values, [0.1, 0.3, np.nan, np.nan])
    np.testing.assert_array_equal(right.values, [0.2, 0.5, np.nan, np.nan])


def test_regions_of_participants_without_sessions():
    table = regions(("sub-01", np.nan, "A", "R1", 0.1), ("sub-02", np.nan, "A", "R1", 0.3))
    (share,) = collect_measures(cohort(session_id=[np.nan] * 4), table)[4:]
    np.testing.assert_array_equal(share.values, [0.1, 0.3, np.nan, np.nan])


def test_the_logarithm_of_small_volumes_is_finite():
    expected = np.log([MIN_VOLUME_ML, MIN_VOLUME_ML, 0.02, 100])
    np.testing.assert_allclose(log_volume(np.array([0, 0.001, 0.02, 100])), expected)
