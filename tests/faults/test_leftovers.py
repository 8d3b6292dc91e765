"""Files of earlier runs are removed or ignored."""

import json
import shutil

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from faults.inputs import in_template
from faults.running import last_line, masks, participant, run

from bids_stroke.bids import logs, record
from bids_stroke.bids.record import Record
from bids_stroke.spatial.templates import TEMPLATE

pytestmark = pytest.mark.slow


def write_earlier_run(out, name="sub-01", outputs=None, **changes):
    """Write files of another model, and a record that lists them."""
    listed = outputs or {
        "lesion_mask": f"{name}/anat/{name}_space-T1w_label-L_desc-T1lesion_mask.nii.gz",
        "lesion_figure": f"{name}/figures/{name}_desc-lesion_T1w.svg",
    }
    for path in map(out.joinpath, listed.values() if isinstance(listed, dict) else listed):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("left")
        path.with_name(path.name.partition(".")[0] + ".json").write_text("{}")
    Record(name, "other", "ok", model="other", **changes).write(out)
    path = logs.record_path(out, name)
    path.write_text(json.dumps(json.loads(path.read_text()) | {"outputs": listed}))
    logs.crash_path(out, name).write_text("left")
    for page in ("viewer", "drawing"):
        (out / f"{name}_{page}.html").write_text("left")


def left(out):
    """Return the remaining files of an earlier run."""
    return sorted(
        path.relative_to(out).as_posix()
        for path in out.rglob("*")
        if path.is_file() and path.read_bytes() in (b"left", b"{}")
    )


def test_another_model_removes_earlier_outputs(bids, tmp_path, table):
    write_earlier_run(tmp_path)
    unlisted = tmp_path / "sub-01/anat/sub-01_space-T1w_label-L_desc-manual_mask.nii.gz"
    unlisted.write_text("left")
    done = run(*participant(bids, tmp_path))
    assert done.returncode == 0
    assert left(tmp_path) == [unlisted.relative_to(tmp_path).as_posix()], "a file that no record lists"
    assert record.read(tmp_path, "sub-01").complete(tmp_path)
    table.add("Left-overs", "outputs of another model", 0, last_line(done), "all; those are removed")


def test_a_failed_session_has_no_masks(tmp_path, table):
    """The earlier run succeeded; now the mask is invalid."""
    bids, out = masks(tmp_path / "bids", "01", "02"), tmp_path / "out"
    assert run(*participant(bids, out)).returncode == 0
    in_template(lambda mask: np.where(mask, np.nan, 0).astype("f4"))(bids / "sub-01", "01")
    done = run(*participant(bids, out))
    assert done.returncode == 1
    assert [path for path in (out / "sub-01").rglob("*") if path.is_file()] == []
    assert list(out.glob("sub-01_*.html")) == []
    in_template(lambda mask: mask)(tmp_path / "truth" / "sub-01", "01")
    in_template(lambda mask: mask)(tmp_path / "truth" / "sub-02", "02")
    group = run(bids, out, "group", "--ground-truth", tmp_path / "truth")
    assert group.returncode == 0
    rows = pd.read_csv(out / "evaluation/evaluation.tsv", sep="\t")
    assert rows["dice"].isna().tolist() == [True, False]
    assert rows["reason"][0].startswith("sub-01 failed in ")
    (line,) = (line for line in group.stdout.splitlines() if line.startswith("  sub-01: "))
    table.add("Left-overs", "a session that fails after it ended well", 0, line, "the other session")


def test_outputs_of_a_refused_session_are_reported(tmp_path, table):
    """Two masks may be parts of one lesion; the earlier run had one mask."""
    bids, out = masks(tmp_path / "bids", "01"), tmp_path / "out"
    write_earlier_run(out)
    (mask,) = (bids / "sub-01/anat").iterdir()
    shutil.copy(mask, mask.with_name(mask.name.replace("_space", "_hemi-L_space")))
    mask.rename(mask.with_name(mask.name.replace("_space", "_hemi-R_space")))
    done = run(*participant(bids, out))
    assert done.returncode == 1 and record.read(out, "sub-01").complete(out)
    (line,) = (line for line in done.stderr.splitlines() if "sub-01: refused" in line)
    assert line.endswith("; its outputs of an earlier run remain and are used at the group level.")
    seen = line.split(": ", 1)[1]
    table.add("Left-overs", "outputs of a session that is now refused", 1, seen, "nothing; they remain")


def test_only_files_of_the_session_are_removed(tmp_path):
    outside = tmp_path / "kept.txt"
    outside.write_text("left")
    out = tmp_path / "out"
    listed = {
        "a": "sub-01/ses-1/anat/sub-01_ses-1_T1w.nii.gz",
        "b": "sub-01/ses-2/anat/sub-01_ses-2_T1w.nii.gz",
        "c": "sub-02/anat/sub-02_T1w.nii.gz",
    }
    write_earlier_run(out, "sub-01_ses-1", listed)
    path = logs.record_path(out, "sub-01_ses-1")
    hostile = {"d": "../kept.txt", "e": "sub-01/../../kept.txt", "f": str(outside), "g": ["x"], "h": ""}
    path.write_text(json.dumps(json.loads(path.read_text()) | {"outputs": listed | hostile}))
    record.remove(out, "sub-01_ses-1")
    images = [name for name in left(out) if name.endswith(".nii.gz")]
    assert images == [listed["b"], listed["c"]]
    assert outside.exists() and not path.exists()


def test_records_of_earlier_versions_list_their_files(tmp_path):
    """They contain a list of paths, and unknown fields."""
    write_earlier_run(tmp_path, outputs=["sub-01/anat/sub-01_desc-preproc_T1w.nii.gz"])
    assert record.read(tmp_path, "sub-01") is None
    record.remove(tmp_path, "sub-01")
    pages = ["sub-01_drawing.html", "sub-01_viewer.html"]
    assert left(tmp_path) == pages, "which are removed with the record by a run"


def test_an_input_mask_is_not_removed(tmp_path):
    """The output folder is the source of the masks of the next run."""
    bids, out = masks(tmp_path / "bids", "01"), tmp_path / "out"
    assert run(*participant(bids, out)).returncode == 0
    mask = record.read(out, "sub-01").require(out, "lesion_mask", TEMPLATE)
    again = mask.with_name(mask.name.replace("ownlesion", "T1lesion"))
    mask.rename(again)
    listing = record.read(out, "sub-01")
    listing.outputs["lesion_mask@" + TEMPLATE] = again.relative_to(out).as_posix()
    listing.write(out)
    done = run(bids, out, "participant", "--lesion-derivatives", out)
    assert done.returncode == 0, done.stdout
    assert again.is_file() and mask.is_file()


def test_a_killed_run_leaves_a_record_of_its_files(tmp_path):
    """The next run removes these files, even with another model."""
    unfinished = Record("sub-01", "x", outputs={"lesion_mask": "sub-01/anat/sub-01_a_mask.nii.gz"})
    record.write_unfinished(unfinished, tmp_path)
    assert record.read_participant(tmp_path, "sub-01") == []
    (listing,) = record.read_all(tmp_path)
    assert not listing.complete(tmp_path) and "its run did not finish" in listing.error
    mask = tmp_path / "sub-01/anat/sub-01_a_mask.nii.gz"
    mask.parent.mkdir(parents=True)
    mask.write_text("left")
    record.remove(tmp_path, "sub-01")
    assert left(tmp_path) == []


def test_outputs_remain_until_their_session_starts(tmp_path):
    """A killed run has marked the record as unfinished; the files are still listed."""
    name = "sub-01/anat/sub-01_desc-preproc_T1w.nii.gz"
    for outputs in ({"image": name}, [name]):
        write_earlier_run(tmp_path, outputs=outputs)
        record.invalidate(tmp_path, "sub-01")
        assert (tmp_path / name).is_file()
        (listing,) = record.read_all(tmp_path)
        assert not listing.complete(tmp_path) and "its run did not finish" in listing.error
        record.remove(tmp_path, "sub-01")
        assert not (tmp_path / name).exists()
    record.invalidate(tmp_path, "sub-02")
    assert record.read(tmp_path, "sub-02") is None


def test_maps_of_tracts_of_an_earlier_group_level(undisturbed, bids, tmp_path):
    """They are removed, since the present cohort was not measured on that tract."""
    out = shutil.copytree(undisturbed, tmp_path / "out", ignore=shutil.ignore_patterns("work"))
    old = out / f"group_space-{TEMPLATE}_atlas-Other_res-1_label-L_load.nii.gz"
    (current,) = out.glob("group_*_load.nii.gz")
    nib.save(nib.load(current), old)
    assert run(bids, out, "group").returncode == 0
    assert current.is_file() and not old.exists()
