"""Order in which to correct the masks of a cohort."""

import numpy as np
import pandas as pd

from bids_stroke.cohort.queue import order_corrections


def test_failed_checks_come_before_uncertain_masks():
    table = pd.DataFrame(
        {
            "participant_id": ["sub-1", "sub-2", "sub-3", "sub-4", "sub-10", "sub-9"],
            "session_id": [np.nan, "ses-1", np.nan, np.nan, np.nan, np.nan],
            "qc_flags": [np.nan, "no_lesion", np.nan, "agreement+bright", np.nan, np.nan],
            "mean_probability": [0.8, np.nan, 0.4, 0.9, 0.6, 0.6],
            "model": "simstroke",
        },
        index=[9, 8, 7, 6, 5, 4],
    )
    queue = order_corrections(table)
    assert [session.row for session in queue] == [3, 1, 2, 5, 4, 0]
    assert [session.name for session in queue[:2]] == ["sub-4", "sub-2_ses-1"]
    assert queue[0].reasons == ["failed check: agreement, bright", "mean probability 0.90"]
    assert queue[1].reasons == ["failed check: no lesion"]


def test_corrected_and_user_supplied_masks_are_left_out():
    table = pd.DataFrame(
        {
            "participant_id": ["sub-1", "sub-2", "sub-3"],
            "corrected_by": ["Ada", np.nan, np.nan],
            "model": ["simstroke", "own masks", "simstroke"],
        }
    )
    assert [session.name for session in order_corrections(table)] == ["sub-3"]
