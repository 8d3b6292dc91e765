"""Outcomes at the group level, from the command line to the files."""

import html
import json
import re
import shutil
from pathlib import Path
from typing import NamedTuple

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from cohorts import NAMES, NUMBER, SCORES, add_session, write_cohort
from faults.running import run
from scipy import stats

from bids_stroke.bids import logs
from bids_stroke.cli.run import main
from bids_stroke.cohort import association, symptom_maps
from bids_stroke.cohort.lesion_matrix import template_2mm
from bids_stroke.cohort.outcome_tables import SUMMARY_COLUMNS
from bids_stroke.spatial.templates import TEMPLATE

pytestmark = pytest.mark.slow

STEM = f"group_space-{TEMPLATE}_res-2_desc-"
STATISTICS = ("t", "effect", "p", "power")
OPTIONS = ("--outcome", "range", "score", "--covariates", "age", "sex", "--permutations", "39")


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    """A dataset and derivatives; one participant has a second session."""
    bids, out = write_cohort(tmp_path_factory.mktemp("cohort"))
    add_session(out, "sub-03_ses-10", (30.0, 0, 10), 9, "right")
    for name in NAMES:
        (out / f"{name}.html").touch()
    return bids, out


class Level:
    """The group level on a copy of the dataset and of an output folder."""

    def __init__(self, bids, out, root, capfd):
        self.bids = shutil.copytree(bids, root / "bids")
        self.out = shutil.copytree(out, root / "out")
        self._capfd = capfd

    def __call__(self, *options):
        """Return the status and the lines of the standard output and of the standard error."""
        words = [self.bids, self.out, "group", "--nprocs", "1", *options]
        status = main(list(map(str, words)))
        shown = self._capfd.readouterr()
        assert "Traceback" not in shown.err and "Warning" not in shown.err, shown.err
        return status, shown.out.splitlines(), shown.err.splitlines()


@pytest.fixture
def group(cohort, tmp_path, capfd):
    """The group level on a copy of the cohort."""
    return Level(*cohort, tmp_path, capfd)


class Analyzed(NamedTuple):
    """Result of a run with ``OPTIONS``."""

    out: Path
    status: int
    shown: list[str]
    errors: list[str]


@pytest.fixture(scope="module")
def analyzed(cohort, tmp_path_factory):
    """Outputs of two outcomes, of which one cannot be analyzed."""
    bids, out = cohort
    copy = shutil.copytree(out, tmp_path_factory.mktemp("analyzed") / "out")
    done = run(bids, copy, "group", "--nprocs", "1", *OPTIONS)
    assert "Warning" not in done.stderr, done.stderr
    return Analyzed(copy, done.returncode, done.stdout.splitlines(), done.stderr.splitlines())


def outcome_files(out):
    """Names of the files of outcomes."""
    names = {path.name for path in out.iterdir() if path.name.startswith((STEM, "group_outcome"))}
    return names | {path.name for path in out.glob("group_desc-*")}


def map_files(label, statistics=STATISTICS):
    """Names of the maps of an outcome, with sidecars."""
    stems = [f"{STEM}{label}_stat-{stat}_statmap" for stat in statistics]
    stems += [f"{STEM}{label}_{suffix}" for suffix in ("mask", "count")]
    return {stem + extension for stem in stems for extension in (".nii.gz", ".json")}


TABLES = {
    f"group_outcome{name}{extension}"
    for name in ("", "_tests", "_summary", "_data")
    for extension in (".tsv", ".json")
}


def table(out, name=""):
    return pd.read_csv(out / f"group_outcome{name}.tsv", sep="\t")


def test_two_outcomes_of_which_one_is_bad(analyzed):
    """The other outcome and all other outputs are written, and the reason is one sentence."""
    out, status, shown, errors = analyzed
    assert status == 1
    assert errors == [
        "bids_stroke: error: The column range of participants.tsv has text instead of a number for "
        "sub-06 (high); correct these rows, or write n/a."
    ]
    (sessions,) = (line for line in shown if "first session of participants" in line)
    assert sessions.endswith(
        "with several sessions: sub-03 ses-1. Use --session-label for another session."
    )
    assert not any("different names" in line for line in shown)
    (bilateral,) = (line for line in shown if "bilateral" in line)
    assert bilateral.startswith("For 2 participants with a bilateral") and "sub-06, sub-13" in bilateral
    assert outcome_files(out) == map_files("score") | TABLES | {"group_desc-score_viewer.html"}
    page = (out / "group.html").read_text()
    assert all(line.removeprefix("bids_stroke: error: ") in page for line in (*errors, sessions))


def test_tables(analyzed):
    """Tables have their columns, all participants, and a description of each column."""
    out = analyzed.out
    for name, columns in (
        ("", association.COLUMNS),
        ("_tests", symptom_maps.COLUMNS),
        ("_summary", SUMMARY_COLUMNS),
        ("_data", None),
    ):
        described = json.loads((out / f"group_outcome{name}.json").read_text())
        assert list(table(out, name)) == list(described) == list(columns or described)
        assert all(entry["Description"] for entry in described.values())
    measures = table(out)
    assert measures["measure"].tolist()[:4] == [
        "lesion_volume_mni_ml",
        *(f"cst_{load}_ipsilesional" for load in ("weighted_load_ml", "raw_load_ml", "max_slice_load")),
    ]
    assert len(measures) == 8 and (measures["n"] == NUMBER).all()
    assert (measures["outcome"] == "score").all() and measures["spearman_p_holm"].notna().all()
    assert table(out, "_tests")["p_fwe"].notna().sum() >= 3
    (summary,) = table(out, "_summary").to_dict("records")
    assert (summary["n"], summary["seed"], summary["permutations"]) == (NUMBER, 0, 39)
    assert (summary["file_label"], summary["source"]) == ("score", "participants.tsv")
    assert summary["covariates"] == "age+sex: M" and summary["min_overlap"] == 5
    data = table(out, "_data")
    assert data["participant_id"].tolist() == NAMES and set(data["session_id"]) == {"ses-1"}
    assert data["outcome_score"].tolist() == list(SCORES)
    lesions = pd.read_csv(out / "group_lesion.tsv", sep="\t")
    first = lesions[lesions["session_id"] == "ses-1"].set_index("participant_id")
    np.testing.assert_allclose(data["lesion_volume_mni_ml"], first["lesion_volume_mni_ml"])
    larger = first[["cst_raw_load_ml_left", "cst_raw_load_ml_right"]].max(axis=1)
    np.testing.assert_allclose(data["cst_raw_load_ml_ipsilesional"], larger)


def test_the_data_reproduce_the_tables(analyzed):
    """Tables contain six significant digits."""
    data, measures = table(analyzed.out, "_data"), table(analyzed.out).set_index("measure")
    tests = table(analyzed.out, "_tests").set_index("measure")
    outcome, load = data["outcome_score"], "cst_weighted_load_ml_ipsilesional"
    data["log_volume"] = np.log(data["lesion_volume_mni_ml"])

    def fit(*columns):
        names = ["log_volume", "covariate_age", "covariate_sex: M", *columns]
        return sm.OLS(outcome, sm.add_constant(data[names])).fit()

    spearman = stats.spearmanr(data[load], outcome)
    row = measures.loc[load, ["spearman", "spearman_p", "r2_baseline", "r2", "partial_p"]].tolist()
    with_load = fit(load)
    expected = [spearman.statistic, spearman.pvalue, fit().rsquared]
    expected += [with_load.rsquared, with_load.pvalues[load]]
    assert row == pytest.approx(expected, rel=1e-4)
    for name in (load, *tests.index[tests["family"] == "SuperRegions"]):
        column = name if name == load else f"SuperRegions_{name}"
        test = fit("lesion_volume_mni_ml", column)
        if np.isfinite(tests.loc[name, "t"]):
            expected = [test.params[column], test.tvalues[column], test.df_resid]
            assert tests.loc[name, ["effect", "t", "df"]].tolist() == pytest.approx(expected, rel=1e-3)


def test_maps(analyzed):
    """Maps are finite, on the grid of 2 mm, and consistent with each other and with the summary."""
    out = analyzed.out
    maps = {stat: nib.load(out / f"{STEM}score_stat-{stat}_statmap.nii.gz") for stat in STATISTICS}
    maps |= {name: nib.load(out / f"{STEM}score_{name}.nii.gz") for name in ("mask", "count")}
    values = {name: img.get_fdata() for name, img in maps.items()}
    for name, img in maps.items():
        assert img.shape == template_2mm().shape and np.isfinite(values[name]).all()
        np.testing.assert_array_equal(img.affine, template_2mm().affine)
    tested = values["mask"] == 1
    (summary,) = table(out, "_summary").to_dict("records")
    assert tested.sum() == summary["n_voxels"] > 100
    assert (values["count"][tested] >= 5).all() and (values["count"][tested] <= NUMBER - 5).all()
    for name, outside in (("t", 0), ("effect", 0), ("power", 0), ("count", 0), ("p", 1)):
        assert (values[name][~tested] == outside).all()
    assert values["p"].min() == pytest.approx(summary["peak_p"], rel=1e-5) and values["p"].max() == 1
    assert summary["peak_p"] >= 1 / 40
    assert (values["power"] >= 0).all() and (values["power"] <= 1).all()
    peak = [summary[f"peak_{axis}"] for axis in "xyz"]
    voxel = np.rint(np.linalg.inv(maps["t"].affine) @ [*peak, 1]).astype(int)[:3]
    assert values["t"][tuple(voxel)] == pytest.approx(summary["peak_t"], rel=1e-5)
    assert abs(summary["peak_t"]) == pytest.approx(np.abs(values["t"]).max(), rel=1e-5)
    assert peak[0] < 0, "most lesions are on the left side"
    for name in map_files("score"):
        if name.endswith(".json"):
            content = json.loads((out / name).read_text(), parse_constant=pytest.fail)
            assert content["Description"] and content["Participants"] == NUMBER
            assert content["Seed"] == 0 and content["TestedVoxels"] == tested.sum()
            assert content["Covariates"] == [
                "lesion_volume_mni_ml",
                "logarithm of lesion_volume_mni_ml",
                "age",
                "sex: M",
            ]
            assert content["Sources"] == ["bids::group_outcome_data.tsv"]
            assert content["CriticalT"] == pytest.approx(summary["critical_t"], rel=1e-5)


def test_texts(analyzed):
    """The report and the methods text describe the outcome that was analyzed."""
    out = analyzed.out
    page = (out / "group.html").read_text()
    (section,) = re.findall(r'<section id="outcome-(.*?)</section>', page, re.DOTALL)
    assert section.startswith('score">') and "<h2>Outcome score</h2>" in section
    assert "Participants with complete data: 14. Outcome: numeric" in section
    assert 'href="#outcome-score"' in page and 'href="group_desc-score_viewer.html"' in section
    assert {f"{name}.html" for name in NAMES} <= set(re.findall(r'href="([^"#]+)"', section))
    assert "CST weighted load (ml)" in section and "An association is not a cause." in section
    assert not re.search(r"\bnan\b", section)
    viewer = (out / "group_desc-score_viewer.html").read_text()
    (data,) = re.findall(r'<script type="application/json"[^>]*>(.*?)</script>', viewer, re.DOTALL)
    assert "Lesion-symptom map: score" in viewer
    layers = json.loads(data, parse_constant=pytest.fail)["layers"]
    assert [layer["threshold"] is None for layer in layers] == [True, False, False, True]
    text = (out / "CITATION.md").read_text()
    assert "Outcomes were score (numeric, n = 14)" in text and "covariates were age, sex: M" in text
    assert (
        "39 permutations of Freedman and Lane" in text and "the associations are not evidence" in text
    )
    bibliography = (out / "CITATION.bib").read_text()
    for key in ("freedmanlane", "winkler", "holm", "bates", "mah", "statsmodels"):
        assert f"{{{key}," in bibliography
        assert f"@{key}" not in text, "citations are written as text"


def test_a_second_run_writes_identical_files(analyzed, group):
    """Also in another folder."""
    assert group(*OPTIONS)[0] == 1
    names = outcome_files(analyzed.out) | {"CITATION.md", "CITATION.bib", "group.html"}
    names |= {f"group_{name}.tsv" for name in ("lesion", "short", "tracts", "regions", "loads")}
    changed = [
        name for name in names if (group.out / name).read_bytes() != (analyzed.out / name).read_bytes()
    ]
    assert changed == [] and outcome_files(group.out) == outcome_files(analyzed.out)


def test_files_of_an_earlier_run_are_removed(cohort, analyzed, tmp_path, capfd):
    """Maps of another outcome, and all of them without an outcome."""
    group = Level(cohort[0], analyzed.out, tmp_path, capfd)
    status, _, errors = group("--outcome", "age", "--tfce", "--permutations", "5")
    assert (status, errors) == (0, [])
    maps = map_files("age", (*STATISTICS, "tfce", "ptfce"))
    assert outcome_files(group.out) == maps | TABLES | {"group_desc-age_viewer.html"}
    text = (group.out / "CITATION.md").read_text()
    assert "Outcomes were age (numeric, n = 14); participants" in text
    assert "threshold-free cluster enhancement" in text
    p = nib.load(group.out / f"{STEM}age_stat-ptfce_statmap.nii.gz").get_fdata()
    assert 1 / 6 - 1e-6 <= p.min() < 1 == p.max()
    sidecar = json.loads((group.out / f"{STEM}age_stat-t_statmap.json").read_text())
    assert sidecar["CriticalT"] is None, "5 permutations are too few"
    assert pd.isna(table(group.out, "_summary")["critical_t"][0])
    overlap = f"group_space-{TEMPLATE}_res-1_label-L_count.nii.gz"
    status, _, errors = group()
    assert (status, errors) == (0, []) and not outcome_files(group.out)
    assert not logs.record_path(group.out, "outcome").exists()
    assert "Outcomes were" not in (group.out / "CITATION.md").read_text()
    assert (group.out / overlap).is_file()
    assert "outcome-" not in (group.out / "group.html").read_text()


def test_a_phenotype_and_mirrored_lesions(analyzed, group, tmp_path):
    """The score of the session of the lesion is used; right lesions are tested on the left side."""
    rows = [f"{name}\t1\t{number}" for number, name in enumerate(NAMES)]
    path = tmp_path / "scores.tsv"
    path.write_text("\n".join(["participant_id\tsession_id\tarm", *rows, "sub-03\t10\t99"]) + "\n")
    status, shown, errors = group(
        *("--outcome", "arm", "--phenotype", path, "--covariates", "hemisphere"),
        *("--flip-to", "left", "--worse", "lower", "--permutations", "19"),
    )
    assert (status, errors) == (0, [])
    data = table(group.out, "_data")
    assert data["outcome_arm"].tolist() == list(range(NUMBER))
    assert data["covariate_hemisphere: right"].sum() == 2
    (summary,) = table(group.out, "_summary").to_dict("records")
    assert (summary["source"], summary["covariates"]) == (
        *("scores.tsv", "hemisphere: left+hemisphere: right"),
    )
    assert (summary["flipped_to"], summary["worse"]) == ("left", "lower")
    assert "--flip-to does not mirror bilateral lesions." in shown
    counts = [
        nib.load(folder / f"{STEM}{name}_count.nii.gz").get_fdata()
        for folder, name in ((analyzed.out, "score"), (group.out, "arm"))
    ]
    assert counts[1].sum() > counts[0].sum()
    sidecar = json.loads((group.out / f"{STEM}arm_stat-t_statmap.json").read_text())
    assert (sidecar["FlippedTo"], sidecar["WorseValues"]) == ("left", "lower")
    t, p = (nib.load(group.out / f"{STEM}arm_stat-{stat}_statmap.nii.gz").get_fdata() for stat in "tp")
    assert t[p == p.min()].min() == t.min() == pytest.approx(summary["peak_t"], rel=1e-5)


def test_a_selected_session(group):
    status, _, errors = group("--outcome", "score", "--session-label", "10")
    assert status == 1
    assert errors == [
        "bids_stroke: error: Complete data of score exist for 1 of 1 participants, but 10 are needed; "
        "add participants, or use fewer covariates."
    ]
    assert not outcome_files(group.out) and (group.out / "group.html").is_file()


def test_analyzed_sessions_with_different_names(group, tmp_path):
    """The second session takes the place of a rejected one."""
    ratings = tmp_path / "ratings.tsv"
    ratings.write_text("participant_id\tsession_id\trating\nsub-03\t1\treject\n")
    status, shown, errors = group(
        *("--outcome", "score", "--permutations", "5", "--qc-ratings", ratings)
    )
    assert (status, errors) == (0, [])
    (notice,) = (line for line in shown if line.startswith("The analyzed sessions"))
    assert "different names: ses-1, ses-10. If" in notice and notice in html.unescape(
        (group.out / "group.html").read_text()
    )
    sessions = table(group.out, "_data").set_index("participant_id")["session_id"]
    assert sessions["sub-03"] == "ses-10" and (sessions.drop("sub-03") == "ses-1").all()


def test_names_of_columns(group):
    """They become labels, two columns with the same label are refused, and they are escaped."""
    hostile = "<script>alert(1)</script>"
    path = group.bids / "participants.tsv"
    people = pd.read_csv(path, sep="\t", dtype=str)
    numbers = np.arange(NUMBER)
    people["mRS 90d"], people["mrs90d"] = numbers % 4, numbers % 5
    people[hostile] = np.where(numbers % 3, hostile, "no")
    people.to_csv(path, sep="\t", index=False)
    status, _, errors = group("--outcome", "mRS 90d", hostile, "mrs90d", "--permutations", "5")
    assert status == 1
    assert errors == [
        "bids_stroke: error: The files of the outcome mrs90d have the same names as those of another "
        "outcome; rename its column."
    ]
    labels = ("mRS90d", "scriptalert1script")
    files = map_files(labels[0]) | map_files(labels[1]) | TABLES
    assert outcome_files(group.out) == files | {f"group_desc-{label}_viewer.html" for label in labels}
    summary = table(group.out, "_summary").set_index("file_label")
    assert summary.loc["mRS90d", ["outcome", "kind", "levels"]].tolist() == [
        *("mRS 90d", "ordinal", "0+1+2+3")
    ]
    assert summary.loc[labels[1], ["kind", "levels"]].tolist() == ["two-valued", f"{hostile}+no"]
    page = (group.out / "group.html").read_text()
    assert "area under the ROC curve" in page and page.count('<section id="outcome-') == 2
    for name in ("group.html", f"group_desc-{labels[1]}_viewer.html"):
        assert hostile not in (group.out / name).read_text()
    assert "proportional-odds and logistic models" in (group.out / "CITATION.md").read_text()
