import numpy as np
import pandas as pd
import pytest

from bids_stroke.qc import robust


def test_robust_z_by_hand():
    values = pd.Series([1.0, 2, 3, 4, np.nan, 100])
    # Median 3, absolute deviations 2 1 0 1 97: their median is 1.
    np.testing.assert_allclose(
        robust.robust_z(values), [-1.349, -0.6745, 0, 0.6745, np.nan, 0.6745 * 97]
    )
    mostly_equal = pd.Series([5.0, 5, 5, 5, 10])
    assert robust.robust_z(mostly_equal).iloc[-1] == pytest.approx(5 / 1.2533)
    assert robust.robust_z(pd.Series([2.0, 2, 2])).eq(0).all()
