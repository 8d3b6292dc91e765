"""The simulation command."""

import json
import subprocess
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from nibabel.affines import apply_affine
from nilearn.datasets import load_mni152_template

from bids_stroke.cli.simulate import main

MASKS = ("space-T1w_label-L_desc-truth_mask", "space-T1w_desc-brain_mask")


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    out = tmp_path_factory.mktemp("simulated") / "dataset"
    assert main([str(out), "--participants", "2", "--resolution", "4", "--seed", "3"]) == 0
    return out


def test_layout(dataset):
    expected = {"README", "dataset_description.json", "participants.json", "participants.tsv"}
    truth = "derivatives/truth"
    for name in ("README", "dataset_description.json", "descriptions.tsv"):
        expected.add(f"{truth}/{name}")
    for subject in ("sub-01", "sub-02"):
        for extension in (".nii.gz", ".json"):
            expected |= {f"{subject}/anat/{subject}_{c}{extension}" for c in ("T1w", "FLAIR")}
            expected |= {f"{truth}/{subject}/anat/{subject}_{mask}{extension}" for mask in MASKS}
    files = {path.relative_to(dataset).as_posix() for path in dataset.rglob("*") if path.is_file()}
    assert files == expected
    assert [path.name for path in dataset.parent.iterdir()] == [dataset.name]


def test_truth_refers_to_its_scan(dataset):
    truth = dataset / "derivatives" / "truth"
    description = json.loads((truth / "dataset_description.json").read_text())
    assert description["DatasetType"] == "derivative"
    assert description["GeneratedBy"][0]["Name"] == "bids_stroke-simulate"
    root = (truth / description["DatasetLinks"]["raw"]).resolve()
    for mask, kind in zip(MASKS, ("Lesion", "Brain"), strict=True):
        path = truth / "sub-01" / "anat" / f"sub-01_{mask}.nii.gz"
        sidecar = json.loads(path.with_name(f"sub-01_{mask}.json").read_text())
        assert sidecar["Type"] == kind
        scan = nib.load(root / sidecar["SpatialReference"].removeprefix("bids:raw:"))
        assert nib.load(path).shape == scan.shape
        np.testing.assert_array_equal(nib.load(path).affine, scan.affine)


def test_participants_table_contains_the_side(dataset):
    table = pd.read_csv(dataset / "participants.tsv", sep="\t", index_col="participant_id")
    described = json.loads((dataset / "participants.json").read_text())
    assert set(described) == set(table.columns)
    assert list(table.lesion_side) == ["left", "right"]
    assert table.age.between(18, 100).all() and table.nihss.between(0, 42).all()
    for subject, side in table.lesion_side.items():
        folder = dataset / "derivatives" / "truth" / subject / "anat"
        centers = []
        for mask in MASKS:
            img = nib.load(folder / f"{subject}_{mask}.nii.gz")
            centers.append(apply_affine(img.affine, np.argwhere(img.get_fdata()).mean(0)))
        to_the_right = (centers[0] - centers[1])[0]
        assert to_the_right < -15 if side == "left" else to_the_right > 15


def test_first_participant_does_not_depend_on_the_others(dataset, tmp_path):
    out = tmp_path / "one"
    out.mkdir()  # an empty folder may exist
    assert main([str(out), "--participants", "1", "--resolution", "4", "--seed", "3"]) == 0
    for contrast in ("T1w", "FLAIR"):
        name = f"sub-01/anat/sub-01_{contrast}.nii.gz"
        np.testing.assert_array_equal(nib.load(out / name).dataobj, nib.load(dataset / name).dataobj)


def test_used_folder_is_refused(dataset, tmp_path, capsys):
    before = sorted(dataset.iterdir())
    assert main([str(dataset)]) == 2
    assert capsys.readouterr().err == (
        f"bids_stroke-simulate: error: {dataset} is not an empty folder; choose a new folder.\n"
    )
    assert sorted(dataset.iterdir()) == before
    file = tmp_path / "file"
    file.touch()
    assert main([str(file)]) == 2
    assert main([str(file / "below")]) == 2
    assert "cannot be written" in capsys.readouterr().err


@pytest.mark.parametrize("option", [("--participants", "0"), ("--resolution", "0.5")])
def test_impossible_options_are_refused(option, tmp_path):
    assert main([str(tmp_path / "out"), *option]) == 2


@pytest.mark.parametrize("part", [".", "derivatives/truth"])
def test_dataset_is_valid(dataset, part):
    validator = Path(sys.executable).with_name("bids-validator-deno")
    command = [validator, "--format", "json", str(dataset / part)]
    result = subprocess.run(command, capture_output=True, text=True)
    issues = json.loads(result.stdout)["issues"]["issues"]
    assert [issue for issue in issues if issue["severity"] == "error"] == []
    assert result.returncode == 0


def test_user_supplied_brains_and_lesions(tmp_path):
    template = load_mni152_template(resolution=2)
    grid = nib.affines.apply_affine(template.affine, np.moveaxis(np.indices(template.shape), 0, -1))
    lesion = np.linalg.norm(grid - (-30, -10, 25), axis=-1) < 12
    for folder, data in (("brains", template.get_fdata(dtype=np.float32)), ("lesions", lesion)):
        (tmp_path / folder).mkdir()
        img = nib.Nifti1Image(np.asarray(data, np.float32), template.affine)
        nib.save(img, tmp_path / folder / "one.nii.gz")
    out = tmp_path / "out"
    folders = ["--brains", str(tmp_path / "brains"), "--lesions", str(tmp_path / "lesions")]
    assert main([str(out), "--participants", "2", "--resolution", "4", *folders]) == 0
    table = pd.read_csv(out / "participants.tsv", sep="\t", index_col="participant_id")
    assert set(json.loads((out / "participants.json").read_text())) == set(table.columns)
    for name, row in table.iterrows():
        anat, truth = (folder / name / "anat" for folder in (out, out / "derivatives" / "truth"))
        images = [nib.load(anat / f"{name}_{c}.nii.gz") for c in ("T1w", "FLAIR", "T2w")]
        label, brain = (
            np.asarray(nib.load(truth / f"{name}_space-T1w_{kind}_mask.nii.gz").dataobj)
            for kind in ("label-L_desc-truth", "desc-brain")
        )
        assert all(img.shape == label.shape for img in images)
        assert not (label > brain).any() and 600 < brain.sum() * 0.064 < 2200
        assert row.lesion_volume == pytest.approx(label.sum() * 0.064, rel=1e-5)
        # The background of a skull-stripped image is zero.
        assert not np.asarray(images[0].dataobj)[brain == 0].any()


def test_brains_require_lesions(tmp_path, capsys):
    assert main([str(tmp_path / "out"), "--brains", str(tmp_path)]) == 2
    assert "--lesions" in capsys.readouterr().err
