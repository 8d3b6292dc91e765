"""Voxel-wise tests on a small grid, and tests of measures."""

from dataclasses import replace

import nibabel as nib
import numpy as np
import pytest
import statsmodels.api as sm
from scipy import ndimage, sparse, stats

from bids_stroke.cohort.lesion_matrix import LesionMatrix
from bids_stroke.cohort.measures import Measure
from bids_stroke.cohort.permutation import LinearModel, infer
from bids_stroke.cohort.symptom_maps import (
    ALPHA,
    COLUMNS,
    POWER_EFFECT,
    TFCE,
    Permutations,
    default_min_overlap,
    fit_measures,
    fit_voxels,
)
from bids_stroke.errors import DatasetError

SHAPE = (5, 6, 4)
NUMBER = 40


@pytest.fixture
def matrix():
    """Lesions of random voxels: more participants in the first, none in the last."""
    rng = np.random.default_rng(0)
    shares = np.linspace(0.95, 0, np.prod(SHAPE))
    lesions = (rng.random((NUMBER, len(shares))) < shares).astype(float)
    lesions[:, -6:] = 0
    return LesionMatrix(sparse.csc_array(lesions), nib.Nifti1Image(np.zeros(SHAPE), np.eye(4)))


@pytest.fixture
def nuisance(matrix):
    volume = matrix.lesions.sum(axis=1) * 0.008
    return np.column_stack([volume, np.log(volume)])


def outcome_of(matrix, voxel, effect=1.0):
    noise = np.random.default_rng(1).normal(size=NUMBER)
    return effect * matrix.lesions[:, [voxel]].toarray()[:, 0] + noise


@pytest.mark.parametrize("min_overlap", [5, 13])
def test_tested_voxels_have_enough_lesions_and_enough_without(matrix, nuisance, min_overlap):
    result = fit_voxels(matrix, outcome_of(matrix, 30), nuisance, Permutations(20, 0, min_overlap))
    counts = np.asarray(matrix.lesions.sum(axis=0))
    expected = np.flatnonzero((counts >= min_overlap) & (counts <= NUMBER - min_overlap))
    assert result.voxels.tolist() == expected.tolist()
    assert result.overlap.tolist() == counts[expected].tolist()
    assert result.overlap.min() == min_overlap and result.overlap.max() == NUMBER - min_overlap


def test_voxels_have_their_own_statistics(matrix, nuisance):
    y = outcome_of(matrix, 30, effect=3)
    result = fit_voxels(matrix, y, nuisance, Permutations(99, 0, 5))
    assert result.voxels[np.argmax(np.abs(result.regression.t))] == 30
    assert result.inference.p[result.voxels == 30] == 0.01
    for voxel in (30, result.voxels[-1]):
        lesion = matrix.lesions[:, [voxel]].toarray()[:, 0]
        fit = sm.OLS(y, sm.add_constant(np.column_stack([lesion, nuisance]))).fit()
        assert result.regression.t[result.voxels == voxel] == pytest.approx(fit.tvalues[1])
        assert result.regression.effect[result.voxels == voxel] == pytest.approx(fit.params[1])
    assert result.enhanced is None and result.direction == 0


def test_a_voxel_that_a_covariate_explains_is_not_tested(matrix, nuisance):
    lesion = matrix.lesions[:, [30]].toarray()
    y = outcome_of(matrix, 31)
    result = fit_voxels(matrix, y, np.hstack([nuisance, lesion]), Permutations(20, 0, 5))
    assert 30 not in result.voxels and 31 in result.voxels
    for values in (result.regression.t, result.inference.p, result.inference.maxima, result.power):
        assert np.isfinite(values).all()


def test_no_voxel_can_be_tested(matrix, nuisance):
    with pytest.raises(
        DatasetError,
        match="No voxel is lesioned in at least 21 of 40 participants and intact in at least 21; use a",
    ):
        fit_voxels(matrix, outcome_of(matrix, 30), nuisance, Permutations(20, 0, 21))
    nothing = LesionMatrix(sparse.csc_array((NUMBER, np.prod(SHAPE))), matrix.grid)
    with pytest.raises(DatasetError, match="No voxel is lesioned in at least 5 of 40"):
        fit_voxels(nothing, outcome_of(matrix, 30), nuisance, Permutations(20, 0, 5, tfce=True))


@pytest.mark.parametrize("direction", [0, 1, -1])
def test_enhanced_scores(matrix, nuisance, direction):
    """TFCE uses the neighborhood of the tested voxels on the grid."""
    y = outcome_of(matrix, 30, effect=2 * (direction or 1))
    steps = []
    options = Permutations(20, direction, 5, tfce=True, progress=steps.append)
    result = fit_voxels(matrix, y, nuisance, options)
    model = LinearModel(matrix.lesions[:, result.voxels], y, nuisance)
    enhance = TFCE.of(matrix.grid, result.voxels, direction)
    expected, enhanced = infer(model, 20, direction, enhance)
    assert result.inference.p.tolist() == expected.p.tolist()
    assert result.enhanced.scores.tolist() == enhanced.scores.tolist()
    assert result.enhanced.p.tolist() == enhanced.p.tolist()
    assert sum(steps) == 20


def test_enhancement_does_not_depend_on_the_margin(matrix, nuisance):
    """Voxels are cropped to their bounding box."""
    t = np.random.default_rng(0).normal(size=20) * 3
    axes = np.unravel_index(np.arange(20) * 3, (5, 5, 5))
    grids = [(5, 5, 5), (9, 8, 7)]
    voxels = [np.ravel_multi_index([axis + 2 * side for axis in axes], grids[side]) for side in (0, 1)]
    scores = [
        TFCE.of(nib.Nifti1Image(np.zeros(grid), np.eye(4)), several, 0)(t)
        for grid, several in zip(grids, voxels, strict=True)
    ]
    np.testing.assert_allclose(scores[0], scores[1])
    assert (np.sign(scores[0]) == np.sign(t)).sum() > 15


@pytest.mark.parametrize("direction", [0, 1, -1])
def test_enhancement_follows_the_definition(direction):
    """Sum over thresholds of the root of the extent times the squared height times the step."""
    t = ndimage.gaussian_filter(np.random.default_rng(0).normal(size=(8, 8, 8)), 1) * 9
    grid = nib.Nifti1Image(np.zeros(t.shape), np.eye(4))
    scores = TFCE.of(grid, np.arange(t.size), direction)(t.ravel()).reshape(t.shape)
    largest = np.abs(t).max() if direction == 0 else (direction * t).max()
    expected = np.zeros(t.shape)
    for sign in (direction,) if direction else (1, -1):
        for height in np.linspace(0, largest, 101)[1:]:
            labels, _ = ndimage.label(sign * t >= height)
            extents = np.bincount(labels.ravel()) * 1.0
            extents[0] = 0
            expected += sign * extents[labels] ** 0.5 * height**2 * largest / 100
    np.testing.assert_allclose(scores, expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("direction", [0, 1])
def test_enhancement_does_not_depend_on_distant_voxels(direction):
    """A strong effect does not hide another one."""
    grid = nib.Nifti1Image(np.zeros((9, 1, 1)), np.eye(4))
    enhance = TFCE.of(grid, np.arange(9), direction)
    alone, beside = (enhance(np.array([0.0, 4, 4, 0, 0, 0, far, far, 0])) for far in (4, 16))
    np.testing.assert_allclose(beside[1:3], alone[1:3], rtol=0.1)


def test_nothing_is_enhanced_without_effects_in_the_tested_direction():
    grid = nib.Nifti1Image(np.zeros((3, 1, 1)), np.eye(4))
    assert TFCE.of(grid, np.arange(3), 1)(np.array([-1.0, -3, 0])).tolist() == [0, 0, 0]


def test_power_by_simulation(matrix, nuisance):
    """Share of simulated outcomes whose t value exceeds the critical one."""
    y = outcome_of(matrix, 30, effect=0)
    result = fit_voxels(matrix, y, nuisance, Permutations(200, 1, 12))
    position = 3
    lesion = matrix.lesions[:, [result.voxels[position]]].toarray()
    rng = np.random.default_rng(0)
    effect = 4 * POWER_EFFECT
    outcomes = effect * lesion + rng.normal(size=(NUMBER, 1000))
    t = np.array(
        [LinearModel(sparse.csc_array(lesion), outcome, nuisance).fit().t[0] for outcome in outcomes.T]
    )
    shift = effect * result.regression.residual_norm[position]
    expected = stats.nct.sf(result.critical, result.regression.df, shift)
    assert np.mean(t > result.critical) == pytest.approx(expected, abs=0.05)
    shift = POWER_EFFECT * result.regression.residual_norm
    np.testing.assert_allclose(result.power, stats.nct.sf(result.critical, result.regression.df, shift))
    assert 0.3 < expected < 0.99


def test_few_permutations_have_no_power(matrix, nuisance):
    result = fit_voxels(matrix, outcome_of(matrix, 30), nuisance, Permutations(18, 0, 5))
    assert result.critical is None and not result.power.any()


@pytest.mark.parametrize(("number", "expected"), [(10, 5), (100, 5), (101, 6), (658, 33), (10000, 500)])
def test_default_min_overlap(number, expected):
    assert default_min_overlap(number) == expected


def test_measures_by_family(nuisance):
    rng = np.random.default_rng(2)
    y = rng.normal(size=NUMBER)
    loads = rng.gamma(0.5, size=(5, NUMBER)) + np.maximum(y, 0)
    missing = np.where(np.arange(NUMBER) == 3, np.nan, loads[4])
    rare = np.where(np.arange(NUMBER) < 4, 1.0, 0.0)
    measures = [
        Measure("volume", "volume", "", rng.random(NUMBER)),
        *(Measure("tract", f"load{number}", "", loads[number]) for number in (0, 1)),
        *(
            Measure("region", "Thalamus", "", loads[number], atlas)
            for number, atlas in ((2, "A"), (3, "B"))
        ),
        Measure("region", "missing", "", missing, "A"),
        Measure("region", "rare", "", rare, "A"),
        Measure("region", "volume", "", 5 * nuisance[:, 0], "B"),
    ]
    table = fit_measures("score", y, measures, nuisance, Permutations(49, 0, 5))
    assert list(table) == list(COLUMNS) and (table["outcome"] == "score").all()
    assert table[["family", "measure"]].agg(" ".join, axis=1).tolist() == [
        *("tracts load0", "tracts load1"),
        *("A Thalamus", "A missing", "A rare"),
        *("B Thalamus", "B volume"),
    ]
    assert table["n"].tolist() == [40, 40, 40, 39, 40, 40, 40]
    assert table["n_nonzero"].tolist() == [40, 40, 40, 39, 4, 40, 40]
    tested = table["t"].notna()
    assert tested.tolist() == [True, True, True, False, False, True, False]
    assert (table["p_fwe"].notna() == tested).all() and (table["p"].notna() == tested).all()
    for row, x in zip(table[tested].itertuples(), loads[:4], strict=True):
        fit = sm.OLS(y, sm.add_constant(np.column_stack([x, nuisance]))).fit()
        assert (row.t, row.effect) == pytest.approx((fit.tvalues[1], fit.params[1]))
        assert (row.p, row.df) == pytest.approx((fit.pvalues[1], fit.df_resid))
    tracts, _ = infer(LinearModel(sparse.csc_array(loads[:2].T), y, nuisance), 49)
    assert table["p_fwe"][:2].tolist() == tracts.p.tolist()
    alone, _ = infer(LinearModel(sparse.csc_array(loads[3:4].T), y, nuisance), 49)
    assert table["p_fwe"][5] == alone.p[0]


def test_an_atlas_with_the_name_of_the_tracts_is_another_family(nuisance):
    rng = np.random.default_rng(2)
    y = rng.normal(size=NUMBER)
    load, share = (Measure("tract", "load", "", y + rng.normal(size=NUMBER)) for _ in range(2))
    alone = fit_measures("score", y, [load], nuisance, Permutations(49, 0, 5))
    share = replace(share, kind="region", atlas="tracts")
    both = fit_measures("score", y, [load, share], nuisance, Permutations(49, 0, 5))
    assert len(both) == 2 and both["p_fwe"][0] == alone["p_fwe"][0] < 1


def test_no_measures(nuisance):
    volume = Measure("volume", "volume", "", nuisance[:, 0])
    table = fit_measures("score", np.arange(NUMBER), [volume], nuisance, Permutations(9, 0, 5))
    assert list(table) == list(COLUMNS) and table.empty


def test_the_family_wise_error_is_controlled(matrix, nuisance):
    """Without any effect, about 5% of the maps have a significant voxel."""
    rng = np.random.default_rng(6)
    wrong = 0
    for _ in range(400):
        y = 0.5 * nuisance[:, 0] + rng.gamma(2, size=NUMBER)
        result = fit_voxels(matrix, y, nuisance, Permutations(99, 0, 5))
        wrong += bool((result.inference.p <= ALPHA).any())
    assert (
        stats.binomtest(wrong, 400).proportion_ci().low
        <= ALPHA
        <= (stats.binomtest(wrong, 400).proportion_ci().high)
    )
