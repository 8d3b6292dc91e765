import pytest

from bids_stroke.errors import DatasetError
from bids_stroke.qc import ratings


def test_read_ratings(tmp_path):
    path = tmp_path / "ratings.tsv"
    path.write_text(
        "\ufeffparticipant_id\tsession_id\trating\tnotes\r\n"
        "sub-01\tses-1\treject\tmotion\r\nsub-01\tses-2\taccept\t\r\n02\tn/a\treject\tn/a\r\n",
        encoding="utf-8",
    )
    rated = ratings.read_ratings(path)
    assert ratings.find_rejection(rated, "sub-01", "ses-1")["notes"] == "motion"
    assert ratings.find_rejection(rated, "sub-01", "ses-2") is None
    assert ratings.find_rejection(rated, "sub-02", "ses-9") is not None, "applies to all sessions"
    assert ratings.find_rejection(rated, "sub-02", "") is not None
    assert ratings.find_rejection(rated, "sub-03", "") is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("participant_id\tnotes\nsub-01\tx\n", "participant_id or rating"),
        ("participant_id\trating\nsub-01\tgood\n", "'good'; use accept or reject"),
        ("", "is not a tab-separated table"),
    ],
)
def test_invalid_ratings_are_rejected(tmp_path, text, message):
    path = tmp_path / "ratings.tsv"
    path.write_text(text)
    with pytest.raises(DatasetError, match=message) as error:
        ratings.read_ratings(path)
    assert str(path) in str(error.value)
