"""Exports, read by nibabel, pandas, openpyxl and PyBIDS, as the programs read them."""

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from bids.layout import BIDSLayout, BIDSLayoutIndexer, Query
from cohorts import add_session

from bids_stroke.bids import record
from bids_stroke.bids.derivatives import write_tsv
from bids_stroke.cohort import table as cohort_table
from bids_stroke.cohort.export import export
from bids_stroke.cohort.participants import merge_participants
from bids_stroke.errors import DatasetError, UsageError
from bids_stroke.spatial.templates import TEMPLATE, template

CENTER = (-26.0, 0, 18)
#: Oblique grid with a left-handed axis order, as of a scanner.
NATIVE = np.array([[0, -0.3, 3.0, -90], [-1.9, 0, 0, 110], [0, 1.9, 0.4, -80], [0, 0, 0, 1]])
PEOPLE = pd.DataFrame(
    {
        "participant_id": ["sub-01", "sub-02", "sub-03", "sub-04"],
        "nihss": ["4", "12", "n/a", "9"],
        "age": ["61", "70", "55", "48"],
        "sex": ["F", "M", "F", "M"],
        "Motor score (%)": ["99.5", "n/a", "30", "1"],
    }
)


def add_native_mask(out, name):
    """Add a lesion mask on the grid of a T1w to a session; return its voxels."""
    session = record.read(out, name)
    voxels = np.zeros((40, 100, 20), np.uint8)
    voxels[10:14, 20:30, 5:8] = 1
    folder = session.require(out, "lesion_mask", TEMPLATE).parent
    path = folder / f"{name}_space-T1w_label-L_desc-T1lesion_mask.nii.gz"
    nib.save(nib.Nifti1Image(voxels, NATIVE), path)
    session.outputs["lesion_mask"] = path.relative_to(out).as_posix()
    session.outputs["components"] = session.outputs[f"components@{TEMPLATE}"]
    session.reference = "T1w"
    session.write(out)
    return voxels


def write_group_table(out, rejected=()):
    """Write the group table without the rejected sessions, and the merged ratings."""
    records = [item for item in record.read_all(out) if item.name not in rejected]
    rows, *_ = cohort_table.collect(out, records)
    people = PEOPLE.replace("n/a", np.nan)
    write_tsv(merge_participants(rows, people), out / "group_lesion.tsv")
    ratings = [(*f"{name}_".split("_")[:2], "reject") for name in rejected]
    rated = pd.DataFrame(ratings, columns=["participant_id", "session_id", "rating"])
    write_tsv(rated.replace("", "n/a"), out / "group_ratings.tsv")


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    """sub-01 has two sessions, sub-02 has no lesion, sub-04 is rejected, and sub-05 failed."""
    out = tmp_path_factory.mktemp("cohort") / "out"
    add_session(out, "sub-01_ses-10", CENTER, 9, "left")
    add_session(out, "sub-01_ses-2", CENTER, 12, "left")
    add_session(out, "sub-02", CENTER, -1, np.nan)
    add_session(out, "sub-03", CENTER, 7, "left")
    add_session(out, "sub-04", CENTER, 8, "left")
    for name in ("sub-01_ses-2", "sub-01_ses-10", "sub-02"):
        add_native_mask(out, name)
    record.Record("sub-05", "x", error="The T1w is damaged.").write(out)
    write_group_table(out, ["sub-04"])
    return out


def volumes(paths):
    """Return the volumes (ml) of masks of 0 and 1 on the grid of the template."""
    grid = template().t1w
    numbers = []
    for path in paths:
        mask = nib.load(path)
        assert mask.shape == grid.shape and np.array_equal(mask.affine, grid.affine)
        data = np.asanyarray(mask.dataobj)
        assert mask.get_data_dtype() == np.uint8 and set(np.unique(data)) <= {0, 1}
        numbers.append(data.sum() / 1000)
    return numbers


def columns(folder, name):
    """Read the scores and the masks of a column as LESYMAP does."""
    scores = pd.read_csv(folder / "behavior" / f"{name}.txt", header=None)[0].tolist()
    masks = (folder / "lesion_lists" / f"{name}.txt").read_text().splitlines()
    return scores, masks


def test_lesymap(out, tmp_path):
    folder = tmp_path / "lesymap"
    cohort = export(out, folder, "lesymap")
    masks = [f"lesions/{name}.nii.gz" for name in ("sub-01_ses-2", "sub-03", "sub-02")]
    assert columns(folder, "nihss") == ([4, 12], [masks[0], masks[2]])
    assert columns(folder, "Motor_score") == ([99.5, 30], masks[:2])
    scores, listed = columns(folder, "lesion_volume_mni_ml")
    assert listed == masks  # the mask without a lesion is the last
    assert volumes(folder / mask for mask in masks) == pytest.approx(scores, abs=1e-3)
    headers = {nib.load(folder / mask).header.binaryblock for mask in masks}
    assert len(headers) == 1  # LESYMAP requires equal headers
    rows = pd.read_csv(folder / "behavior.tsv", sep="\t")
    assert rows["lesion_mask"].tolist() == [masks[0], masks[2], masks[1]]
    assert rows["sex"].tolist() == ["F", "M", "F"] and rows["nihss"].isna().tolist() == [0, 0, 1]
    assert cohort.omitted.keys() == {"sub-01_ses-10", "sub-04", "sub-05"}


def test_niistat(out, tmp_path):
    openpyxl = pytest.importorskip("openpyxl")
    folder = tmp_path / "niistat"
    export(out, folder, "niistat")
    sheet = openpyxl.load_workbook(folder / "behavior.xlsx")["NiiStat"]
    names, *rows = sheet.iter_rows(values_only=True)
    table = pd.DataFrame(rows, columns=names)
    assert table["lesion_mask"].tolist() == ["sub-01_ses-2.nii", "sub-02.nii", "sub-03.nii"]
    assert table["nihss"].tolist()[:2] == [4, 12] and np.isnan(table["nihss"][2])
    assert "sex" not in table and all(name.isidentifier() and len(name) <= 63 for name in names)
    paths = [folder / name for name in table["lesion_mask"]]
    assert volumes(paths) == pytest.approx(table["lesion_volume_mni_ml"].tolist(), abs=1e-3)


def test_svrlsm(out, tmp_path):
    folder = tmp_path / "svrlsm"
    export(out, folder, "svrlsm", ["10"])
    table = pd.read_csv(folder / "behavior.csv")
    assert table["RegistryCode"].tolist() == ["sub-01_ses-10"]
    (volume,) = volumes([folder / "lesions" / "sub-01_ses-10.nii"])
    assert table["lesion_volume_ml"][0] == pytest.approx(volume, abs=1e-3)
    assert table[["nihss", "age", "sex", "Motor_score"]].values.tolist() == [[4, 61, "F", 99.5]]


def test_csv_contains_all_sessions_and_columns(out, tmp_path):
    folder = tmp_path / "csv"
    export(out, folder, "csv")
    table = pd.read_csv(folder / "lesions.csv")
    assert table["participant_id"].tolist() == ["sub-01", "sub-01", "sub-02", "sub-03"]
    assert {"Motor score (%)", "cst_weighted_load_ml_left", "r1_share"} <= set(table)
    paths = [folder / name for name in table["lesion_mask"]]
    assert volumes(paths) == pytest.approx(table["lesion_volume_mni_ml"].tolist(), abs=1e-3)


def test_fmriprep_reads_one_mask_of_each_session(out, tmp_path):
    """The query and the indexer are those of fMRIPrep; ``bids`` is a copy of the export."""
    bids = tmp_path / "bids"
    cohort = export(out, bids, "fmriprep")
    (bids / "dataset_description.json").write_text('{"Name": "x", "BIDSVersion": "1.10.0"}')
    layout = BIDSLayout(bids, indexer=BIDSLayoutIndexer(validate=False))
    query = {"extension": [".nii", ".nii.gz"], "datatype": "anat", "suffix": "roi"}
    paths = layout.get(subject="01", session="2", return_type="file", **query)
    assert paths == [str(bids / "sub-01/ses-2/anat/sub-01_ses-2_label-lesion_roi.nii.gz")]
    assert len(layout.get(session=Query.OPTIONAL, **query)) == 2
    mask, original = (
        nib.load(paths[0]),
        nib.load(record.read(out, "sub-01_ses-2").path(out, "lesion_mask")),
    )
    assert np.array_equal(np.asanyarray(mask.dataobj), np.asanyarray(original.dataobj))
    np.testing.assert_allclose(mask.affine, NATIVE, atol=1e-5)
    assert (bids / ".bidsignore").read_text() == "*lesion_roi.nii.gz\n"
    (notice,) = cohort.notices
    assert notice.startswith("Several sessions are exported for sub-01: run fMRIPrep with")
    assert cohort.omitted["sub-02"] == "it has no lesion."
    assert cohort.omitted["sub-03"] == "it has no lesion mask on the grid of a T1w."


def test_fmriprep_reads_the_mask_on_the_t1w_if_the_flair_is_the_reference(tmp_path):
    add_session(tmp_path, "sub-01", CENTER, 9, "left")
    add_native_mask(tmp_path, "sub-01")
    session = record.read(tmp_path, "sub-01")
    session.reference = "FLAIR"
    session.outputs["lesion_mask@T1w"] = session.outputs["lesion_mask"]
    session.outputs["lesion_mask"] = session.outputs[f"lesion_mask@{TEMPLATE}"]
    session.write(tmp_path)
    write_group_table(tmp_path)
    export(tmp_path, tmp_path / "rois", "fmriprep")
    (path,) = (tmp_path / "rois").rglob("*_roi.nii.gz")
    np.testing.assert_allclose(nib.load(path).affine, NATIVE, atol=1e-5)


def test_omitted_sessions_are_listed(out, tmp_path):
    export(out, tmp_path / "export", "svrlsm")
    table = pd.read_csv(tmp_path / "export" / "omitted.tsv", sep="\t", keep_default_na=False)
    reasons = dict(zip(table["participant_id"] + table["session_id"], table["reason"], strict=True))
    assert reasons == {
        "sub-01ses-10": "another session of the participant is exported; choose one with "
        "--session-label.",
        "sub-04n/a": "it is rejected in group_ratings.tsv.",
        "sub-05n/a": "The T1w is damaged.",
    }


def test_a_column_with_the_name_of_an_added_column(tmp_path):
    add_session(tmp_path, "sub-03", CENTER, 7, "left")
    rows, *_ = cohort_table.collect(tmp_path, record.read_all(tmp_path))
    write_tsv(rows.assign(lesion_mask="drawn"), tmp_path / "group_lesion.tsv")
    export(tmp_path, tmp_path / "csv", "csv")
    (row,) = pd.read_csv(tmp_path / "csv" / "lesions.csv").to_dict("records")
    assert row["lesion_mask"] == "lesions/sub-03.nii.gz"
    assert row["participants_lesion_mask"] == "drawn"


def test_a_session_that_the_group_level_did_not_see(tmp_path):
    add_session(tmp_path, "sub-03", CENTER, 7, "left")
    write_group_table(tmp_path)
    add_session(tmp_path, "sub-02", CENTER, 8, "left")
    cohort = export(tmp_path, tmp_path / "csv", "csv")
    assert [session.name for session in cohort.records] == ["sub-03"]
    assert cohort.omitted == {"sub-02": "it is not in group_lesion.tsv; run the group level again."}


def test_no_session_can_be_exported(out, tmp_path):
    add_session(tmp_path, "sub-03", CENTER, 7, "left")
    write_group_table(tmp_path)
    with pytest.raises(DatasetError, match=r"no session that can be exported \(sub-03: it has no"):
        export(tmp_path, tmp_path / "fmriprep", "fmriprep")
    assert not (tmp_path / "fmriprep").exists()


def test_an_existing_folder_is_not_overwritten(out, tmp_path):
    (tmp_path / "notes.txt").touch()
    with pytest.raises(UsageError, match="is not an empty folder"):
        export(out, tmp_path, "csv")
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_without_the_group_level(tmp_path):
    with pytest.raises(DatasetError, match=r"group_lesion.tsv does not exist; run the group level"):
        export(tmp_path, tmp_path / "csv", "csv")
