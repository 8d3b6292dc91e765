import pytest

from bids_stroke.errors import DatasetError
from bids_stroke.qc import ratings

SESSIONS = [("sub-01", "ses-1"), ("sub-01", "ses-2"), ("sub-02", ""), ("sub-03", "")]


@pytest.fixture
def write(tmp_path):
    """Function that writes a table of ratings from rows of cells."""

    def function(*rows, name="ratings.tsv"):
        path = tmp_path / name
        path.write_text("\n".join("\t".join(row) for row in rows), encoding="utf-8")
        return path

    return function


def decisions(*paths):
    """Merged rating of each session, by participant and session."""
    merged = ratings.merge_ratings(ratings.rated_sessions(ratings.read_ratings(paths), SESSIONS))
    return {(row.participant_id, row.session_id): row for row in merged.itertuples()}


def test_a_table_without_raters_is_read(tmp_path):
    """The table of version 0.2.0, edited by hand."""
    path = tmp_path / "ratings.tsv"
    path.write_text(
        "\ufeffparticipant_id\tsession_id\trating\tnotes\r\n"
        "sub-01\tses-1\treject\tmotion\r\nsub-01\tses-2\taccept\t\r\n02\tn/a\treject\tn/a\r\n"
        "sub-03\tn/a\tn/a\tlater\r\n",
        encoding="utf-8",
    )
    rated = decisions(path)
    assert {key: row.rating for key, row in rated.items()} == {
        ("sub-01", "ses-1"): "reject",
        ("sub-01", "ses-2"): "accept",
        ("sub-02", ""): "reject",
    }
    assert rated["sub-01", "ses-1"].notes == "motion"
    assert ratings.read_ratings([path]).columns.tolist() == list(ratings.COLUMNS)


def test_a_rating_without_a_session_applies_to_all_sessions(write):
    rated = decisions(
        write(["participant_id", "session_id", "rating"], ["01", "", "reject"], ["01", "2", "accept"])
    )
    assert {key: row.rating for key, row in rated.items()} == dict.fromkeys(SESSIONS[:2], "reject")


HEADER = ["participant_id", "rating", "rater", "reasons", "date"]


def test_several_raters_are_merged(write):
    """The majority decides; a tie rejects."""
    anna = write(
        HEADER,
        ["02", "accept", "anna", "image_quality", ""],
        ["03", "reject", "anna", "missed_lesion+alignment", ""],
    )
    others = write(
        HEADER,
        ["02", "accept", "ben", "", ""],
        ["02", "reject", "cleo", "alignment", ""],
        ["03", "accept", "ben", "alignment", ""],
        name="others.tsv",
    )
    rated = decisions(anna, others)
    first, second = rated["sub-02", ""], rated["sub-03", ""]
    assert (first.rating, first.n_raters, first.n_reject) == ("accept", 3, 1)
    assert first.reasons == "image_quality+alignment"
    assert (second.rating, second.n_raters, second.n_reject) == ("reject", 2, 1)
    assert second.reasons == "missed_lesion+alignment"
    table = ratings.rated_sessions(ratings.read_ratings([anna, others]), SESSIONS)
    verdicts = ratings.verdicts(table)
    assert verdicts.loc["sub-02", ""].to_dict() == {"anna": 0, "ben": 0, "cleo": 1}
    assert verdicts.isna().sum().to_dict() == {"anna": 0, "ben": 0, "cleo": 1}


def test_the_latest_rating_of_a_rater_counts(write):
    """Two exports of the same rater; the later one also withdraws a rating."""
    early, late = "2026-01-01T10:00:00Z", "2026-01-02T10:00:00Z"
    first = write(HEADER, ["02", "reject", "a", "", early], ["03", "reject", "a", "", early])
    second = write(HEADER, ["02", "accept", "a", "", late], ["03", "n/a", "a", "", late], name="b.tsv")
    for paths in ((first, second), (second, first), (first, second, second)):
        rated = decisions(*paths)
        assert {key: row.rating for key, row in rated.items()} == {("sub-02", ""): "accept"}


def test_no_ratings_of_these_sessions(write):
    assert decisions(write(["participant_id", "rating"], ["09", "reject"])) == {}


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
        ratings.read_ratings([path])
    assert str(path) in str(error.value)
