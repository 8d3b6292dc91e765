"""Sessions that run again because of corrected masks."""

import json
import shutil

import bidsets
import nibabel as nib
import numpy as np
import pytest
from corrected import download

from bids_stroke.cli import parser
from bids_stroke.cli.review import main as review
from bids_stroke.errors import DatasetError, UsageError
from bids_stroke.execution.plan import make_plan
from bids_stroke.spatial import image
from bids_stroke.utils.files import checksum

STEM = "sub-{0}_space-T1w_label-L_desc-corrected_mask"


@pytest.fixture
def study(tmp_path):
    """Two participants whose sessions are complete, and a correction of the first."""
    for label in ("1", "2"):
        img, _ = bidsets.scan(int(label), voxel=8)
        anat = bidsets.empty_dataset(tmp_path / "bids") / f"sub-{label}/anat"
        image.save(img, anat / f"sub-{label}_T1w.nii.gz")
    complete(tmp_path)
    _, lesion = bidsets.scan(1, voxel=8)
    mask = np.asanyarray(lesion.dataobj)
    for rater, date in (("Ada", "2026-05-04T10:30:00Z"), ("Bo", "2026-05-05T10:30:00Z")):
        path = download(tmp_path / "downloads", "sub-1", mask, rater, date, f" ({rater != 'Ada':d})")
        nib.save(nib.Nifti1Image(mask, lesion.affine), path)
        path.with_name(path.name.replace(".nii.gz", ".json")).write_text(
            f'{{"Rater": "{rater}", "Date": "{date}", "ReferenceShape": {list(mask.shape)}, '
            f'"ReferenceAffine": {lesion.affine.tolist()}}}'
        )
    assert review(["collect", str(tmp_path / "downloads"), str(tmp_path / "corrections")]) == 0
    return tmp_path


def plan(folder, *options):
    arguments = [folder / "bids", folder / "out", "participant", "--brain-extraction", "none", *options]
    return make_plan(parser.parse(list(map(str, arguments))))


def corrected(folder, name="corrections", *options):
    return plan(folder, "--corrections", folder / name, *options)


def complete(folder, *options):
    """Write records of complete sessions, with files in place of the brain mask and the probability."""
    for job in plan(folder, *options).jobs:
        entry = job.record()
        for role in ("brain_mask", "lesion_probability"):
            path = folder / "out" / f"{job.session.name}_{role}"
            path.parent.mkdir(exist_ok=True)
            path.write_text(role)
            entry.outputs[role] = path.name
        entry.status = "ok"
        entry.segmentation = {
            "identity": job.segmentation_identity(entry),
            **{name: checksum(folder / "out" / name) for name in entry.outputs.values()},
        }
        entry.write(folder / "out")


def names(jobs):
    return [job.session.name for job in jobs]


def test_only_the_corrected_session_runs_again_without_a_segmentation(study):
    assert names(plan(study).jobs) == []
    result = corrected(study)
    assert names(result.jobs) == ["sub-1"] and list(result.done) == ["sub-2"]
    (job,) = result.jobs
    assert job.earlier.probability == study / "out" / "sub-1_lesion_probability"
    assert job.session.lesion.path == study / "corrections/sub-1/anat" / f"{STEM.format(1)}.nii.gz"
    assert job.record().corrected_by == "Bo" and "corrected mask" in job.record().inputs


def test_both_raters_are_named(study):
    (session, _) = corrected(study).sessions
    (sentence,) = session.ambiguous
    assert "corrected by Bo on 2026-05-05 10:30; the corrections of Ada" in sentence


@pytest.mark.parametrize(
    "change",
    [
        lambda folder: (folder / "out/sub-1_lesion_probability").write_text("edited"),
        lambda folder: (folder / "out/sub-1_brain_mask").unlink(),
        lambda folder: image.save(
            bidsets.scan(9, voxel=8)[0], folder / "bids/sub-1/anat/sub-1_T1w.nii.gz"
        ),
    ],
)
def test_a_changed_segmentation_is_not_used_again(study, change):
    change(study)
    (job,) = corrected(study).jobs
    assert job.session.name == "sub-1" and job.earlier is None


def test_another_option_of_the_segmentation_is_applied(study):
    jobs = corrected(study, "corrections", "--mirror").jobs
    assert names(jobs) == ["sub-1", "sub-2"] and all(job.earlier is None for job in jobs)


def test_a_changed_and_a_removed_correction_run_again(study):
    complete(study, "--corrections", study / "corrections")
    assert names(corrected(study).jobs) == []
    path = study / "corrections/sub-1/anat" / f"{STEM.format(1)}.json"
    text = path.read_text()
    path.write_text(text.replace("Bo", "Cy"))
    assert names(corrected(study).jobs) == ["sub-1"]
    path.write_text(text)
    result = plan(study)
    assert names(result.jobs) == ["sub-1"] and result.jobs[0].earlier
    (notice,) = result.notices
    assert notice.startswith("sub-1: the mask of the model is used instead of that corrected by Bo")
    assert notice.endswith("because --corrections is not given.")


def test_a_dataset_whose_last_correction_was_removed(study):
    complete(study, "--corrections", study / "corrections")
    shutil.rmtree(study / "corrections/sub-1")
    result = corrected(study)
    assert names(result.jobs) == ["sub-1"] and result.jobs[0].session.correction is None
    assert result.notices[0].endswith(f"because {study / 'corrections'} no longer contains it.")


def test_a_folder_without_corrections_is_an_error(study):
    with pytest.raises(DatasetError, match="contains no corrected mask"):
        corrected(study, "bids")


def test_a_mask_on_another_grid_is_refused(study):
    folder = shutil.copytree(study / "corrections", study / "moved")
    path = folder / "sub-1/anat" / f"{STEM.format(1)}.nii.gz"
    img = nib.load(path)
    affine = img.affine.copy()
    affine[0, 3] += 9
    nib.save(nib.Nifti1Image(np.asanyarray(img.dataobj), affine), path)
    (skipped,) = corrected(study, "moved").skipped
    assert skipped.name == "sub-1" and skipped.refused
    assert f"the grid of {path} is not that of" in skipped.reason


def test_a_mask_on_another_image_is_refused(study):
    anat = shutil.copytree(study / "corrections", study / "flair") / "sub-1/anat"
    for path in sorted(anat.iterdir()):
        path.rename(path.with_name(path.name.replace("space-T1w", "space-FLAIR")))
    (skipped,) = corrected(study, "flair").skipped
    assert "was drawn on the FLAIR, but the reference image is sub-1_T1w.nii.gz" in skipped.reason


def test_a_mask_of_another_run_is_refused(study):
    """Both runs have the same grid, so that only the name of the image differs."""
    anat = study / "bids/sub-1/anat"
    (anat / "sub-1_T1w.nii.gz").rename(anat / "sub-1_run-2_T1w.nii.gz")
    path = study / "corrections/sub-1/anat" / f"{STEM.format(1)}.json"
    content = json.loads(path.read_text())
    path.write_text(json.dumps({**content, "ReferenceImage": "sub-1_run-02_T1w.nii.gz"}))
    assert corrected(study).skipped == []
    path.write_text(json.dumps({**content, "ReferenceImage": "sub-1_run-1_T1w.nii.gz"}))
    (skipped,) = corrected(study).skipped
    reason = "was drawn on sub-1_run-1_T1w.nii.gz, but the reference image is sub-1_run-2_T1w.nii.gz"
    assert reason in skipped.reason


@pytest.mark.parametrize(
    "place", ["bids/corrections", "bids/derivatives/corrections", "out/corrections"]
)
def test_corrections_in_another_dataset(study, place):
    expected = names(corrected(study).jobs)
    shutil.copytree(study / "corrections", study / place)
    result = corrected(study, place)
    assert names(result.jobs) == expected == ["sub-1"] and len(result.sessions) == 2
    assert (
        result.jobs[0].session.lesion.path == study / place / "sub-1/anat" / f"{STEM.format(1)}.nii.gz"
    )
    assert all(len(session.images) == 1 for session in result.sessions)


def test_the_output_folder_is_not_a_dataset_of_corrections(study):
    with pytest.raises(UsageError, match="is the output folder of this run"):
        corrected(study, "out")


def test_a_mask_of_a_missing_participant_is_reported(study):
    folder = shutil.copytree(study / "corrections", study / "missing")
    (folder / "sub-1").rename(folder / "sub-3")
    for path in sorted((folder / "sub-3/anat").iterdir()):
        path.rename(path.with_name(path.name.replace("sub-1", "sub-3")))
    result = corrected(study, "missing")
    assert names(result.jobs) == []
    (notice,) = result.notices
    assert notice.endswith("is not used: the dataset has no session sub-3 that can be processed.")
    assert corrected(study, "missing", "--participant-label", "1").notices == []
