import json
from dataclasses import replace

import cards
import nibabel as nib
import numpy as np
import pytest

from bids_stroke.bids import discovery
from bids_stroke.bids.source_datasets import SourceDatasets
from bids_stroke.errors import DatasetError, UsageError

T1W = cards.make()


class Dataset:
    """A dataset of tiny images with BIDS names."""

    def __init__(self, root):
        self.root = root
        root.mkdir(parents=True)
        description = {"Name": "tested", "BIDSVersion": "1.10.0"}
        (root / "dataset_description.json").write_text(json.dumps(description))

    def add(self, *paths, spacing=1.0):
        for path in map(self.root.joinpath, paths):
            path.parent.mkdir(parents=True, exist_ok=True)
            data = np.zeros((2, 2, 2), np.uint8)
            nib.save(nib.Nifti1Image(data, np.diag([spacing, 1, 1, 1])), path)
        return self

    def find(self, card=T1W, bids_dir=None, **more):
        exclude = (self.root / "derivatives" / "out", self.root / "work")
        return discovery.find(bids_dir or self.root, card=card, exclude=exclude, **more)


@pytest.fixture
def dataset(tmp_path):
    return Dataset(tmp_path / "bids")


def names(session):
    return {contrast: path.name for contrast, path in session.images.items()}


# Find


def test_sessions_and_participants(dataset):
    dataset.add(
        "sub-02/anat/sub-02_T1w.nii.gz",
        "sub-01/ses-b/anat/sub-01_ses-b_T1w.nii",
        "sub-01/ses-a/anat/sub-01_ses-a_T1w.nii.gz",
        "sub-01/ses-a/anat/sub-01_ses-a_FLAIR.nii.gz",
        "sub-01/ses-a/anat/sub-01_ses-a_T1map.nii.gz",
    )
    sessions, skipped = dataset.find()
    assert [session.name for session in sessions] == ["sub-01_ses-a", "sub-01_ses-b", "sub-02"]
    assert names(sessions[0]) == {
        "T1w": "sub-01_ses-a_T1w.nii.gz",
        "FLAIR": "sub-01_ses-a_FLAIR.nii.gz",
    }
    assert names(sessions[1]) == {"T1w": "sub-01_ses-b_T1w.nii"}
    assert all(session.notes == () and session.brain_mask is None for session in sessions)
    assert all(path.is_absolute() for path in sessions[0].images.values())
    assert skipped == []


def test_requested_participants_and_sessions(dataset):
    dataset.add(
        *(
            f"sub-{subject}/ses-{session}/anat/sub-{subject}_ses-{session}_T1w.nii.gz"
            for subject in ("01", "02", "03")
            for session in ("a", "b")
        )
    )
    sessions, skipped = dataset.find(participant_label=("03", "01", "03"), session_label=("b",))
    assert [session.name for session in sessions] == ["sub-01_ses-b", "sub-03_ses-b"]
    assert skipped == []


def test_unknown_participants_are_reported(dataset):
    dataset.add("sub-01/anat/sub-01_T1w.nii.gz")
    with pytest.raises(UsageError, match=r"no participant 1, 7; it has 01"):
        dataset.find(participant_label=("1", "01", "7"))


def test_an_unknown_session_is_reported(dataset):
    dataset.add("sub-01/ses-a/anat/sub-01_ses-a_T1w.nii.gz")
    with pytest.raises(UsageError, match="no session c for 01"):
        dataset.find(session_label=("c",))


def test_a_dataset_without_images(dataset):
    with pytest.raises(DatasetError, match="no sub-"):
        dataset.find()


def test_a_participant_without_anatomical_images_is_skipped(dataset):
    dataset.add("sub-01/anat/sub-01_T1w.nii.gz", "sub-02/func/sub-02_task-rest_bold.nii.gz")
    sessions, skipped = dataset.find()
    assert [session.name for session in sessions] == ["sub-01"]
    assert [name for name, *_ in skipped] == ["sub-02"]
    assert "no usable T1w, FLAIR or T2w image" in skipped[0].reason
    assert not skipped[0].refused


def test_only_participant_folders_are_searched(dataset):
    dataset.add(
        "sub-01/anat/sub-01_T1w.nii.gz",
        "sourcedata/sub-02/anat/sub-02_T1w.nii.gz",
        "derivatives/other/sub-03/anat/sub-03_desc-preproc_T1w.nii.gz",
        "out/sub-01/anat/sub-01_desc-preproc_T1w.nii.gz",  # from an earlier run, inside the dataset
        "out/sub-04/anat/sub-04_desc-preproc_T1w.nii.gz",
        ".git/sub-05/anat/sub-05_T1w.nii.gz",
    )
    sessions, _ = dataset.find()
    assert [names(session) for session in sessions] == [{"T1w": "sub-01_T1w.nii.gz"}]
    assert sessions[0].notes == ()


def test_folders_above_the_dataset_are_ignored(tmp_path):
    dataset = Dataset(tmp_path / "sub-99" / "ses-x" / "func" / "acq-y+z")
    dataset.add("sub-01/anat/sub-01_T1w.nii.gz", "sub-02/ses-a/anat/sub-02_ses-a_T1w.nii.gz")
    sessions, skipped = dataset.find()
    assert [(session.name, names(session)["T1w"]) for session in sessions] == [
        ("sub-01", "sub-01_T1w.nii.gz"),
        ("sub-02_ses-a", "sub-02_ses-a_T1w.nii.gz"),
    ]
    assert skipped == []


def test_a_linked_dataset(dataset, tmp_path):
    dataset.add("sub-01/anat/sub-01_T1w.nii.gz")
    link = tmp_path / "link"
    link.symlink_to(dataset.root)
    sessions, _ = dataset.find(bids_dir=link)
    path = sessions[0].images["T1w"]
    assert SourceDatasets(link, tmp_path / "out").uri(path) == "bids:raw:sub-01/anat/sub-01_T1w.nii.gz"


def test_links_to_images_as_created_by_datalad(dataset, tmp_path):
    dataset.add("sub-01/anat/sub-01_FLAIR.nii.gz")
    target = dataset.root / ".git/annex/objects/key.nii.gz"
    dataset.add(".git/annex/objects/key.nii.gz")
    (dataset.root / "sub-01/anat/sub-01_T1w.nii.gz").symlink_to(target)
    (dataset.root / "sub-01/anat/sub-01_T2w.nii.gz").symlink_to(tmp_path / "not-fetched")
    sessions, _ = dataset.find()
    assert names(sessions[0])["T1w"] == "sub-01_T1w.nii.gz"


# Several runs


def test_the_finest_then_the_latest_run_is_chosen_and_noted(dataset):
    stem = "sub-01/anat/sub-01_{}_T1w.nii.gz"
    dataset.add(*(stem.format(run) for run in ("run-2", "run-10", "run-1")))
    dataset.add(stem.format("run-11"), spacing=3.0)
    session = dataset.find()[0][0]
    assert names(session) == {"T1w": "sub-01_run-10_T1w.nii.gz"}
    assert len(session.notes) == 1
    assert "sub-01_run-10_T1w.nii.gz was chosen from 4 T1w images" in session.notes[0]


def test_the_finest_wins_over_the_latest(dataset):
    dataset.add("sub-01/anat/sub-01_run-1_T1w.nii.gz", spacing=0.5)
    dataset.add("sub-01/anat/sub-01_run-2_T1w.nii.gz")
    assert names(dataset.find()[0][0]) == {"T1w": "sub-01_run-1_T1w.nii.gz"}


def test_an_unreadable_run_is_the_last_choice(dataset):
    dataset.add("sub-01/anat/sub-01_run-1_T1w.nii.gz", spacing=3.0)
    (dataset.root / "sub-01/anat/sub-01_run-2_T1w.nii.gz").write_bytes(b"cut short")
    assert names(dataset.find()[0][0]) == {"T1w": "sub-01_run-1_T1w.nii.gz"}


# Contrasts of the model


@pytest.mark.parametrize("contrast", ["FLAIR", "T2w"])
def test_without_t1w_another_supported_contrast_is_the_reference(dataset, contrast):
    dataset.add(f"sub-01/anat/sub-01_{contrast}.nii.gz")
    sessions, skipped = dataset.find(cards.make(optional=("T1w", contrast)))
    assert sessions[0].reference == contrast
    assert f"{contrast} is the reference" in sessions[0].notes[0]
    assert skipped == []


def test_the_reference_of_a_model(dataset):
    """A model that was trained on the grid of the FLAIR uses it, if the session has one."""
    card = cards.make("T1w", optional=("FLAIR",), reference="FLAIR")
    dataset.add("sub-01/anat/sub-01_T1w.nii.gz", "sub-02/anat/sub-02_T1w.nii.gz")
    dataset.add("sub-01/anat/sub-01_FLAIR.nii.gz")
    (first, second), _ = dataset.find(card)
    assert (first.reference, second.reference) == ("FLAIR", "T1w")
    assert first.processed(card) == ("FLAIR", "T1w")
    assert first.notes == ("The FLAIR is the reference, as in the training of tested.",)


def test_without_t1w_flair_comes_before_t2w(dataset):
    dataset.add("sub-01/anat/sub-01_T2w.nii.gz", "sub-01/anat/sub-01_FLAIR.nii.gz")
    anything = cards.make(optional=("T2w", "FLAIR", "T1w"))
    assert dataset.find(anything)[0][0].reference == "FLAIR"
    assert dataset.find(cards.make("T2w"))[0][0].reference == "T2w"


def test_without_t1w_a_t1w_model_skips_the_session(dataset):
    dataset.add("sub-01/anat/sub-01_FLAIR.nii.gz", "sub-02/anat/sub-02_T1w.nii.gz")
    sessions, skipped = dataset.find(T1W)
    assert [session.name for session in sessions] == ["sub-02"]
    ((name, reason, refused, _),) = skipped
    assert name == "sub-01" and refused
    assert "has FLAIR but no T1w" in reason and "--model" in reason


def test_a_session_without_a_required_contrast_is_skipped(dataset):
    dataset.add(
        "sub-01/anat/sub-01_T1w.nii.gz",
        "sub-02/anat/sub-02_T1w.nii.gz",
        "sub-02/anat/sub-02_FLAIR.nii.gz",
    )
    sessions, skipped = dataset.find(cards.make("T1w", "FLAIR"))
    assert [session.name for session in sessions] == ["sub-02"]
    assert [name for name, *_ in skipped] == ["sub-01"]
    assert "requires FLAIR" in skipped[0][1]


# Filters, masks


def test_filters_select_by_entity(dataset):
    stem = "sub-01/anat/sub-01_{}.nii.gz"
    dataset.add(*map(stem.format, ("acq-mprage_T1w", "acq-space_T1w", "T1w", "acq-space_FLAIR")))
    for wanted, expected in (
        ("mprage", "sub-01_acq-mprage_T1w.nii.gz"),
        (None, "sub-01_T1w.nii.gz"),  # null: no such entity
    ):
        session = dataset.find(filters={"t1w": {"acquisition": wanted}})[0][0]
        assert names(session) == {"T1w": expected, "FLAIR": "sub-01_acq-space_FLAIR.nii.gz"}
        assert session.notes == ()


def test_a_session_without_matching_images_is_skipped(dataset):
    dataset.add("sub-01/anat/sub-01_T1w.nii.gz")
    dataset.add("sub-02/anat/sub-02_run-3_T1w.nii.gz")
    sessions, skipped = dataset.find(filters={"t1w": {"run": 3}})
    assert [session.name for session in sessions] == ["sub-02"]
    assert [(item.name, item.refused) for item in skipped] == [("sub-01", False)]
    with pytest.raises(DatasetError, match="no T1w, FLAIR or T2w image"):
        dataset.find(filters={"t1w": {"run": 4}})


def test_a_misspelled_filter_is_a_usage_error(dataset):
    dataset.add("sub-01/anat/sub-01_T1w.nii.gz")
    with pytest.raises(UsageError, match=r"acquisitionn.*not a recognized entity"):
        dataset.find(filters={"t1w": {"acquisitionn": "mprage"}})


def test_user_supplied_brain_masks(dataset, tmp_path):
    dataset.add(
        "sub-01/ses-a/anat/sub-01_ses-a_T1w.nii.gz",
        "sub-01/ses-b/anat/sub-01_ses-b_T1w.nii.gz",
        "sub-02/anat/sub-02_T1w.nii.gz",
        "sub-03/anat/sub-03_FLAIR.nii.gz",
        "sub-04/anat/sub-04_T1w.nii.gz",
    )
    first = Dataset(tmp_path / "first").add(
        "sub-01/ses-a/anat/sub-01_ses-a_space-T1w_desc-brain_mask.nii.gz",
        "sub-01/ses-b/anat/sub-01_ses-b_space-MNI152NLin2009aSym_desc-brain_mask.nii.gz",
        # Mask of a functional image, as written by fMRIPrep.
        "sub-01/ses-b/func/sub-01_ses-b_task-rest_desc-brain_mask.nii.gz",
        "sub-03/anat/sub-03_space-FLAIR_desc-brain_mask.nii.gz",
        "sub-04/anat/sub-04_desc-brainstem_mask.nii.gz",
    )
    second = Dataset(tmp_path / "second").add(
        "sub-01/ses-a/anat/sub-01_ses-a_space-T1w_desc-brain_mask.nii.gz",
        "sub-02/anat/sub-02_desc-brain_mask.nii.gz",
    )
    sessions, _ = dataset.find(
        cards.make(optional=("T1w", "FLAIR")), derivatives=(first.root, second.root)
    )
    masks = {session.name: session.brain_mask for session in sessions}
    anat = "sub-01/ses-a/anat/sub-01_ses-a_space-T1w_desc-brain_mask.nii.gz"
    assert masks == {
        "sub-01_ses-a": first.root / anat,
        "sub-01_ses-b": None,
        "sub-02": second.root / "sub-02/anat/sub-02_desc-brain_mask.nii.gz",
        "sub-03": first.root / "sub-03/anat/sub-03_space-FLAIR_desc-brain_mask.nii.gz",
        "sub-04": None,
    }
    assert any(str(first.root) in note for note in sessions[0].notes)


# User-supplied lesion masks


def find_supplied(dataset, *paths, **more):
    """Find the sessions of a dataset with lesion masks in its derivatives."""
    masks = dataset.root / "derivatives" / "lesion_masks"
    dataset.add(*(f"derivatives/lesion_masks/{path}" for path in paths))
    masks.mkdir(parents=True, exist_ok=True)
    return dataset.find(None, lesion_derivatives=masks, **more)


def test_a_mask_selects_the_run_that_it_was_drawn_on(dataset):
    """File names of ARC."""
    anat = "sub-M2265/ses-849/anat/sub-M2265_ses-849_"
    dataset.add(
        f"{anat}acq-tfl3p2_run-9_T1w.nii.gz",
        f"{anat}acq-spc3p2_run-10_T2w.nii.gz",
        f"{anat}acq-spc3p2_run-12_T2w.nii.gz",
        "sub-M2265/ses-2000/anat/sub-M2265_ses-2000_T1w.nii.gz",
    )
    sessions, skipped = find_supplied(dataset, f"{anat}acq-spc3p2_run-10_T2w_desc-lesion_mask.nii.gz")
    (session,) = sessions
    assert (session.name, session.reference, session.drawn_on) == ("sub-M2265_ses-849", "T1w", "T2w")
    assert names(session)["T2w"] == "sub-M2265_ses-849_acq-spc3p2_run-10_T2w.nii.gz"
    assert "run-10_T2w_desc-lesion_mask.nii.gz" in session.notes[0]
    assert [(item.name, item.refused) for item in skipped] == [("sub-M2265_ses-2000", False)]


def test_masks_on_the_trace_image(dataset):
    """File names of SOOP: the mask of all lesions, unless a filter selects another."""
    mask = "sub-{0}/dwi/sub-{0}_space-TRACE_desc-lesion{1}_mask.nii.gz"
    for subject in "12":
        dataset.add(
            f"sub-{subject}/dwi/sub-{subject}_rec-TRACE_dwi.nii.gz",
            f"sub-{subject}/dwi/sub-{subject}_rec-ADC_dwi.nii.gz",
        )
    dataset.add("sub-1/anat/sub-1_T1w.nii.gz", "sub-1/anat/sub-1_FLAIR.nii.gz")
    masks = [mask.format(subject, kind) for subject in "12" for kind in ("Acute", "Chronic", "")]
    (first, second), _ = find_supplied(dataset, *masks)
    assert (first.reference, first.drawn_on) == ("T1w", "TRACE")
    assert names(first) == {
        "T1w": "sub-1_T1w.nii.gz",
        "FLAIR": "sub-1_FLAIR.nii.gz",
        "TRACE": "sub-1_rec-TRACE_dwi.nii.gz",
    }
    assert first.lesion.path.name == "sub-1_space-TRACE_desc-lesion_mask.nii.gz"
    assert "chosen from 3" in first.notes[0]
    assert (second.reference, second.drawn_on) == ("TRACE", "TRACE")
    (acute, _), _ = find_supplied(dataset, filters={"lesion": {"desc": "lesionAcute"}})
    assert acute.lesion.path.name == "sub-1_space-TRACE_desc-lesionAcute_mask.nii.gz"


def isles(dataset, subject, volumes=1):
    """Add a session with the names of ISLES 2022; the DWI has one or several volumes."""
    stem = f"sub-{subject}/ses-0001"
    name = f"sub-{subject}_ses-0001"
    dataset.add(f"{stem}/anat/{name}_FLAIR.nii.gz", f"{stem}/dwi/{name}_adc.nii.gz")
    shape = (4, 4, 4) if volumes == 1 else (4, 4, 4, volumes)
    path = dataset.root / f"{stem}/dwi/{name}_dwi.nii.gz"
    nib.save(nib.Nifti1Image(np.zeros(shape, np.int16), np.eye(4)), path)
    dataset.add(f"derivatives/{stem}/{name}_msk.nii.gz")
    return path


def test_diffusion_images_are_channels(dataset):
    isles(dataset, "strokecase0001")
    card = cards.make("FLAIR", "TRACE", "ADC")
    card = replace(card, inputs=(("FLAIR", "TRACE", "ADC"), ("FLAIR",)))
    (session,), _ = dataset.find(card)
    stem = "sub-strokecase0001_ses-0001"
    assert names(session) == {
        "FLAIR": f"{stem}_FLAIR.nii.gz",
        "TRACE": f"{stem}_dwi.nii.gz",
        "ADC": f"{stem}_adc.nii.gz",
    }
    assert session.reference == "FLAIR" and set(session.processed(card)) == {"FLAIR", "TRACE", "ADC"}
    (other,), _ = dataset.find(cards.make("FLAIR"))
    assert [str(item) for item in other.unused] == [
        f"{stem}_dwi.nii.gz (the model tested does not use TRACE)",
        f"{stem}_adc.nii.gz (the model tested does not use ADC)",
    ]


def test_a_mask_of_isles_belongs_to_the_diffusion_weighted_image(dataset):
    isles(dataset, "1")
    folder = dataset.root / "derivatives"
    (session,), _ = discovery.find(dataset.root, lesion_derivatives=folder, contrasts=("FLAIR", "ADC"))
    assert (session.reference, session.drawn_on) == ("FLAIR", "TRACE")
    assert set(session.images) == {"FLAIR", "TRACE", "ADC"}
    (session,), _ = discovery.find(dataset.root, lesion_derivatives=folder)
    assert set(session.images) == {"FLAIR", "TRACE"}


@pytest.mark.parametrize("name", ["_trace", "_rec-TRACE_dwi", "_dwi"])
def test_names_of_diffusion_weighted_images(dataset, name):
    path = isles(dataset, "1")
    path.rename(path.with_name(f"sub-1_ses-0001{name}.nii.gz"))
    card = replace(cards.make("FLAIR", "TRACE"), inputs=(("FLAIR", "TRACE"),))
    (session,), _ = dataset.find(card)
    assert session.images["TRACE"].name == f"sub-1_ses-0001{name}.nii.gz"


@pytest.mark.parametrize("volumes, gradients", [(7, False), (1, True)])
def test_a_diffusion_series_is_not_a_channel(dataset, volumes, gradients):
    path = isles(dataset, "1", volumes)
    if gradients:
        path.with_name("sub-1_ses-0001_dwi.bval").touch()
    card = replace(cards.make("FLAIR", "TRACE"), inputs=(("FLAIR", "TRACE"), ("FLAIR",)))
    (session,), _ = dataset.find(card)
    assert set(session.images) == {"FLAIR"}


def test_masks_in_a_template_space(dataset):
    """File names of ATLAS v2.0, with an image in the same space and without images."""
    stem = "sub-{0}/ses-1/anat/sub-{0}_ses-1_space-MNI152NLin2009aSym_{1}"
    dataset.add(stem.format("r001s001", "T1w.nii.gz"))
    masks = [stem.format(s, "label-L_desc-T1lesion_mask.nii.gz") for s in ("r001s001", "r001s002")]
    sessions, skipped = find_supplied(dataset, *masks)
    assert [session.name for session in sessions] == ["sub-r001s001_ses-1", "sub-r001s002_ses-1"]
    assert [len(session.images) for session in sessions] == [1, 0]
    assert all(session.lesion.in_template for session in sessions)
    assert {session.reference for session in sessions} == {"MNI152NLin2009aSym"}
    assert skipped == []


def test_masks_in_the_folders_of_the_images(dataset):
    dataset.add(
        "sub-01/anat/sub-01_T1w.nii.gz",
        "sub-01/anat/sub-01_label-L_desc-T1lesion_mask.nii.gz",
        "derivatives/out/sub-01/anat/sub-01_space-T1w_label-L_desc-ownlesion_mask.nii.gz",
    )
    ((session,), _) = dataset.find(None, lesion_derivatives=dataset.root)
    assert names(session) == {"T1w": "sub-01_T1w.nii.gz"}
    assert session.drawn_on == "T1w"


def test_a_mask_without_contrast_in_its_name_is_matched_by_grid(dataset):
    dataset.add("sub-01/anat/sub-01_T1w.nii.gz")
    dataset.add("sub-01/anat/sub-01_FLAIR.nii.gz", spacing=3.0)
    path = dataset.root / "derivatives/lesion_masks/sub-01/anat/sub-01_label-lesion_roi.nii.gz"
    path.parent.mkdir(parents=True)
    nib.save(nib.Nifti1Image(np.ones((2, 2, 2), np.uint8), np.diag([3.01, 1, 1, 1])), path)
    ((session,), _) = find_supplied(dataset)
    assert (session.reference, session.drawn_on) == ("T1w", "FLAIR")
    assert any("grid of sub-01_FLAIR" in note for note in session.notes)


def test_a_mask_without_its_image_is_refused(dataset):
    dataset.add("sub-01/anat/sub-01_T1w.nii.gz")
    sessions, ((name, reason, refused, _),) = find_supplied(
        dataset, "sub-01/anat/sub-01_space-FLAIR_label-L_mask.nii.gz"
    )
    assert sessions == [] and name == "sub-01" and refused
    assert "drawn on a FLAIR image" in reason


def test_a_folder_without_masks(dataset):
    dataset.add("sub-01/anat/sub-01_T1w.nii.gz")
    with pytest.raises(DatasetError, match="no lesion mask of sub-01"):
        find_supplied(dataset)


def test_a_mask_without_ses_is_assigned_to_the_only_session(dataset):
    dataset.add("sub-01/ses-a/anat/sub-01_ses-a_T1w.nii.gz")
    dataset.add(*(f"sub-02/ses-{s}/anat/sub-02_ses-{s}_T1w.nii.gz" for s in "ab"))
    mask = "sub-{0}/anat/sub-{0}_space-T1w_label-L_mask.nii.gz"
    sessions, skipped = find_supplied(dataset, mask.format("01"), mask.format("02"))
    assert [session.name for session in sessions] == ["sub-01_ses-a"]
    assert [(item.name, item.refused) for item in skipped] == [
        ("sub-02_ses-a", True),
        ("sub-02_ses-b", True),
    ]
    assert "no ses- in its name, but sub-02 has several" in skipped[0].reason
