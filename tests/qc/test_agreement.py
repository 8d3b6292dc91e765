import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import cohen_kappa_score
from statsmodels.stats.inter_rater import fleiss_kappa

from bids_stroke.qc.agreement import agreement, kappa


@pytest.fixture
def rejects():
    """Correlated ratings of 60 sessions by four raters."""
    rng = np.random.default_rng(1)
    truth = rng.random((60, 1)) < 0.3
    return truth ^ (rng.random((60, 4)) < [0.05, 0.1, 0.2, 0.3])


def test_two_raters_have_the_kappa_of_cohen(rejects):
    pair = rejects[:, 1:3]
    assert kappa(pair) == pytest.approx(cohen_kappa_score(*pair.T))


def test_more_raters_have_the_kappa_of_fleiss(rejects):
    counts = np.column_stack([rejects.sum(axis=1), (~rejects).sum(axis=1)])
    assert kappa(rejects) == pytest.approx(fleiss_kappa(counts))


def test_limits_of_kappa(rejects):
    assert kappa(np.repeat(rejects[:, :1], 3, axis=1)) == 1
    assert kappa(np.column_stack([rejects[:, 0], ~rejects[:, 0]])) < 0
    assert np.isnan(kappa(np.zeros((5, 2), bool)))


def test_agreement_is_that_of_the_sessions_that_all_rated(rejects):
    verdicts = pd.DataFrame(rejects[:, :2].astype(float), columns=["anna", "ben"])
    verdicts.loc[40:, "ben"] = np.nan
    result = agreement(verdicts)
    assert (result.raters, result.sessions) == (("anna", "ben"), 40)
    assert result.name == "Cohen's kappa"
    assert result.kappa == kappa(rejects[:40, :2]) and result.low < result.kappa < result.high
    assert result.identical == (rejects[:40, 0] == rejects[:40, 1]).mean()
    three = agreement(pd.DataFrame(rejects[:, :3].astype(float), columns=list("abc")))
    assert three.name == "Fleiss' kappa" and three.sessions == 60


def test_agreement_needs_a_session_that_several_raters_rated():
    alone = pd.DataFrame({"anna": [1.0, 0.0]})
    assert agreement(alone) is None
    assert agreement(alone.assign(ben=np.nan)) is None
    same = agreement(pd.DataFrame({"anna": [0.0, 0.0], "ben": [0.0, 0.0]}))
    assert same.identical == 1 and np.isnan(same.kappa)
