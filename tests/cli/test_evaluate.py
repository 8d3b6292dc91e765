"""The evaluation command: files, report and exit status."""

import json

import nibabel as nib
import numpy as np
import pandas as pd
import pytest

from bids_stroke.cli.evaluate import main


@pytest.fixture(scope="module")
def masks(tmp_path_factory):
    """Manual masks of eight participants and two predictions, one without the last participant."""
    root = tmp_path_factory.mktemp("masks")
    rng = np.random.default_rng(0)
    for number in range(8):
        truth = np.zeros((30, 32, 28), np.uint8)
        low, size = rng.integers(4, 12, 3), rng.integers(3, 12)
        truth[tuple(slice(a, a + size) for a in low)] = 1
        made = {"truth": truth, "near": np.roll(truth, 1, 0), "far": np.roll(truth, 2, 1)}
        for model, data in made.items():
            if (model, number) == ("far", 7):
                continue
            folder = root / model / f"sub-{number}"
            folder.mkdir(parents=True)
            path = folder / f"sub-{number}_space-T1w_label-L_mask.nii.gz"
            nib.save(nib.Nifti1Image(data, np.diag([2.0, 2, 2, 1])), path)
    return root


@pytest.fixture(scope="module")
def done(masks):
    out = masks / "out"
    people = masks / "participants.tsv"
    lines = [f"sub-{n}\t{'AB'[n % 2]}" for n in range(8)]
    people.write_text("\n".join(["participant_id\tsite", *lines]) + "\n")
    command = [str(masks / "near"), f"other={masks / 'far'}", str(masks / "truth"), str(out)]
    status = main([*command, "--participants", str(people), "--nprocs", "2"])
    return status, out


def test_every_file_is_written(done):
    status, out = done
    assert status == 1  # one pair could not be compared
    for name in (
        "evaluation",
        "evaluation_lesions",
        "evaluation_summary",
        "evaluation_comparisons",
        "evaluation_agreement",
        "evaluation_categories",
    ):
        table = pd.read_csv(out / f"{name}.tsv", sep="\t")
        assert list(table) == list(json.loads((out / f"{name}.json").read_text()))
        assert len(table) or name == "evaluation_categories"  # these masks have no transforms
    assert (out / "tables" / "S2_table2.md").read_text().startswith("| Methods")
    for kind in ("svg", "png"):
        assert (out / "figures" / f"scores.{kind}").stat().st_size > 5000
    summary = pd.read_csv(out / "evaluation_summary.tsv", sep="\t")
    assert set(summary[summary.grouping == "site"].group) == {"A", "B"}


def test_page_shows_scores_and_failures(done):
    page = (done[1] / "evaluation.html").read_text()
    assert "no predicted mask of sub-7" in page
    assert page.count("<svg") >= 3 and "http" not in page.split("<body", 1)[0]


def test_page_shows_errors_with_median_number_and_ml(done):
    page = (done[1] / "evaluation.html").read_text()
    scores = pd.read_csv(done[1] / "evaluation_summary.tsv", sep="\t")
    for score in ("er_lv", "absolute_volume_difference_ml"):
        row = scores.query("model == 'near' and grouping == 'all' and score == @score").iloc[0]
        assert f"; median {row['median']:.3g}, n 8" in page and f"<th>{score}</th>" in page
    assert "from 8 independent units" in page
    assert "15 pairs have remarks" in page


def test_the_heads_of_simulated_participants_are_units(masks, tmp_path):
    people = tmp_path / "participants.tsv"
    lines = [f"sub-{n}\thead{n // 4}" for n in range(8)]
    people.write_text("\n".join(["participant_id\thead", *lines]) + "\n")
    command = [masks / "near", masks / "truth", tmp_path / "out", "--participants", people]
    assert main(list(map(str, command))) == 0
    rows = pd.read_csv(tmp_path / "out/evaluation.tsv", sep="\t")
    scores = pd.read_csv(tmp_path / "out/evaluation_summary.tsv", sep="\t")
    row = scores.query("grouping == 'all' and score == 'dice'").iloc[0]
    assert rows["unit"].tolist() == ["head0"] * 4 + ["head1"] * 4
    means = rows.groupby("unit")["dice"].mean()
    assert (row["n"], row["units"]) == (8, 2)
    assert (row["low"], row["high"]) == pytest.approx((means.min(), means.max()))
    assert "from 2 independent units" in (tmp_path / "out/evaluation.html").read_text()


def test_usage_errors(masks, tmp_path, capsys):
    truth, out = str(masks / "truth"), str(tmp_path / "out")
    assert main([str(tmp_path / "none"), truth, out]) == 2
    assert "does not exist or is not a folder" in capsys.readouterr().err
    assert main([str(masks / "near"), str(masks / "near"), truth, out]) == 2
    assert "have the name near" in capsys.readouterr().err
    (tmp_path / "empty").mkdir()
    assert main([str(masks / "near"), str(tmp_path / "empty"), out]) == 1
    assert "contains no lesion mask" in capsys.readouterr().err
    assert main([str(masks / "near"), truth, out, "--participants", str(tmp_path / "no.tsv")]) == 2
    assert main([str(masks / "near"), str(tmp_path / "none"), out]) == 2
    assert "none does not exist or is not a folder; give the folder of the manual masks." in (
        capsys.readouterr().err
    )
    assert not (tmp_path / "out").exists()


def test_options_between_folders_and_a_folder_with_an_equals_sign(tmp_path, capsys):
    folders = [write_masks(tmp_path / name, ["a"]) for name in ("rate=0.1", "other", "true")]
    command = [*folders[:2], "--nprocs", "1", folders[2], str(tmp_path / "out")]
    assert main(command) == 1, "the masks are too small for a head"
    models = pd.read_csv(tmp_path / "out/evaluation.tsv", sep="\t")["model"]
    assert list(models) == ["rate=0.1", "other"]


def test_ids_of_participants_are_matched_or_reported(masks, tmp_path, capsys):
    command = [str(masks / "near"), str(masks / "truth"), str(tmp_path / "out")]
    people = tmp_path / "participants.tsv"
    people.write_text("participant_id\tsite\n" + "".join(f" {n}\tA\n" for n in range(1, 9)))
    assert main([*command, "--participants", str(people)]) == 0
    shown = capsys.readouterr().out
    assert "has no row for sub-0;" in shown and "without a session: sub-8." in shown
    people.write_text("participant_id\tsite\nsub-00\tA\n")
    assert main([*command, "--participants", str(people)]) == 2
    assert "has no row for any compared participant" in capsys.readouterr().err


#: Names of predicted and true masks without a match, and the differences that are reported.
MISMATCHES = {
    "a missing sub-": (["01", "02"], ["sub-01", "sub-02"], "the prefix sub-"),
    "true masks without sub-": (["sub-01_label-L_mask"], ["01"], "the prefix sub-"),
    "a session in the true masks only": (
        ["sub-01_label-L_mask"],
        ["sub-01_ses-1_label-L_mask"],
        "the session",
    ),
    "a session in the predicted masks only": (
        ["sub-01_ses-1_label-L_mask", "sub-02_ses-1_label-L_mask"],
        ["sub-01_label-L_mask"],
        "the session",
    ),
    "zeros": (["sub-1_label-L_mask"], ["sub-001_label-L_mask"], "leading zeros"),
    "case": (["sub-Pat1_label-L_mask"], ["sub-PAT1_label-L_mask"], "upper and lower case"),
    "words": (["sub-01_ses-1_pred"], ["sub-01_ses-1_label-L_mask"], "other parts of the file name"),
    "parts of names without sub-": (["7_T1w_pred"], ["7"], "other parts of the file name"),
    "a missing sub- and zeros": (["1"], ["sub-01"], "the prefix sub- and leading zeros"),
}


def write_masks(folder, names):
    folder.mkdir()
    for name in names:
        nib.save(nib.Nifti1Image(np.ones((2, 2, 2), np.uint8), np.eye(4)), folder / f"{name}.nii.gz")
    return str(folder)


@pytest.mark.parametrize("case", MISMATCHES)
def test_the_likely_cause_is_reported_if_no_mask_matches(tmp_path, capsys, case):
    predicted, true, difference = MISMATCHES[case]
    folders = write_masks(tmp_path / "pred", predicted), write_masks(tmp_path / "true", true)
    assert main([*folders, str(tmp_path / "out")]) == 1
    shown = capsys.readouterr()
    (line,) = (shown.out + shown.err).splitlines()
    assert "No predicted mask matches a true mask: " in line
    assert line.endswith(f" differ in {difference}; rename one of them.")
    assert all(folder in line for folder in folders) and not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", ["head_8", "case_8", "case_B"])
def test_masks_of_other_participants(tmp_path, capsys, name):
    folders = write_masks(tmp_path / "pred", ["case_7"]), write_masks(tmp_path / "true", [name])
    assert main([*folders, str(tmp_path / "out")]) == 1
    line = capsys.readouterr().err
    assert "has masks such as case_7, and" in line and f"such as {name}; check the folders." in line


def test_the_cause_is_one_sentence_for_several_models(tmp_path, capsys):
    folders = [write_masks(tmp_path / name, ["01"]) for name in ("first", "second")]
    true = write_masks(tmp_path / "true", ["sub-01"])
    assert main([*folders, true, str(tmp_path / "out")]) == 1
    line = capsys.readouterr().err
    assert line.count("No predicted mask matches a true mask: ") == 1 and folders[0] in line


def test_folders_in_another_order(tmp_path, capsys):
    """The folder of the true masks is given as OUT."""
    folders = write_masks(tmp_path / "pred", ["a"]), write_masks(tmp_path / "true", ["a"])
    (tmp_path / "out").mkdir()
    assert main([folders[0], str(tmp_path / "out"), folders[1]]) == 2
    assert "give the folders in the order PRED, TRUTH, OUT." in capsys.readouterr().err
    assert main([str(tmp_path / "out"), folders[1], str(tmp_path / "new")]) == 1
    assert "out contains no lesion mask; check the path" in capsys.readouterr().err


def test_the_cause_is_reported_for_a_model_and_single_masks_for_others(masks, tmp_path, capsys):
    other = write_masks(tmp_path / "other", [f"{n}_pred" for n in range(8)])
    command = [str(masks / "far"), other, str(masks / "truth"), str(tmp_path / "out")]
    assert main(command) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("other: No predicted mask matches a true mask: 0_pred in ")
    assert lines[1] == f"sub-7  far: {masks / 'far'} contains no predicted mask of sub-7."
    assert len(lines) == 4 and lines[3].startswith("Compared pairs: 7; not compared: 17; see ")
