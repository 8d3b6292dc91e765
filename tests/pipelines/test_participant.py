"""Both levels on a small simulated dataset."""

import json
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import nibabel as nib
import numpy as np
import pages
import pandas as pd
import pytest
from nibabel.affines import apply_affine, from_matvec, voxel_sizes
from scipy import ndimage

from bids_stroke.cli import parser, simulate
from bids_stroke.cli.run import main
from bids_stroke.evaluation.metrics import dice
from bids_stroke.execution.messages import Step
from bids_stroke.execution.plan import make_plan
from bids_stroke.execution.session import run_session
from bids_stroke.execution.supervisor import Supervisor, Task
from bids_stroke.models import catalog
from bids_stroke.spatial import grid, image, transforms
from bids_stroke.spatial.templates import template

pytestmark = pytest.mark.slow

MNI = "space-MNI152NLin2009aSym"
FURTHER = "space-MNI152NLin6Asym"
OPTIONS = ["--output-spaces", "MNI152NLin6Asym", "--brain-extraction", "deepbet"]
TRUTH = "derivatives/truth/sub-01/anat/sub-01_space-T1w_{}_mask.nii.gz"
OUTPUTS = {
    "sub-01/anat/sub-01_desc-preproc_T1w.nii.gz",
    "sub-01/anat/sub-01_desc-lesionfilled_T1w.nii.gz",
    "sub-01/anat/sub-01_desc-preproc_FLAIR.nii.gz",
    "sub-01/anat/sub-01_desc-quality_morph.tsv",
    "sub-01/anat/sub-01_space-FLAIR_desc-preproc_T1w.nii.gz",
    "sub-01/anat/sub-01_space-T1w_desc-brain_mask.nii.gz",
    "sub-01/anat/sub-01_space-FLAIR_desc-brain_mask.nii.gz",
    "sub-01/anat/sub-01_space-T1w_label-L_desc-T1FLAIRlesion_mask.nii.gz",
    "sub-01/anat/sub-01_space-T1w_label-L_desc-T1FLAIRlesion_probseg.nii.gz",
    "sub-01/anat/sub-01_space-T1w_label-L_desc-T1FLAIRlesion_morph.tsv",
    "sub-01/anat/sub-01_space-FLAIR_label-L_desc-T1FLAIRlesion_mask.nii.gz",
    "sub-01/anat/sub-01_space-FLAIR_label-L_desc-T1FLAIRlesion_probseg.nii.gz",
    f"sub-01/anat/sub-01_{MNI}_res-1_desc-preproc_T1w.nii.gz",
    f"sub-01/anat/sub-01_{MNI}_res-1_desc-brain_mask.nii.gz",
    f"sub-01/anat/sub-01_{MNI}_res-1_label-L_desc-T1FLAIRlesion_mask.nii.gz",
    f"sub-01/anat/sub-01_{MNI}_res-1_label-L_desc-T1FLAIRlesion_probseg.nii.gz",
    f"sub-01/anat/sub-01_{MNI}_atlas-JuelichCST_label-L_desc-T1FLAIRlesion_morph.tsv",
    f"sub-01/anat/sub-01_{MNI}_atlas-SuperRegions_label-L_desc-T1FLAIRlesion_morph.tsv",
    "sub-01/anat/sub-01_from-T1w_to-MNI152NLin2009aSym_mode-image_xfm.h5",
    "sub-01/anat/sub-01_from-MNI152NLin2009aSym_to-T1w_mode-image_xfm.h5",
    "sub-01/anat/sub-01_from-T1w_to-FLAIR_mode-image_xfm.mat",
    "sub-01/anat/sub-01_from-FLAIR_to-T1w_mode-image_xfm.mat",
    f"sub-01/anat/sub-01_{FURTHER}_res-2_desc-preproc_T1w.nii.gz",
    f"sub-01/anat/sub-01_{FURTHER}_res-2_desc-brain_mask.nii.gz",
    f"sub-01/anat/sub-01_{FURTHER}_res-2_label-L_desc-T1FLAIRlesion_mask.nii.gz",
    f"sub-01/anat/sub-01_{FURTHER}_res-2_label-L_desc-T1FLAIRlesion_probseg.nii.gz",
    "sub-01/anat/sub-01_from-T1w_to-MNI152NLin6Asym_mode-image_xfm.h5",
    "sub-01/anat/sub-01_from-MNI152NLin6Asym_to-T1w_mode-image_xfm.h5",
    "sub-01.html",
    "CITATION.md",
    "CITATION.bib",
    "dataset_description.json",
    "descriptions.tsv",
    ".bidsignore",
}


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    """Participants 01 (complete) and 02 (with a truncated T1w)."""
    root = tmp_path_factory.mktemp("run") / "bids"
    assert simulate.main([str(root), "--participants", "2", "--resolution", "2"]) == 0
    path = root / "sub-02/anat/sub-02_T1w.nii.gz"
    path.write_bytes(path.read_bytes()[:5000])
    return root


@pytest.fixture(scope="module")
def templates(tmp_path_factory):
    """A TemplateFlow folder with one template: that of nilearn at 2 mm, shifted by 10 mm."""
    home = tmp_path_factory.mktemp("templateflow")
    target = template()
    for name, img in (("T1w", target.t1w), ("desc-brain_mask", target.brain)):
        coarse = grid.regrid(img, (2, 2, 2), order=0)
        shifted = nib.Nifti1Image(coarse.dataobj, from_matvec(np.eye(3), (0, 10, 0)) @ coarse.affine)
        path = home / "tpl-MNI152NLin6Asym" / f"tpl-MNI152NLin6Asym_res-02_{name}.nii.gz"
        image.save(shifted, path)
    return home


@pytest.fixture(scope="module")
def first(dataset, templates):
    """Run the participant level, kill it during the segmentation, and run it again.

    Return the second run and the output folder.
    """
    out = dataset.parent / "out"
    command = [sys.executable, "-m", "bids_stroke", str(dataset), str(out), "participant", "-v"]
    command += OPTIONS
    environment = {**os.environ, "TEMPLATEFLOW_HOME": str(templates)}
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment) as killed:
        for line in killed.stderr:
            if "sub-01: lesion segmentation started" in line:
                killed.kill()
    assert killed.returncode == -signal.SIGKILL
    for path in out.rglob("sub-01*.nii.gz"):
        if ".partial" not in str(path) and "work" not in path.parts:
            nib.load(path).get_fdata()
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    return done, out


def files(folder):
    """Map relative paths of outputs to (size, modification time)."""
    return {
        path.relative_to(folder).as_posix(): (path.stat().st_size, path.stat().st_mtime_ns)
        for path in folder.rglob("*")
        if path.is_file() and path.relative_to(folder).parts[0] not in ("work", "logs")
    }


def test_a_failed_participant_does_not_stop_others(first):
    done, out = first
    assert done.returncode == 1
    assert files(out).keys() >= OUTPUTS
    assert "sub-02_T1w.nii.gz cannot be read as an image" in done.stderr
    assert "Traceback" not in done.stderr + done.stdout
    record = json.loads((out / "logs/sub-02_run.json").read_text())
    assert record["status"] == "failed"
    assert record["error"].count(".nii.gz") == 1
    assert "cannot be read" in (out / "sub-02.html").read_text()


def test_a_killed_run_is_resumed(first):
    """Finished steps are not repeated, and no partial file remains."""
    done, out = first
    assert "sub-01: ok" in done.stderr
    assert "brain extraction took" not in done.stderr
    assert list(out.rglob(".partial*")) == []


def test_native_outputs_are_on_the_raw_grids(first, dataset):
    _, out = first
    for contrast in ("T1w", "FLAIR"):
        raw = nib.load(dataset / f"sub-01/anat/sub-01_{contrast}.nii.gz")
        stem = f"space-{contrast}_label-L_desc-T1FLAIRlesion"
        for name in (
            f"desc-preproc_{contrast}",
            f"space-{contrast}_desc-brain_mask",
            f"{stem}_mask",
            f"{stem}_probseg",
        ):
            img = nib.load(out / f"sub-01/anat/sub-01_{name}.nii.gz")
            assert img.shape == raw.shape
            np.testing.assert_allclose(img.affine, raw.affine, atol=1e-4)


def test_the_lesion_is_found_on_its_side(first, dataset):
    _, out = first
    truth = nib.load(dataset / TRUTH.format("label-L_desc-truth"))
    mask = nib.load(out / "sub-01/anat/sub-01_space-T1w_label-L_desc-T1FLAIRlesion_mask.nii.gz")
    assert dice(mask.dataobj, truth.dataobj) > 0.4
    people = pd.read_csv(dataset / "participants.tsv", sep="\t", index_col="participant_id")
    side = people.loc["sub-01", "lesion_side"]
    stem = "sub-01_space-T1w_label-L_desc-T1FLAIRlesion_morph.tsv"
    components = pd.read_csv(out / "sub-01/anat" / stem, sep="\t")
    whole = components.iloc[0]
    assert whole["component"] == "all"
    assert whole["hemisphere"] in (side, "bilateral")
    assert components.iloc[1]["hemisphere"] == side
    voxels = np.count_nonzero(mask.dataobj) * abs(np.linalg.det(mask.affine[:3, :3]))
    assert whole["volume_mm3"] == pytest.approx(voxels, rel=1e-4)


def test_brain_extraction_and_normalization_accuracy(first, dataset):
    _, out = first
    truth = nib.load(dataset / TRUTH.format("desc-brain"))
    brain = nib.load(out / "sub-01/anat/sub-01_space-T1w_desc-brain_mask.nii.gz")
    assert dice(brain.dataobj, truth.dataobj) > 0.95
    quality = pd.read_csv(out / "sub-01/anat/sub-01_desc-quality_morph.tsv", sep="\t").iloc[0]
    assert quality["template_brain_dice"] > 0.97
    moved = nib.load(out / "sub-01/anat/sub-01_space-MNI152NLin2009aSym_res-1_desc-brain_mask.nii.gz")
    native = np.count_nonzero(brain.dataobj) * abs(np.linalg.det(brain.affine[:3, :3]))
    scaling = np.count_nonzero(moved.dataobj) / native
    assert quality["brain_scaling"] == pytest.approx(scaling, rel=1e-5)


def test_sidecars(first):
    _, out = first
    anat = out / "sub-01/anat"
    lesion = json.loads((anat / "sub-01_space-T1w_label-L_desc-T1FLAIRlesion_mask.json").read_text())
    assert lesion["Type"] == "Lesion"
    raw = "bids:raw:sub-01/anat/sub-01_{}.nii.gz"
    assert lesion["Sources"] == [raw.format("T1w"), raw.format("FLAIR")]
    assert lesion["SpatialReference"] == raw.format("T1w")
    assert lesion["ModelWeightsSHA256"] == catalog.load("simstroke").weights.sha256
    for path in anat.glob("*_morph.tsv"):
        described = json.loads(path.with_suffix(".json").read_text())
        assert list(pd.read_csv(path, sep="\t")) == list(described)
    for space, mm in ((f"{MNI}_res-1", 1), (f"{FURTHER}_res-2", 2)):
        for path in anat.glob(f"*{space}*.json"):
            assert json.loads(path.read_text())["Resolution"].startswith(f"{mm} mm")


def test_the_filled_image_differs_only_in_the_lesion(first):
    _, out = first
    anat = out / "sub-01/anat"
    names = ("desc-preproc_T1w", "desc-lesionfilled_T1w", "space-T1w_label-L_desc-T1FLAIRlesion_mask")
    images = [nib.load(anat / f"sub-01_{name}.nii.gz") for name in names]
    before, after, lesion_voxels = (np.asanyarray(img.dataobj) for img in images)
    lesion_voxels, lesion = lesion_voxels > 0, images[2]
    far = ndimage.distance_transform_edt(~lesion_voxels, voxel_sizes(lesion.affine)) >= 3
    np.testing.assert_array_equal(after[far], before[far])
    assert np.mean(after[lesion_voxels] != before[lesion_voxels]) > 0.99
    np.testing.assert_array_equal(images[1].affine, images[0].affine)
    sidecar = json.loads((anat / "sub-01_desc-lesionfilled_T1w.json").read_text())
    volume = lesion_voxels.sum() * np.prod(voxel_sizes(lesion.affine))
    assert sidecar["MirroredVolume"] + sidecar["InterpolatedVolume"] == pytest.approx(volume, rel=1e-3)
    record = json.loads((out / "logs/sub-01_run.json").read_text())
    assert record["outputs"]["filled_image"] == "sub-01/anat/sub-01_desc-lesionfilled_T1w.nii.gz"


def test_an_additional_space_contains_the_same_lesion(first, templates):
    """The grid is that of the template; the lesion is shifted by 10 mm to the front."""
    _, out = first
    grid = nib.load(next(templates.rglob("*_T1w.nii.gz")))
    masks = {
        space: nib.load(out / f"sub-01/anat/sub-01_{space}_label-L_desc-T1FLAIRlesion_mask.nii.gz")
        for space in (f"{MNI}_res-1", f"{FURTHER}_res-2")
    }
    default, further = masks.values()
    assert further.shape == grid.shape
    np.testing.assert_allclose(further.affine, grid.affine, atol=1e-4)
    centers, volumes = [], []
    for img in (default, further):
        voxels = np.argwhere(np.asanyarray(img.dataobj) > 0)
        centers.append(apply_affine(img.affine, voxels.mean(0)))
        volumes.append(len(voxels) * np.linalg.det(img.affine[:3, :3]))
    np.testing.assert_allclose(centers[1] - centers[0], (0, 10, 0), atol=1)
    assert volumes[1] == pytest.approx(volumes[0], rel=0.1)
    report = (out / "sub-01.html").read_text()
    assert "MNI152NLin6Asym" in report


def test_transforms_page(first, monkeypatch):
    """The examples of docs/transforms.md reproduce the outputs."""
    _, out = first
    monkeypatch.chdir(out.parent)
    optional = {package for package in ("SimpleITK", "nitransforms") if not find_spec(package)}
    variables = pages.run_python("transforms.md", skip=optional)
    anat = out / "sub-01/anat"

    def output(name):
        return image.load(anat / f"sub-01_{name}.nii.gz")

    lesion = "label-L_desc-T1FLAIRlesion"
    mask = output(f"{MNI}_res-1_{lesion}_mask")
    np.testing.assert_array_equal(variables["mask_of_bids_stroke"].dataobj, mask.dataobj)
    assert dice(variables["mask_in_template"].numpy(), mask.dataobj) > 0.95
    native = output(f"space-T1w_{lesion}_mask")
    assert dice(variables["atlas_in_t1w"].numpy(), native.dataobj) > 0.95
    moved = transforms.move_points(
        variables["points"], [anat / "sub-01_from-MNI152NLin2009aSym_to-T1w_mode-image_xfm.h5"]
    )
    np.testing.assert_allclose(variables["points_in_template"], moved, atol=1e-4)
    probability = output(f"{MNI}_res-1_{lesion}_probseg").get_fdata()
    source = output(f"space-T1w_{lesion}_probseg")
    positions = np.squeeze(nib.load(out.parent / "y_sub-01.nii").get_fdata())
    voxels = np.moveaxis(apply_affine(np.linalg.inv(source.affine), positions), -1, 0)
    pulled = ndimage.map_coordinates(source.get_fdata(), voxels, order=1)
    np.testing.assert_allclose(pulled, probability, atol=1e-4)
    if "SimpleITK" not in optional:
        resampled = variables["sitk"].GetArrayFromImage(variables["probability_in_template"]).T
        np.testing.assert_allclose(resampled, probability, atol=1e-4)


def test_group_level_uses_only_the_derivatives(first, dataset):
    _, out = first
    assert main([str(dataset), str(out), "group"]) == 0
    table = pd.read_csv(out / "group_lesion.tsv", sep="\t")
    assert list(table["participant_id"]) == ["sub-01"]
    assert {"age", "lesion_side", "cst_raw_load_ml_left", "cst_raw_load_ml_right"} <= set(table)
    described = json.loads((out / "group_lesion.json").read_text())
    assert list(described) == list(table)
    count = nib.load(out / "group_space-MNI152NLin2009aSym_res-1_label-L_count.nii.gz")
    stem = f"sub-01_{MNI}_res-1_label-L_desc-T1FLAIRlesion_mask.nii.gz"
    assert np.array_equal(count.dataobj, nib.load(out / "sub-01/anat" / stem).dataobj)
    assert "sub-02" in (out / "group.html").read_text()


def test_the_validator_finds_no_error(first):
    _, out = first
    validator = Path(sys.executable).with_name("bids-validator-deno")
    done = subprocess.run([validator, out, "--format", "json"], capture_output=True, text=True)
    issues = json.loads(done.stdout)["issues"]["issues"]
    assert [issue for issue in issues if issue.get("severity") == "error"] == []


def test_a_second_run_changes_nothing(first, dataset, templates, monkeypatch):
    _, out = first
    before = files(out)
    monkeypatch.setenv("TEMPLATEFLOW_HOME", str(templates))
    arguments = [str(dataset), str(out), "participant", "--participant-label", "sub-01"]
    assert main([*arguments, *OPTIONS]) == 0
    assert files(out) == before


def test_a_killed_child_is_reported_and_the_others_finish(dataset, tmp_path):
    """sub-01 is killed at its first step; sub-02 still gets a result."""
    shutil.copytree(dataset / "sub-02", tmp_path / "bids/sub-02")
    shutil.copytree(dataset / "sub-01", tmp_path / "bids/sub-01")
    shutil.copy(dataset / "dataset_description.json", tmp_path / "bids")
    arguments = [str(tmp_path / "bids"), str(tmp_path / "out"), "participant", "--nprocs", "2"]
    settings = parser.parse([*arguments, "--mem-mb", "12000"])
    tasks = [Task(job.session.name, run_session, job) for job in make_plan(settings).jobs]

    def kill(name, message):
        if name == "sub-01" and isinstance(message, Step):
            for child in multiprocessing.active_children():
                if child.name == "sub-01":
                    child.kill()

    environment = dict(os.environ)
    with Supervisor(settings, tasks, kill) as supervisor:
        ended = {task.name: result for task, result in supervisor.results()}
    assert dict(os.environ) == environment
    assert ended["sub-01"].status == "failed"
    assert "killed" in ended["sub-01"].error
    assert "cannot be read as an image" in ended["sub-02"].error
    assert multiprocessing.active_children() == []
