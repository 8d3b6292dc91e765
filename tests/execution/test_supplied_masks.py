"""User-supplied masks in template space at both levels."""

import json
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from nibabel.affines import apply_affine

from bids_stroke.cli.run import main
from bids_stroke.spatial.templates import TEMPLATE

pytestmark = pytest.mark.slow

# Center of a cube of 9 mm, name of the template, and axis order of the file.
MASKS = {
    "sub-01_ses-1": ((-22, -14, 8), TEMPLATE, "RAS"),
    "sub-01_ses-2": ((-22, -14, 8), TEMPLATE, "LPS"),
    "sub-02_ses-1": ((24, -60, -36), "MNIColin27", "LAS"),
    "sub-03_ses-1": (None, TEMPLATE, "RAS"),
}


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    """Derivatives of both levels."""
    bids = tmp_path_factory.mktemp("masks") / "bids"
    affine = np.diag([1.0, 1.0, 1.0, 1.0])
    affine[:3, 3] = -90, -125, -71
    for name, (center, space, axes) in MASKS.items():
        mask = np.zeros((181, 217, 181), np.uint8)
        if center:
            voxel = apply_affine(np.linalg.inv(affine), center).astype(int)
            mask[tuple(slice(v - 4, v + 5) for v in voxel)] = 1
        turn = nib.orientations.ornt_transform(
            nib.io_orientation(affine), nib.orientations.axcodes2ornt(axes)
        )
        path = bids.joinpath(*name.split("_"), "anat", f"{name}_space-{space}_label-L_mask.nii.gz")
        path.parent.mkdir(parents=True)
        nib.save(nib.Nifti1Image(mask, affine).as_reoriented(turn), path)
    (bids / "dataset_description.json").write_text('{"Name": "masks", "BIDSVersion": "1.10.0"}')
    (bids / "participants.tsv").write_text("participant_id\tsex\nsub-01\tF\nsub-02\tM\nsub-03\tF\n")
    folder = bids.parent / "out"
    arguments = [str(bids), str(folder)]
    masks = ["--lesion-derivatives", str(bids)]
    assert main([*arguments, "participant", *masks, "--write-graph"]) == 0
    group = [*arguments, "group", "--group-by", "sex"]
    # The masks are used as ground truth.
    assert main([*group, "--ground-truth", str(folder), "--nprocs", "1"]) == 0
    return folder


def test_the_graph_and_the_options_of_the_runs_are_in_the_logs(out):
    for name in MASKS:
        graph = (out / f"logs/{name}_graph.dot").read_text()
        assert graph.startswith("digraph session_wf{") and "measure_wf_loads" in graph
        assert (out / f"logs/{name}_graph.svg").is_file() == bool(shutil.which("dot"))
    run, group = (
        tomllib.loads((out / f"logs/{n}.toml").read_text()) for n in ("bids_stroke", "group_run")
    )
    assert run["options"]["write_graph"] and group["options"]["group_by"] == "sex"


def test_the_table_of_the_cohort(out):
    table = pd.read_csv(out / "group_lesion.tsv", sep="\t")
    assert (table["participant_id"] + "_" + table["session_id"]).tolist() == list(MASKS)
    first, turned, other, empty = (row for _, row in table.iterrows())
    assert first["lesion_volume_mni_ml"] == pytest.approx(0.729)
    assert first["hemisphere"] == "left" and first["index_super_region"].startswith("R1 ")
    assert first["cst_weighted_load_ml_left"] > 1 and first["cst_weighted_load_ml_right"] == 0
    # Results do not depend on the axis order of the file.
    numbers = [name for name in table if name.startswith(("cst_", "r1", "r2", "r3", "r4"))]
    pd.testing.assert_series_equal(first[numbers], turned[numbers], check_names=False)
    assert turned["lesion_volume_change_ml"] == 0 and turned["previous_session_id"] == "ses-1"
    assert other["hemisphere"] == "right" and other["index_super_region"].startswith("R2 ")
    assert other["cst_raw_load_ml_total"] == 0 and pd.isna(other["cst_category"])
    shares = table[["r1_share", "r2_share", "r3_share", "r4_share"]]
    assert shares[:3].sum(axis=1).tolist() == pytest.approx([1, 1, 1])
    assert empty["lesion_volume_mni_ml"] == 0 and shares.iloc[3].isna().all()
    assert table["lesion_volume_ml"].isna().all() and set(table["model"]) == {"own masks"}
    assert list(json.loads((out / "group_lesion.json").read_text())) == list(table)


def test_the_terminal_labels_volumes_in_template_space(out, capsys):
    bids = str(out.parent / "bids")
    assert main([bids, str(out), "participant", "--lesion-derivatives", bids]) == 0
    rows = [line for line in capsys.readouterr().out.splitlines() if "up to date" in line]
    assert len(rows) == len(MASKS) and all(re.search(r"│ \d+\.\d \(template\) +│", row) for row in rows)


def test_groups_and_maps(out):
    table = pd.read_csv(out / "group_loads.tsv", sep="\t").set_index("group")
    assert table["n_sessions"].to_dict() == {"all": 4, "F": 3, "M": 1}
    assert table.loc["M", "n_none"] == 1
    described = json.loads((out / "group_loads.json").read_text())
    assert set(described) == {*table, "group"}
    loads = pd.read_csv(out / "group_lesion.tsv", sep="\t")["cst_raw_load_ml_total"]
    load_map = nib.load(out / f"group_space-{TEMPLATE}_atlas-JuelichCST_res-1_label-L_load.nii.gz")
    assert load_map.get_fdata().sum() / 1000 == pytest.approx(loads.mean(), rel=1e-4)


def test_the_evaluation_is_part_of_the_group_report(out):
    table = pd.read_csv(out / "evaluation" / "evaluation.tsv", sep="\t")
    assert len(table) == len(MASKS) and (table["dice"] == 1).all()
    assert table["er_ll"].dropna().tolist() == [0, 0]  # of the two lesions on the tract
    assert table["super_region"].str[:2].tolist()[:3] == ["R1", "R1", "R2"]
    page = (out / "group.html").read_text()
    assert "evaluation/evaluation.html" in page and "Best case" in page


def test_sessions_in_a_template_space_are_not_compared(out):
    record = json.loads((out / "logs/longitudinal_sub-01_run.json").read_text())
    assert record["status"] == "ok" and record["outputs"] == {} and len(record["notes"]) == 2
    sentence = "sub-01_ses-2 is not compared: its mask is in a template space"
    assert sentence in (out / "sub-01.html").read_text()
    assert "not compared with others: sub-01_ses-1 (its mask is" in (out / "group.html").read_text()
    assert not (out / "group_longitudinal.tsv").exists()


def test_reports_and_sidecars(out):
    html = (out / "sub-01.html").read_text()
    assert "Lesion in template space" in html and "user-supplied masks" in html
    assert 'id="loads"' in (out / "group.html").read_text()
    methods = (out / "CITATION.md").read_text(encoding="utf-8")
    assert "were supplied by the user" in methods and "manual masks (pairs: 4) by Dice" in methods
    bibliography = (out / "CITATION.bib").read_text(encoding="utf-8")
    assert all(f"{{{key}," in bibliography for key in ("zhu", "dice", "mni2009"))
    assert not any(f"{{{key}," in bibliography for key in ("n4", "hdbet", "pytorch", "outliers"))
    anat = out / "sub-02/ses-1/anat"
    (mask,) = anat.glob("*_mask.json")
    assert json.loads(mask.read_text())["Sources"][0].endswith("_label-L_mask.nii.gz")
    for path in anat.glob("*_morph.tsv"):
        described = json.loads(path.with_suffix(".json").read_text())
        assert list(pd.read_csv(path, sep="\t")) == list(described)


def test_the_validator_finds_no_error(out):
    validator = Path(sys.executable).with_name("bids-validator-deno")
    done = subprocess.run([validator, out, "--format", "json"], capture_output=True, text=True)
    issues = json.loads(done.stdout)["issues"]["issues"]
    assert [issue for issue in issues if issue["severity"] == "error"] == []


def test_rejected_sessions_are_excluded(out, tmp_path):
    bids, copy = out.parent / "bids", tmp_path / "out"
    shutil.copytree(out, copy, ignore=shutil.ignore_patterns("work"))
    ratings = tmp_path / "ratings.tsv"
    ratings.write_text(
        "participant_id\tsession_id\trating\tnotes\nsub-01\tses-2\treject\tmotion\n"
        "sub-02\tn/a\taccept\tn/a\n"
    )
    group = [str(bids), str(copy), "group", "--qc-ratings", str(ratings)]
    assert main([*group, "--ground-truth", str(out), "--nprocs", "1"]) == 0
    before, after = (pd.read_csv(folder / "group_lesion.tsv", sep="\t") for folder in (out, copy))
    assert len(after) == len(before) - 1
    assert "ses-2" not in after["session_id"].tolist()
    counts = [
        nib.load(folder / f"group_space-{TEMPLATE}_res-1_label-L_count.nii.gz").get_fdata()
        for folder in (out, copy)
    ]
    assert counts[0].max() == 2 and counts[1].max() == 1
    assert len(pd.read_csv(copy / "evaluation" / "evaluation.tsv", sep="\t")) == len(after)
    page = (copy / "group.html").read_text()
    assert 'id="rejected"' in page and "motion" in page


def test_reports_need_only_the_derivatives(out, tmp_path):
    copy = tmp_path / "out"
    shutil.copytree(out, copy, ignore=shutil.ignore_patterns("work", "*.html"))
    assert main([str(tmp_path / "gone"), str(copy), "participant", "--reports-only"]) == 0
    assert main([str(tmp_path / "gone"), str(copy), "group", "--reports-only"]) == 0
    for name in ("sub-01.html", "sub-02.html", "sub-03.html"):
        # The methods text covers all participants, including those that were processed later.
        before, after = (
            (folder / name).read_text().partition('id="methods"')[0] for folder in (out, copy)
        )
        assert after == before
    assert "sub-03" in (copy / "group.html").read_text()
