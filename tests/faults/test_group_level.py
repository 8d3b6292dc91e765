"""Inputs of the group level: labels, participants.tsv and QC ratings."""

import shutil

import numpy as np
import pandas as pd
import pytest
from faults.inputs import in_template
from faults.running import participant, run

from bids_stroke.bids import record
from bids_stroke.cli.run import main
from bids_stroke.execution.group_notices import _notices_of_order
from bids_stroke.spatial.templates import TEMPLATE

pytestmark = pytest.mark.slow

SESSIONS = ("sub-01_ses-1", "sub-01_ses-2", "sub-02_ses-1")


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    """A dataset of three sessions with lesion masks, and its participant-level derivatives."""
    root = tmp_path_factory.mktemp("group") / "bids"
    for name in SESSIONS:
        folder = root.joinpath(*name.split("_"))
        in_template(lambda mask: mask)(folder, "x")
        (path,) = (folder / "anat").iterdir()
        path.rename(path.with_name(path.name.replace("sub-x", name)))
    (root / "dataset_description.json").write_text('{"Name": "x", "BIDSVersion": "1.10.0"}')
    out = root.parent / "out"
    assert run(*participant(root, out)).returncode == 0
    return root, out


@pytest.fixture
def group(cohort, tmp_path, capsys):
    """Function that runs the group level on a copy and returns its status and output."""
    root, out = cohort
    bids = shutil.copytree(root, tmp_path / "bids")
    copy = shutil.copytree(out, tmp_path / "out", ignore=shutil.ignore_patterns("work"))

    def level(*options, people=None):
        if people is not None:
            (bids / "participants.tsv").write_text(people)
        status = main([str(bids), str(copy), "group", *map(str, options)])
        shown = capsys.readouterr()
        return status, shown.out + shown.err

    level.out, level.bids = copy, bids
    return level


def sessions(folder, name="group_lesion.tsv"):
    table = pd.read_csv(folder / name, sep="\t")
    return (table["participant_id"] + "_" + table["session_id"]).tolist()


@pytest.mark.parametrize(
    ("options", "included"),
    [
        (["--participant-label", "01"], SESSIONS[:2]),
        (["--session-label", "ses-1"], (SESSIONS[0], SESSIONS[2])),
        (["--participant-label", "sub-01", "--session-label", "2"], SESSIONS[1:2]),
    ],
)
def test_labels_filter(group, table, options, included):
    """Labels apply to the table, the map, the report and the evaluation."""
    status, shown = group(*options, "--ground-truth", group.bids, "--nprocs", "1")
    assert status == 0
    assert sessions(group.out) == sessions(group.out, "evaluation/evaluation.tsv") == list(included)
    page = (group.out / "group.html").read_text()
    notice = f"Only the {len(included)} sessions with the requested labels are included."
    assert notice in page and notice in shown
    table.add("Group level", " ".join(options), 0, notice, "the table of these sessions")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--participant-label", "1"], "has no participant 1; check --participant-label."),
        (["--session-label", "3"], "has no session 3; check --session-label."),
    ],
)
def test_missing_labels(group, table, options, words):
    status, shown = group(*options)
    assert status == 2 and words in shown
    table.add("Group level", " ".join(options), 2, shown, "nothing")


@pytest.mark.parametrize(
    ("case", "text"),
    [
        ("ids without sub-", "participant_id\tsex\n01\tF\n02\tM\n"),
        ("ids and values with blanks around", " participant_id \tsex\n sub-01 \tF \n sub-02\t M\n"),
    ],
)
def test_ids_that_match(group, table, case, text):
    status, shown = group("--group-by", "sex", people=text)
    assert status == 0 and "participants.tsv" not in shown
    counts = pd.read_csv(group.out / "group_loads.tsv", sep="\t").set_index("group")["n_sessions"]
    assert counts.to_dict() == {"all": 3, "F": 2, "M": 1}
    table.add("participants.tsv", case, 0, shown.splitlines()[0], "the table, with these columns")


@pytest.mark.parametrize(
    ("case", "text", "named"),
    [
        ("ids with fewer zeros", "participant_id\tsex\nsub-1\tF\nsub-02\tM\n", ("sub-01", "sub-1.")),
        (
            "ids in another case",
            "participant_id\tsex\nSUB-01\tF\nsub-02\tM\n",
            ("sub-01", "sub-SUB-01"),
        ),
    ],
)
def test_unmatched_ids_are_reported_for_both_tables(group, table, case, text, named):
    status, shown = group("--group-by", "sex", people=text)
    assert status == 0
    first, second = (line for line in shown.splitlines() if "participants.tsv has" in line)
    assert f"has no row for {named[0]};" in first and named[1] in second
    page = (group.out / "group.html").read_text()
    assert first in page and second in page
    table.add("participants.tsv", case, 0, f"{first} {second}", "the table; n/a where no row is")


@pytest.mark.parametrize(
    ("case", "text"),
    [
        ("--group-by without matching ids", "participant_id\tsex\nsub-1\tF\nsub-2\tM\n"),
        ("--group-by of an empty column", "participant_id\tsex\nsub-01\tn/a\nsub-02\t \n"),
    ],
)
def test_a_grouping_without_groups_is_an_error(group, table, case, text):
    status, shown = group("--group-by", "sex", people=text)
    assert status == 2 and "participants.tsv has no value of sex for any session" in shown
    assert not (group.out / "group_lesion.tsv").exists()
    table.add("participants.tsv", case, 2, shown, "nothing")


def test_group_by_uses_the_column_of_participants(group):
    """``hemisphere`` of participants.tsv is used, not that of the lesion."""
    text = "participant_id\themisphere\nsub-01\tdominant\nsub-02\tother\n"
    status, _ = group("--group-by", "hemisphere", people=text)
    counts = pd.read_csv(group.out / "group_loads.tsv", sep="\t").set_index("group")["n_sessions"]
    assert status == 0 and counts.to_dict() == {"all": 3, "dominant": 2, "other": 1}


def test_ratings_are_matched_or_reported(group, tmp_path, table):
    """An id without leading zero is reported; a session without prefix is rejected."""
    path = tmp_path / "ratings.tsv"
    path.write_text("participant_id\tsession_id\trating\n sub-01 \t2\treject \nsub-2\tn/a\treject\n")
    status, shown = group("--qc-ratings", path)
    assert status == 0 and sessions(group.out) == [SESSIONS[0], SESSIONS[2]]
    (line,) = (line for line in shown.splitlines() if "ratings.tsv" in line)
    assert line.endswith("rejects sub-2, but there is no such session.")
    assert "rejects sub-2" in (group.out / "group.html").read_text()
    table.add("Group level", "a rating of a missing session", 0, line, "the other sessions")


def test_ratings_of_several_raters_are_merged(group, tmp_path):
    """Two tables; half of the raters suffice to reject. The merged table can be read again."""
    header = "participant_id\tsession_id\trating\treasons\trater\tdate\tnotes\n"
    rows = {
        "anna": "01\t1\taccept\t\tanna\t\t\n01\t2\treject\talignment\tanna\t\tblurred\n",
        "ben": "01\t1\taccept\t\tben\t\t\n01\t2\taccept\t\tben\t\t\n",
    }
    paths = []
    for name, text in rows.items():
        paths.append(tmp_path / f"{name}.tsv")
        paths[-1].write_text(header + text)
    status, _ = group("--qc-ratings", *paths)
    assert status == 0 and sessions(group.out) == [SESSIONS[0], SESSIONS[2]]
    merged = pd.read_csv(group.out / "group_ratings.tsv", sep="\t")
    assert merged["rating"].tolist() == ["accept", "reject"] and merged["n_reject"].tolist() == [0, 1]
    page = (group.out / "group.html").read_text()
    assert "Cohen&#39;s kappa: 0.00" in page and "alignment; blurred" in page
    copy = tmp_path / "merged.tsv"
    copy.write_text((group.out / "group_ratings.tsv").read_text())
    assert group("--qc-ratings", copy)[0] == 0
    assert sessions(group.out) == [SESSIONS[0], SESSIONS[2]]
    assert group()[0] == 0 and not (group.out / "group_ratings.tsv").exists()
    assert len(sessions(group.out)) == 3


def test_a_quote_in_a_rating_does_not_merge_rows(group, tmp_path, table):
    path = tmp_path / "ratings.tsv"
    rows = 'sub-01\tses-1\taccept\t"unclear\nsub-01\tses-2\treject\tmoved\nsub-02\tn/a\taccept\t"ok"'
    path.write_text(f"participant_id\tsession_id\trating\tnotes\n{rows}\n")
    status, shown = group("--qc-ratings", path)
    assert status == 0 and sessions(group.out) == [SESSIONS[0], SESSIONS[2]]
    table.add("Group level", "a lone quote in a rating", 0, shown.splitlines()[0], "the other sessions")


def test_a_participant_with_and_without_sessions_is_reported(group, table):
    """Outputs of a dataset in which folders were moved into sessions."""
    listing = record.read(group.out, SESSIONS[2])
    listing.name = "sub-02"
    listing.write(group.out)
    status, shown = group()
    (line,) = (line for line in shown.splitlines() if "both with and without ses-" in line)
    assert status == 0 and "ses-: sub-02." in line
    assert line in (group.out / "group.html").read_text()
    table.add("Group level", "a participant with and without sessions", 0, line, "all, and the warning")


def test_ratings_that_reject_all_sessions(group, tmp_path):
    path = tmp_path / "ratings.tsv"
    path.write_text("participant_id\trating\n01\treject\n02\treject\n")
    status, shown = group("--qc-ratings", path)
    assert status == 1 and "rejects every session; check the ratings." in shown


def test_strict_excludes_sessions_from_the_evaluation(group):
    listing = record.read(group.out, SESSIONS[0])
    listing.flags["bright"] = "It is bright."
    listing.write(group.out)
    status, _ = group("--strict", "--ground-truth", group.bids, "--nprocs", "1")
    assert status == 1
    assert sessions(group.out) == sessions(group.out, "evaluation/evaluation.tsv") == [*SESSIONS[1:]]


def test_lesions_of_several_models_are_reported(group, table):
    listing = record.read(group.out, SESSIONS[0])
    listing.model = "simstroke"
    listing.write(group.out)
    status, shown = group()
    (line,) = (line for line in shown.splitlines() if "several models" in line)
    assert status == 0 and "user-supplied masks (2), simstroke (1)" in line
    assert line in (group.out / "group.html").read_text()
    table.add("Group level", "sessions of several models", 0, line, "all, and the warning")


def test_a_tract_without_a_map_is_reported(group):
    """Without ``--tract``, the map of a tract of an earlier run is removed."""
    listing = record.read(group.out, SESSIONS[0])
    listing.outputs["loads@XTRACTCST"] = listing.outputs["loads@JuelichCST"]
    listing.write(group.out)
    stem = f"group_space-{TEMPLATE}_atlas-%s_res-1_label-L_load.nii.gz"
    (group.out / (stem % "XTRACTCST")).touch()
    status, shown = group()
    (line,) = (line for line in shown.splitlines() if "No map of the mean load" in line)
    assert status == 0 and "for XTRACTCST; repeat the --tract" in line
    assert [path.name for path in group.out.glob(stem % "*")] == [stem % "JuelichCST"]
    assert line in (group.out / "group.html").read_text()


def test_groups_of_an_evaluation_match_as_well(group):
    people = "participant_id\tsite\n01\tA\n 02 \tB\nsub-03\tA\n"
    status, _ = group("--ground-truth", group.bids, "--nprocs", "1", people=people)
    scores = pd.read_csv(group.out / "evaluation/evaluation_summary.tsv", sep="\t")
    rows = scores[(scores["grouping"] == "site") & (scores["score"] == "dice")]
    assert status == 0 and dict(zip(rows["group"], rows["n"], strict=True)) == {"A": 2, "B": 1}
    assert np.allclose(rows["mean"], 1)


def test_manual_masks_of_other_names_are_reported(group, tmp_path):
    """The tables and the report are written, and name the difference."""
    (mask,) = group.bids.glob("sub-02/ses-1/anat/*.nii.gz")
    truth = tmp_path / "truth"
    truth.mkdir()
    shutil.copy(mask, truth / mask.name.replace("sub-02", "sub-2"))
    status, shown = group("--ground-truth", truth, "--nprocs", "1")
    (line,) = (line for line in shown.splitlines() if "No predicted mask" in line)
    assert status == 1 and line.endswith("differ in leading zeros; rename one of them.")
    assert line.removeprefix("bids_stroke: error: ") in (group.out / "group.html").read_text()
    assert sessions(group.out) == list(SESSIONS)


@pytest.mark.parametrize(
    ("labels", "named"),
    [(("1", "2"), False), (("V01", "V2"), False), (("post", "pre"), True), (("1yr", "3mo"), True)],
)
def test_an_ambiguous_order_of_sessions_is_reported(labels, named):
    """Changes are computed between sessions in the order of their names."""
    rows = pd.DataFrame(
        {
            "session_id": [f"ses-{label}" for label in labels],
            "previous_session_id": [np.nan, f"ses-{labels[0]}"],
        }
    )
    sentences = list(_notices_of_order(rows))
    assert len(sentences) == named
    assert all(f"ses-{labels[0]}, ses-{labels[1]}" in sentence for sentence in sentences)
