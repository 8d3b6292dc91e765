import pytest

from bids_stroke.errors import DatasetError
from bids_stroke.qc import ratings


def test_ratings_are_read(tmp_path):
    path = tmp_path / "ratings.tsv"
    path.write_text(
        "\ufeffparticipant_id\tsession_id\trating\tnotes\r\n"
        "sub-01\tses-1\treject\tmotion\r\nsub-01\tses-2\taccept\t\r\n02\tn/a\treject\tn/a\r\n",
        encoding="utf-8",
    )
    rated = ratings.read_ratings(path)
    assert ratings.find_rejection(rated, "sub-01", "ses-1")["notes"] == "motion"
    assert ratings.find_rejection(rated, "sub-01", "ses-2") is None
    assert ratings.find_rejection(rated, "sub-02", "ses-9") is not None, "of all sessions"
    assert ratings.find_rejection(rated, "sub-02", "") is not None
    assert ratings.find_rejection(rated, "sub-03", "") is None


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
        ratings.read_ratings(path)
    assert str(path) in str(error.value)
