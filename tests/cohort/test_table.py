import nibabel as nib
import numpy as np
import pandas as pd
import pytest

from bids_stroke.atlases.load_columns import NUMBERS, ROWS
from bids_stroke.bids.derivatives import write_tsv
from bids_stroke.bids.names import derivative
from bids_stroke.bids.record import Record, read_all
from bids_stroke.cohort import columns, long_tables, overlap, participants, summary
from bids_stroke.cohort import table as cohort_table
from bids_stroke.errors import DatasetError
from bids_stroke.lesion.measurements import INTERVALS
from bids_stroke.qc import image_quality
from bids_stroke.spatial import image
from bids_stroke.spatial.templates import TEMPLATE

AFFINE = np.diag([2.0, 2.0, 2.0, 1.0])


def add(
    out,
    name,
    voxels,
    *,
    category="large",
    reference="T1w",
    contrasts=("T1w",),
    model="tested",
    volume=12.5,
    weighted=3.0,
):
    """Write the outputs of a session whose lesion is ``voxels`` of the template grid."""
    folder = out.joinpath(*name.split("_")) / "anat"
    desc = "".join(contrast.removesuffix("w") for contrast in contrasts) + "lesion"
    entities = {"label": "L", "desc": desc}
    components = pd.DataFrame(
        {
            "component": ["all", "1", "2"],
            "volume_ml": [volume, volume - 0.5, 0.5],
            **{name: [volume + 1, None, None] for name in INTERVALS},
            "max_probability": [0.9, 0.9, 0.6],
            "mean_probability": [0.7, 0.75, 0.4],
            "volume_template_ml": [0.008 * len(voxels), None, None],
            "outside_brain_share": [0.25, None, None],
            "hemisphere": ["bilateral", "left", "right"],
            "x_mm": [0, 1, 2],
        }
    )
    measured = pd.DataFrame(
        {
            **{name: [1.0, 1.0] for name in image_quality.COLUMNS},
            "contrast": [reference, "T2w"],
            "brain_volume_ml": [1400.0, 1390.0],
            "snr": [20.0, 12.0],
            "template_brain_dice": [0.97, 0.97],
            "brain_scaling": [1.25, None],
            "white_gray_ratio": [1.3, 0.8],
            "fluid_gray_ratio": [0.4, 0.3],
            "similarity": [None, 1.2],
        }
    )
    loads = pd.DataFrame(
        {
            "side": ROWS,
            **{number: [1.5, 0.25, 1.5, 0.25, 1.75] for number in NUMBERS},
            "lesion_side": "left",
            "fraction": [0.15, 0.025, 0.15, 0.025, 0.0875],
            "weighted_load_ml": [weighted, 0.5, weighted, 0.5, weighted + 0.5],
            "max_slice_load": [0.6, 0.1, 0.6, 0.1, 0.6],
            "category": [category, None, category, None, category],
            "category_status": "unvalidated",
            "below_tract_fraction": 0.0,
        }
    )
    shares = pd.DataFrame(
        {
            "region": ["R1 frontal", "R2 cerebellum", "R3 parietal", "R4 temporal"],
            "region_volume_ml": [265.0, 270.0, 712.0, 639.0],
            "lesion_volume_ml": [1.0, 0.0, 9.0, 2.5],
            "lesion_share": [0.08, 0.0, 0.72, 0.2],
            "region_share": [0.01, 0.0, 0.01, 0.01],
        }
    )
    mask = np.zeros((4, 5, 6), np.uint8)
    for voxel in voxels:
        mask[voxel] = 1
    outputs = [
        write_tsv(components, folder / derivative(name, "morph", ".tsv", space=reference, **entities)),
        write_tsv(measured, folder / derivative(name, "morph", ".tsv", desc="quality")),
        write_tsv(
            loads,
            folder / derivative(name, "morph", ".tsv", space=TEMPLATE, atlas="JuelichCST", **entities),
        ),
        write_tsv(
            shares,
            folder
            / derivative(name, "morph", ".tsv", space=TEMPLATE, atlas="SuperRegions", **entities),
        ),
        image.save(
            nib.Nifti1Image(mask, AFFINE),
            folder / derivative(name, "mask", space=TEMPLATE, res="1", **entities),
        ),
    ]
    components = f"components@{TEMPLATE}" if reference == TEMPLATE else "components"
    roles = (components, "image_quality", "loads@JuelichCST", "regions@SuperRegions")
    roles += (f"lesion_mask@{TEMPLATE}",)
    Record(
        name,
        "x",
        status="ok",
        model=model,
        reference=reference,
        contrasts=list(contrasts),
        outputs=dict(zip(roles, (str(path.relative_to(out)) for path in outputs), strict=True)),
    ).write(out)
    return outputs


def first_value(table, name):
    return table[name].iloc[0]


def test_table_and_counts(tmp_path):
    add(tmp_path, "sub-02", [(0, 0, 0), (1, 1, 1)])
    add(
        tmp_path,
        "sub-01_ses-a",
        [(1, 1, 1), (2, 2, 2), (3, 3, 3)],
        category=None,
        reference="FLAIR",
        contrasts=("T1w", "FLAIR"),
    )
    Record("sub-03", "x", error="It went wrong.").write(tmp_path)
    table, measured, failed = cohort_table.collect(tmp_path, read_all(tmp_path))
    lesions = overlap.overlap(tmp_path, measured)
    count = lesions.count

    assert list(table)[: len(columns.COLUMNS)] == list(columns.COLUMNS)
    described = columns.describe_columns(table)
    assert list(described) == list(table)
    assert not any("participants.tsv" in column["Description"] for column in described.values())
    assert first_value(table, "index_super_region") == "R3 parietal"
    assert first_value(table, "r3_volume_ml") == 9 and first_value(table, "r4_share") == 0.2
    assert table["participant_id"].tolist() == ["sub-01", "sub-02"]
    first, second = table.iloc[0], table.iloc[1]
    assert first["session_id"] == "ses-a" and pd.isna(second["session_id"])
    assert (first["reference"], first["contrasts"]) == ("FLAIR", "T1w+FLAIR")
    assert first["lesion_volume_ml"] == 12.5 and first["lesion_volume_high95_ml"] == 13.5
    assert first["outside_brain_share"] == 0.25
    assert table["lesion_volume_mni_ml"].tolist() == pytest.approx([0.024, 0.016])
    assert first["relative_lesion_scaling"] == pytest.approx(0.024 / 12.5 / 1.25)
    assert first["n_components"] == 2 and first["hemisphere"] == "bilateral"
    assert first["brain_volume_ml"] == 1400 and first["template_brain_dice"] == 0.97
    assert (first["snr"], first["t2w_snr"], first["t2w_similarity"]) == (20, 12, 1.2)
    assert "t2w_brain_volume_ml" not in table
    assert first["cst_weighted_load_ml_left"] == 3 and first["cst_fraction_right"] == 0.025
    assert first["cst_max_slice_load_total"] == 0.6
    assert pd.isna(first["cst_category"]) and second["cst_category"] == "large"
    change_columns = ["previous_session_id", "lesion_volume_change_ml"]
    optional = ["session_id", "qc_flags", "corrected_by", "cst_category", *change_columns]
    assert not table.drop(columns=optional).isna().any(axis=None)
    assert table[change_columns].isna().all(axis=None)

    assert np.array_equal(count.affine, AFFINE) and count.get_data_dtype() == np.int32
    counts = np.asanyarray(count.dataobj)
    assert counts.sum() == 5 and counts[1, 1, 1] == 2 and counts[2, 2, 2] == 1
    assert len(lesions.lesions) == 2 and all(lesions.lesions)

    assert [(record.name, record.error) for record in failed] == [("sub-03", "It went wrong.")]


def test_volume_change_since_the_previous_session(tmp_path):
    """Sessions in natural order; sessions of other models or participants are not compared."""
    for name, volume, model in (
        ("sub-01_ses-2", 10.0, "a"),
        ("sub-01_ses-10", 4.0, "a"),
        ("sub-01_ses-3", 7.5, "a"),
        ("sub-01_ses-4", 99.0, "b"),
        ("sub-02_ses-1", 5.0, "a"),
    ):
        add(tmp_path, name, [(1, 1, 1)], volume=volume, model=model)
    table = cohort_table.collect(tmp_path, read_all(tmp_path))[0].set_index(
        ["participant_id", "session_id"]
    )
    change, before = table["lesion_volume_change_ml"], table["previous_session_id"]
    assert change["sub-01", "ses-3"] == pytest.approx(-2.5) and before["sub-01", "ses-3"] == "ses-2"
    assert change["sub-01", "ses-10"] == pytest.approx(-3.5) and before["sub-01", "ses-10"] == "ses-3"
    rest = table.drop(index=[("sub-01", "ses-3"), ("sub-01", "ses-10")])
    assert rest[["lesion_volume_change_ml", "previous_session_id"]].isna().all(axis=None)


def test_a_mask_in_a_template_space_has_no_native_volume(tmp_path):
    add(tmp_path, "sub-01", [(1, 1, 1)], reference=TEMPLATE, contrasts=(), model="own masks")
    row = cohort_table.collect(tmp_path, read_all(tmp_path))[0].iloc[0]
    assert pd.isna(row["lesion_volume_ml"]) and pd.isna(row["contrasts"])
    assert row["lesion_volume_mni_ml"] == cohort_table.volume_ml(row) == pytest.approx(0.008)


def test_an_empty_lesion_counts_as_a_session(tmp_path):
    add(tmp_path, "sub-01", [])
    table, measured, _ = cohort_table.collect(tmp_path, read_all(tmp_path))
    assert len(table) == 1 and not np.any(overlap.overlap(tmp_path, measured).count.dataobj)
    assert table.iloc[0]["lesion_volume_mni_ml"] == 0


def test_a_session_with_missing_outputs_has_failed(tmp_path):
    add(tmp_path, "sub-01", [(1, 1, 1)])
    add(tmp_path, "sub-02", [(1, 1, 1)])[-1].unlink()
    table, measured, failed = cohort_table.collect(tmp_path, read_all(tmp_path))
    assert table["participant_id"].tolist() == ["sub-01"]
    assert np.asanyarray(overlap.overlap(tmp_path, measured).count.dataobj).sum() == 1
    assert [record.name for record in failed] == ["sub-02"]


def test_nothing_to_collect(tmp_path):
    with pytest.raises(DatasetError, match="run the participant level first"):
        cohort_table.collect(tmp_path, read_all(tmp_path))
    Record("sub-01", "x").write(tmp_path)
    with pytest.raises(DatasetError, match="no complete session"):
        cohort_table.collect(tmp_path, read_all(tmp_path))


def test_a_damaged_table_does_not_stop_the_others(tmp_path):
    add(tmp_path, "sub-01", [(1, 1, 1)])
    components, *_ = add(tmp_path, "sub-02", [(1, 1, 1)])
    components.write_text("")
    table, measured, failed = cohort_table.collect(tmp_path, read_all(tmp_path))
    assert table["participant_id"].tolist() == ["sub-01"] and len(measured) == 1
    (record,) = failed
    assert record.name == "sub-02" and str(components) in record.error


def test_short_and_long_tables(tmp_path):
    """Compare with the session tables, read and concatenated by pandas."""
    add(tmp_path, "sub-02", [(0, 0, 0)], weighted=4.0)
    add(tmp_path, "sub-01_ses-a", [(1, 1, 1)])
    table, measured, _ = cohort_table.collect(tmp_path, read_all(tmp_path))
    short, descriptions = long_tables.short_table(table)
    assert list(descriptions) == list(short) and len(short.columns) == 15
    described = columns.describe_columns(table)
    assert all(descriptions[name] == described[name] for name in short)
    assert short["cst_weighted_load_ml_ipsilesional"].tolist() == [3.0, 4.0]
    for name, (role, long_columns) in long_tables.LONG_TABLES.items():
        long = long_tables.long_table(name, tmp_path, measured)
        expected = []
        for record, session in zip(measured, ("ses-a", np.nan), strict=True):
            for atlas, path in record.paths(tmp_path, role).items():
                part = pd.read_csv(path, sep="\t")
                participant = record.name.partition("_")[0]
                part.insert(0, "atlas", atlas)
                part.insert(0, "session_id", session)
                part.insert(0, "participant_id", participant)
                expected.append(part)
        expected = pd.concat(expected, ignore_index=True).reindex(columns=list(long_columns))
        pd.testing.assert_frame_equal(long, expected, check_dtype=False)


def test_missing_atlases_are_reported(tmp_path):
    for name in ("sub-01", "sub-02", "sub-03"):
        add(tmp_path, name, [(1, 1, 1)])
    records = read_all(tmp_path)
    assert list(long_tables.unmeasured_atlases(tmp_path, records)) == []
    del records[1].outputs["loads@JuelichCST"]
    (sentence,) = long_tables.unmeasured_atlases(tmp_path, records)
    assert sentence.startswith("1 of 3 sessions were not measured in JuelichCST;")


def test_a_load_table_of_another_version_is_reported(tmp_path):
    paths = add(tmp_path, "sub-01", [(1, 1, 1)])
    add(tmp_path, "sub-02", [(1, 1, 1)])
    old = pd.read_csv(paths[2], sep="\t").query("side != 'ipsilesional'")
    write_tsv(old, paths[2])
    table, _, (failed,) = cohort_table.collect(tmp_path, read_all(tmp_path))
    assert table["participant_id"].tolist() == ["sub-02"]
    assert "lacks ipsilesional" in failed.error and "run the participant level again" in failed.error


def test_region_names_are_text(tmp_path):
    """Brodmann areas and other regions whose names look like numbers or missing values."""
    names = ["17", "1_2", "007", "inf", "NA"]
    path = write_tsv(pd.DataFrame({"region": names, "lesion_volume_ml": 0.5}), tmp_path / "x.tsv")
    rows = cohort_table.read_rows(path)
    assert [row["region"] for row in rows] == names
    assert {row["lesion_volume_ml"] for row in rows} == {0.5}


def test_a_tract_called_cst_has_its_own_columns(tmp_path):
    """In the same session, and in a cohort of which some sessions have only the default tract."""
    loads = add(tmp_path, "sub-01", [(1, 1, 1)], weighted=3.0)[2]
    add(tmp_path, "sub-02", [(1, 1, 1)], weighted=4.0)
    other = loads.with_name(loads.name.replace("JuelichCST", "CST"))
    other.write_text(loads.read_text().replace("\t3\t", "\t8\t"))
    record = read_all(tmp_path)[0]
    record.outputs["loads@CST"] = str(other.relative_to(tmp_path))
    record.write(tmp_path)
    table, _, _ = cohort_table.collect(tmp_path, read_all(tmp_path))
    assert columns.tract_prefixes(table) == ["cst", "owncst"]
    assert table["cst_weighted_load_ml_left"].tolist() == [3, 4]
    assert table["owncst_weighted_load_ml_left"].tolist()[0] == 8
    assert np.isnan(table["owncst_weighted_load_ml_left"][1])


def test_columns_of_participants_are_no_tracts(tmp_path):
    """A participants.tsv with columns of an earlier group table."""
    add(tmp_path, "sub-01", [(1, 1, 1)])
    table, _, _ = cohort_table.collect(tmp_path, read_all(tmp_path))
    people = table.astype(str)
    merged = participants.merge_participants(table, people)
    assert "participants_cst_category_status" in merged
    assert summary.summary(merged).equals(summary.summary(table))
