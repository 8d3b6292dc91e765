"""Sentence on the change of a lesion."""

import numpy as np
import pytest

from bids_stroke.reports.participant.longitudinal import describe_change

ROW = {
    "previous_volume_ml": 20.0,
    "volume_ml": 15.0,
    "change_ml": -5.0,
    "change_percent": -25.0,
    "days": np.nan,
    "change_low90_ml": np.nan,
    "change_high90_ml": np.nan,
}


def test_an_empty_lesion_has_no_percentage():
    row = ROW | {"previous_volume_ml": 0.0, "change_ml": 15.0, "change_percent": np.nan}
    text = describe_change(row, [{"class": "new"}, {"class": "new"}])
    assert text == "0 ml, then 15 ml: +15 ml; lesions: 2 new."


@pytest.mark.parametrize(
    ("ends", "verdict"),
    [((-9.0, -1.0), "a change beyond the errors of the volumes"), ((-9.0, 1.0), "no change shown")],
)
def test_verdict_by_the_interval(ends, verdict):
    row = ROW | dict(zip(("change_low90_ml", "change_high90_ml"), ends, strict=True))
    text = describe_change(row, [{"class": "merged_split"}])
    assert f"-5 ml (-25%), 90% interval -9 to {ends[1]:+g} ml: {verdict}" in text
    assert text.endswith("lesions: 1 merged and split.")
