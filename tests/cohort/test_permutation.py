"""Permutation tests against nilearn, statsmodels and a plain loop."""

import nibabel as nib
import numpy as np
import pytest
import statsmodels.api as sm
from nilearn.maskers import NiftiMasker
from nilearn.mass_univariate import permuted_ols
from scipy import sparse

from bids_stroke.cohort import permutation
from bids_stroke.cohort.permutation import SEED, Inference, LinearModel, infer
from bids_stroke.cohort.symptom_maps import TFCE, TFCE_STEPS

NUMBER, UNITS = 30, 40
DIRECTIONS = pytest.mark.parametrize("direction", [0, 1, -1])


def simulate(units=UNITS, effect=1.0):
    """Return lesions, an outcome that depends on the first of them, and two nuisance variables."""
    rng = np.random.default_rng(3)
    lesions = (rng.random((NUMBER, units)) < 0.3).astype(float)
    nuisance = np.column_stack([lesions.sum(axis=1) + rng.normal(size=NUMBER), rng.normal(size=NUMBER)])
    outcome = effect * lesions[:, 0] + 0.3 * nuisance[:, 0] + rng.normal(size=NUMBER)
    return lesions, outcome, nuisance


def model(lesions, outcome, nuisance):
    return LinearModel(sparse.csc_array(lesions), outcome, nuisance)


def ordinary(lesion, outcome, nuisance):
    """Fit one unit with statsmodels."""
    return sm.OLS(outcome, sm.add_constant(np.column_stack([lesion, nuisance]))).fit()


def test_estimates_of_statsmodels():
    lesions, outcome, nuisance = simulate()
    result = model(lesions, outcome, nuisance).fit()
    for position, lesion in enumerate(lesions.T):
        fit = ordinary(lesion, outcome, nuisance)
        values = [getattr(result, name)[position] for name in ("t", "effect")] + [result.p()[position]]
        np.testing.assert_allclose(values, [fit.tvalues[1], fit.params[1], fit.pvalues[1]], rtol=1e-9)
        error = np.sqrt(fit.mse_resid) / result.residual_norm[position]
        assert error == pytest.approx(fit.bse[1], rel=1e-9)
    assert result.df == fit.df_resid


def test_estimates_of_numbers():
    """Units are not only masks: loads and shares are numbers of any size."""
    _, outcome, nuisance = simulate()
    loads = np.random.default_rng(0).gamma(0.3, size=(NUMBER, 3)) * (1e-3, 1, 1e4)
    result = model(loads, outcome, nuisance).fit()
    expected = [ordinary(load, outcome, nuisance).tvalues[1] for load in loads.T]
    np.testing.assert_allclose(result.t, expected, rtol=1e-8)


@pytest.mark.parametrize("columns", [0, 1, 2])
def test_t_values_of_nilearn(columns):
    lesions, outcome, nuisance = simulate()
    nuisance = nuisance[:, :columns]
    # nilearn tests one predictor of many outcomes. The t value is the same after exchanging them.
    theirs = permuted_ols(
        outcome[:, None], lesions, nuisance if columns else None, n_perm=0, output_type="dict"
    )
    ours = model(lesions, outcome, nuisance).fit()
    np.testing.assert_allclose(ours.t, theirs["t"][0], atol=1e-5)


@pytest.mark.parametrize(
    "redundant",
    [
        lambda nuisance: np.full(NUMBER, 0.1),  # the mean of 30 values of 0.1 is not 0.1
        lambda nuisance: np.full(NUMBER, 1e6 / 3),
        lambda nuisance: np.zeros(NUMBER),
        lambda nuisance: 12 * nuisance[:, 0],
        lambda nuisance: 1e6 + nuisance[:, 1],
        lambda nuisance: nuisance.sum(axis=1) / 3 - 2,
    ],
)
def test_redundant_nuisance_variables_change_nothing(redundant):
    lesions, outcome, nuisance = simulate()
    expected = model(lesions, outcome, nuisance).fit()
    more = np.column_stack([redundant(nuisance), nuisance])
    result = model(lesions, outcome, more).fit()
    assert result.df == expected.df
    np.testing.assert_allclose(result.t, expected.t, rtol=1e-6)
    np.testing.assert_allclose(result.effect, expected.effect, rtol=1e-6)


def test_nuisance_variables_of_any_scale():
    """A date as a number, and a volume, do not lose digits."""
    lesions, outcome, nuisance = simulate()
    expected = model(lesions, outcome, nuisance).fit()
    result = model(lesions, outcome, nuisance * (1e3, 1e-6) + (20200101, 0)).fit()
    np.testing.assert_allclose(result.t, expected.t, rtol=1e-6)


def test_units_that_nuisance_variables_explain_have_no_estimate():
    lesions, outcome, nuisance = simulate()
    lesions[:, 1] = 1
    lesions[:, 2] = 0
    lesions[:, 3] = 2 * nuisance[:, 0] + 1
    result = model(lesions, outcome, nuisance).fit()
    for values in (result.t, result.effect, result.p(), result.residual_norm):
        assert np.flatnonzero(np.isnan(values)).tolist() == [1, 2, 3]
    inference, _ = infer(model(lesions, outcome, nuisance), 20)
    assert np.flatnonzero(np.isnan(inference.p)).tolist() == [1, 2, 3]
    assert np.isfinite(inference.maxima).all()


def test_no_residual_degrees_of_freedom():
    lesions, outcome, nuisance = simulate()
    with pytest.raises(ValueError, match="no residual degrees of freedom"):
        model(lesions[:4], outcome[:4], nuisance[:4])
    assert model(lesions[:5], outcome[:5], nuisance[:5]).df == 1


@pytest.mark.parametrize("sign", [1, -1])
def test_a_perfect_fit_is_finite(sign):
    """Maps and enhanced scores are finite for an outcome that equals the lesion of a voxel."""
    lesions, _, nuisance = simulate()
    outcome = sign * lesions[:, 4] + nuisance @ [0.5, 2]
    fitted = model(lesions, outcome, nuisance)
    t = fitted.fit().t
    assert np.isfinite(t).all() and np.argmax(np.abs(t)) == 4 and np.sign(t[4]) == sign
    assert fitted.fit().effect[4] == pytest.approx(sign)
    assert infer(fitted, 20)[0].p[4] == pytest.approx(1 / 21)


def plain_loop(lesions, outcome, nuisance, number, direction):
    """Return corrected p values of Freedman and Lane by least squares of the full model."""
    reduced = np.column_stack([np.ones(NUMBER), nuisance])
    fitted = reduced @ np.linalg.lstsq(reduced, outcome, rcond=None)[0]
    residuals = outcome - fitted

    def scores(values):
        result = []
        for lesion in lesions.T:
            design = np.column_stack([lesion, reduced])
            solution, squares, rank, _ = np.linalg.lstsq(design, values, rcond=None)
            variance = squares[0] / (NUMBER - rank)
            t = solution[0] / np.sqrt(variance * np.linalg.inv(design.T @ design)[0, 0])
            result.append(abs(t) if direction == 0 else direction * t)
        return np.array(result)

    observed = scores(outcome)
    rng = np.random.default_rng(SEED)
    maxima = np.array([scores(fitted + rng.permutation(residuals)).max() for _ in range(number)])
    reached = (maxima[:, None] >= observed - 1e-8).sum(axis=0)
    return (1 + reached) / (1 + number), maxima


@DIRECTIONS
def test_corrected_p_values_of_a_plain_loop(direction):
    lesions, outcome, nuisance = simulate(units=8)
    inference, enhanced = infer(model(lesions, outcome, nuisance), 60, direction)
    p, maxima = plain_loop(lesions, outcome, nuisance, 60, direction)
    np.testing.assert_allclose(inference.maxima, maxima, rtol=1e-8)
    np.testing.assert_allclose(inference.p, p, rtol=1e-12)
    assert enhanced is None


@DIRECTIONS
def test_ties_of_discrete_data_count(direction):
    """Many permutations of few different values have the same score, up to rounding."""
    lesions = (np.arange(NUMBER)[:, None] < [3, 5, 7]).astype(float)
    outcome = np.where(np.arange(NUMBER) % 3, 0.1, 0.7)
    nothing = np.empty((NUMBER, 0))
    inference, _ = infer(model(lesions, outcome, nothing), 80, direction)
    p, maxima = plain_loop(lesions, outcome, nothing, 80, direction)
    np.testing.assert_allclose(inference.p, p, rtol=1e-12)
    scores = permutation.directed(inference.scores, direction)
    assert np.isclose(maxima[:, None], scores, rtol=1e-12).sum(axis=0).max() > 3


def test_corrected_p_values_of_nilearn():
    """Both are estimates with different permutations."""
    lesions, outcome, _ = simulate(units=6, effect=1.5)
    theirs = permuted_ols(outcome[:, None], lesions, n_perm=4000, random_state=1, output_type="dict")
    inference, _ = infer(model(lesions, outcome, np.empty((NUMBER, 0))), 4000)
    np.testing.assert_allclose(inference.p, 10 ** -theirs["logp_max_t"][0], atol=0.035)


@DIRECTIONS
def test_the_direction_is_that_of_the_effect(direction):
    lesions, outcome, nuisance = simulate(effect=4)
    p = infer(model(lesions, outcome, nuisance), 99, direction)[0].p
    opposite = infer(model(lesions, -outcome, nuisance), 99, direction)[0].p
    assert (p[0] == 0.01, opposite[0] == 0.01) == (direction >= 0, direction <= 0)
    assert direction == 0 or max(p[0], opposite[0]) == 1


@pytest.mark.parametrize("number", [19, 20, 39, 99, 100])
@pytest.mark.parametrize("alpha", [0.05, 0.1])
def test_scores_above_the_critical_score_are_significant(number, alpha):
    lesions, outcome, nuisance = simulate(units=60, effect=3)
    inference, _ = infer(model(lesions, outcome, nuisance), number)
    above = np.abs(inference.scores) > inference.critical(alpha)
    assert above.tolist() == (inference.p <= alpha).tolist()
    maxima = np.sort(inference.maxima)
    grid = np.concatenate([maxima, maxima + 1e-3, maxima - 1e-3])
    p = (1 + (maxima >= grid[:, None]).sum(axis=1)) / (1 + number)
    assert ((p <= alpha) == (grid > inference.critical(alpha))).all()


def test_few_permutations_have_no_critical_score():
    inference = Inference(np.zeros(1), np.ones(1), np.arange(18.0))
    assert inference.critical(0.05) == np.inf and inference.critical(0.06) == 17


def test_the_size_of_blocks_changes_nothing(monkeypatch):
    lesions, outcome, nuisance = simulate()
    whole, _ = infer(model(lesions, outcome, nuisance), 25)
    sizes = []
    monkeypatch.setattr(permutation, "BLOCK_BYTES", 8 * UNITS * 10)
    blocks, _ = infer(model(lesions, outcome, nuisance), 25, progress=sizes.append)
    assert sizes == [10, 10, 5]
    assert blocks.p.tolist() == whole.p.tolist()
    np.testing.assert_allclose(blocks.maxima, whole.maxima, rtol=1e-12)


def test_the_same_seed_gives_identical_results():
    first, second = (infer(model(*simulate()), 25)[0] for _ in range(2))
    for name in ("scores", "p", "maxima"):
        assert getattr(first, name).tolist() == getattr(second, name).tolist()
    other = next(model(*simulate()).permutations(25, seed=SEED + 1))
    assert np.abs(other).max(axis=0).tolist() != first.maxima.tolist()


def test_dense_and_sparse_units_have_the_same_results():
    lesions, outcome, nuisance = simulate()
    order = np.random.default_rng(0).permutation(UNITS)
    expected, _ = infer(model(lesions, outcome, nuisance), 15)
    result, _ = infer(model(lesions[:, order], outcome, nuisance), 15)
    assert result.p.tolist() == expected.p[order].tolist()


@pytest.fixture(scope="module")
def volume():
    """Lesions of a small grid with a margin, and the outcome of a corner."""
    rng = np.random.default_rng(5)
    mask = np.zeros((7, 8, 6), bool)
    mask[1:6, 2:7, 1:4] = rng.random((5, 5, 3)) < 0.9
    centers = rng.integers((1, 2, 1), (6, 7, 4), size=(NUMBER, 3))
    points = np.argwhere(mask)
    lesions = (np.linalg.norm(points[None] - centers[:, None], axis=2) < 2.3).astype(float)
    outcome = lesions[:, :4].sum(axis=1) + rng.normal(size=NUMBER)
    return nib.Nifti1Image(mask.astype(np.uint8), np.diag([2.0, 2, 2, 1])), lesions, outcome


@pytest.mark.parametrize("direction", [0, 1])
def test_tfce_scores_of_nilearn(volume, direction):
    img, lesions, outcome = volume
    masker = NiftiMasker(img).fit()
    theirs = permuted_ols(
        outcome[:, None],
        lesions,
        n_perm=2,
        two_sided_test=direction == 0,
        tfce=True,
        masker=masker,
        output_type="dict",
    )
    fitted = model(lesions, outcome, np.empty((NUMBER, 0)))
    enhance = TFCE.of(img, np.flatnonzero(np.asanyarray(img.dataobj)), direction)
    plain, enhanced = infer(fitted, 10, direction, enhance)
    np.testing.assert_allclose(plain.scores, theirs["t"][0], atol=1e-5)
    largest = np.abs(plain.scores).max() if direction == 0 else plain.scores.max()
    step = largest / TFCE_STEPS  # Nilearn omits it
    np.testing.assert_allclose(enhanced.scores, step * theirs["tfce"][0], rtol=1e-5)


def test_tfce_of_the_other_direction_is_mirrored(volume):
    img, lesions, outcome = volume
    voxels = np.flatnonzero(np.asanyarray(img.dataobj))
    results = [
        infer(
            model(lesions, sign * outcome, np.empty((NUMBER, 0))), 20, sign, TFCE.of(img, voxels, sign)
        )[1]
        for sign in (1, -1)
    ]
    np.testing.assert_allclose(results[0].scores, -results[1].scores, rtol=1e-9)
    assert results[0].p.tolist() == results[1].p.tolist()
    assert (results[0].scores >= 0).all()


@DIRECTIONS
def test_corrected_p_values_of_tfce_by_a_plain_loop(volume, direction):
    img, lesions, outcome = volume
    enhance = TFCE.of(img, np.flatnonzero(np.asanyarray(img.dataobj)), direction)
    fitted = model(lesions, outcome, np.empty((NUMBER, 0)))
    _, enhanced = infer(fitted, 20, direction, enhance)
    rng = np.random.default_rng(SEED)
    maxima = []
    for _ in range(20):
        t = model(lesions, rng.permutation(outcome), np.empty((NUMBER, 0))).fit().t
        maxima.append((np.abs(enhance(t)) if direction == 0 else direction * enhance(t)).max())
    scores = enhance(fitted.fit().t)
    scores = np.abs(scores) if direction == 0 else direction * scores
    reached = (np.array(maxima)[:, None] >= scores * (1 - 1e-9)).sum(axis=0)
    np.testing.assert_allclose(enhanced.p, (1 + reached) / 21)
