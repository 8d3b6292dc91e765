"""Assignment of lesion masks and brain masks to images."""

import cards
import nibabel as nib
import numpy as np
import pytest

from bids_stroke.bids import discovery
from bids_stroke.errors import DatasetError

SHAPE, SPACING = (16, 20, 16), 12.0


def add(folder, *names, shift=0.0, label="01"):
    """Add images or masks of a participant on a grid shifted by ``shift`` mm."""
    for name in names:
        affine = np.diag([SPACING, SPACING, SPACING, 1.0])
        affine[0, 3] = shift
        path = folder / f"sub-{label}/anat" / f"sub-{label}_{name}.nii.gz"
        path.parent.mkdir(parents=True, exist_ok=True)
        nib.save(nib.Nifti1Image(np.ones(SHAPE, np.uint8), affine), path)


@pytest.fixture
def dataset(tmp_path):
    (tmp_path / "masks").mkdir()
    (tmp_path / "bids").mkdir()
    return tmp_path / "bids", tmp_path / "masks"


def find(dataset, **more):
    root, masks = dataset
    return discovery.find(root, lesion_derivatives=masks, **more)


def select(dataset, **more):
    """Return the only session of a dataset, the name of its mask, and the name of the mask's image."""
    (session,), skipped = find(dataset, **more)
    assert skipped == []
    assert session.lesion.path.name.startswith("sub-01_")
    return session, session.lesion.path.name[7:-7], session.images[session.drawn_on].name[7:-7]


def refused(dataset, **more):
    """Return the reason why the only session of a dataset is refused."""
    sessions, ((name, reason, is_refused, _),) = find(dataset, **more)
    assert (sessions, name, is_refused) == ([], "sub-01", True)
    return reason


@pytest.mark.parametrize("mask", ["run-1_space-T1w_label-L_mask", "run-01_label-L_mask"])
@pytest.mark.parametrize("shift", [0, 12])
def test_a_mask_of_run_1_belongs_to_run_01(dataset, mask, shift):
    """For two runs with identical or different grids."""
    root, masks = dataset
    add(root, "run-01_T1w")
    add(root, "run-02_T1w", shift=shift)
    add(masks, mask)
    session, chosen, image = select(dataset)
    assert (chosen, image) == (mask, "run-01_T1w") and session.ambiguous == ()


@pytest.mark.parametrize("entity", ["run-3", "acq-b", "rec-norm", "ce-gd", "echo-2", "acq-A"])
@pytest.mark.parametrize("space", ["space-T1w_", ""])
def test_a_mask_without_matching_image_is_refused(dataset, entity, space):
    root, masks = dataset
    add(root, "acq-a_run-1_T1w", "acq-a_run-2_T1w")
    add(masks, f"{entity}_{space}label-L_mask")
    reason = refused(dataset)
    assert f"with {entity}, which sub-01 does not have" in reason
    assert "sub-01_acq-a_run-1_T1w.nii.gz, sub-01_acq-a_run-2_T1w.nii.gz" in reason


def test_the_grid_decides_if_the_name_is_ambiguous(dataset):
    root, masks = dataset
    add(root, "run-1_T1w")
    add(root, "run-2_T1w", shift=12)
    add(masks, "space-T1w_label-L_mask")
    session, _, image = select(dataset)
    assert image == "run-1_T1w" and session.ambiguous == ()
    assert [item.path.name for item in session.unused] == ["sub-01_run-2_T1w.nii.gz"]


def test_a_mask_on_another_grid_than_all_images_is_refused(dataset):
    root, masks = dataset
    add(root, "run-1_T1w")
    add(root, "run-2_T1w", shift=12)
    add(masks, "label-L_mask", shift=30)
    assert "is not that of sub-01_run-1_T1w.nii.gz, sub-01_run-2" in refused(dataset)


def test_two_images_on_the_grid_of_a_mask_are_an_ambiguous_choice(dataset):
    root, masks = dataset
    add(root, "run-1_T1w", "run-2_T1w")
    add(masks, "space-T1w_label-L_mask")
    session, _, image = select(dataset)
    assert image == "run-2_T1w"
    of_image, of_mask = session.ambiguous
    assert '{"t1w": {"run": 1}}' in of_image
    assert "matches sub-01_run-1_T1w.nii.gz; add the entities of the image to its name" in of_mask


def test_a_mask_inside_the_dataset_is_not_listed_as_unused(dataset):
    root, _ = dataset
    add(root, "T1w", "T1w_label-lesion_roi")
    session, chosen, _ = select((root, root))
    assert chosen == "T1w_label-lesion_roi" and session.unused == ()


def test_masks_with_the_same_name_are_reported_with_their_folders(dataset):
    root, masks = dataset
    add(root, "T1w")
    add(masks, "space-T1w_label-L_mask")
    add(masks / "old", "space-T1w_label-L_mask")
    reason = refused(dataset)
    assert "old/sub-01/anat/sub-01_space-T1w" in reason and " sub-01/anat/sub-01_space-T1w" in reason


def test_two_contrasts_on_the_grid_of_a_mask_are_an_ambiguous_choice(dataset):
    root, masks = dataset
    add(root, "T1w", "FLAIR")
    add(masks, "label-L_mask")
    session, _, image = select(dataset)
    assert image == "T1w" and "also matches sub-01_FLAIR.nii.gz" in session.ambiguous[0]


def test_the_image_with_the_same_name_is_chosen_among_equal_grids(dataset):
    root, masks = dataset
    add(root, "T1w", "acq-b_T1w")
    add(masks, "space-T1w_label-L_mask")
    session, _, image = select(dataset)
    assert image == "T1w" and session.ambiguous == ()


def test_a_mask_of_an_excluded_image_is_refused(dataset):
    root, masks = dataset
    add(root, "part-mag_T1w", "part-phase_T1w")
    add(masks, "part-phase_space-T1w_label-L_mask")
    assert "with part-phase" in refused(dataset)


def test_the_mask_of_another_run_is_reported(dataset):
    """Two masks, one of them without a matching image."""
    root, masks = dataset
    add(root, "run-1_T1w")
    add(masks, "run-1_label-L_mask", "run-2_label-L_mask")
    session, mask, _ = select(dataset)
    assert mask == "run-1_label-L_mask"
    assert "run-2_label-L_mask" in session.ambiguous[0]


def test_masks_of_two_images_are_an_ambiguous_choice(dataset):
    root, masks = dataset
    add(root, "T1w", "FLAIR")
    add(masks, "space-T1w_label-L_mask", "space-FLAIR_label-L_mask")
    session, mask, _ = select(dataset)
    assert mask == "space-T1w_label-L_mask"
    assert '{"lesion": {"space": "FLAIR"}}' in session.ambiguous[0]
    _, mask, _ = select(dataset, filters={"lesion": {"space": "FLAIR"}})
    assert mask == "space-FLAIR_label-L_mask"


@pytest.mark.parametrize(
    "names",
    [
        ("hemi-L_label-L_mask", "hemi-R_label-L_mask"),
        ("label-L_desc-lesion1_mask", "label-L_desc-lesion2_mask"),
        ("label-L_mask", "label-L_dseg"),
        ("label-L_mask", "label-L_desc-lesion_mask"),
        (
            "space-MNI152NLin2009aSym_hemi-L_label-L_mask",
            "space-MNI152NLin2009aSym_hemi-R_label-L_mask",
        ),
    ],
)
def test_masks_that_may_be_parts_are_refused(dataset, names):
    root, masks = dataset
    add(root, "T1w")
    add(masks, *names)
    reason = refused(dataset)
    assert all(f"sub-01_{name}.nii.gz" in reason for name in names) and "merge them" in reason


def test_the_whole_lesion_mask_takes_precedence_over_parts(dataset):
    root, masks = dataset
    add(root, "T1w")
    add(masks, "hemi-L_label-L_mask", "hemi-R_label-L_mask", "label-L_mask")
    session, mask, _ = select(dataset)
    assert mask == "label-L_mask" and session.ambiguous == ()
    _, mask, _ = select(dataset, filters={"lesion": {"hemi": "R"}})
    assert mask == "hemi-R_label-L_mask"


@pytest.mark.parametrize("run", [1, "1", "01", [1, 2]])
def test_mask_filters_compare_like_image_filters(dataset, run):
    root, masks = dataset
    add(root, "run-01_T1w", "run-03_T1w")
    add(masks, "run-01_label-L_mask", "run-03_label-L_mask")
    assert select(dataset, filters={"lesion": {"run": run}})[1] == "run-01_label-L_mask"


def test_a_filter_without_matching_mask_reports_the_mismatch(dataset):
    root, masks = dataset
    add(root, "run-01_T1w")
    add(masks, "run-01_label-L_mask")
    with pytest.raises(DatasetError, match=r"run-01_label-L_mask.*run-01 is not \[2, 3\]"):
        find(dataset, filters={"lesion": {"run": [2, 3]}})


def test_the_default_template_takes_precedence(dataset):
    _, masks = dataset
    add(masks, *(f"space-{s}_label-L_mask" for s in ("MNI152NLin6Asym", "MNI152NLin2009aSym")))
    (session,), _ = find(dataset)
    assert session.reference == "MNI152NLin2009aSym" and len(session.ambiguous) == 1


# Brain masks


def brain_mask(dataset, card=None):
    root, masks = dataset
    (session,), _ = discovery.find(root, card=card or cards.make(), derivatives=(masks,))
    return session


def test_a_brain_mask_belongs_to_its_run(dataset):
    root, masks = dataset
    add(root, "run-01_T1w", "run-02_T1w")
    add(masks, "run-1_desc-brain_mask", "run-2_desc-brain_mask")
    assert brain_mask(dataset).brain_mask.name == "sub-01_run-2_desc-brain_mask.nii.gz"


def test_a_brain_mask_of_another_image_is_not_used(dataset):
    root, masks = dataset
    add(root, "run-01_T1w", "run-02_T1w")
    add(masks, "run-1_space-T1w_desc-brain_mask")
    session = brain_mask(dataset)
    assert session.brain_mask is None
    assert "run-1_space-T1w_desc-brain_mask.nii.gz is not used" in session.ambiguous[1]
    # The mask is also matched if a filter selects the other image.
    (session,), _ = discovery.find(
        root, card=cards.make(), derivatives=(masks,), filters={"t1w": {"run": 1}}
    )
    assert session.brain_mask.name == "sub-01_run-1_space-T1w_desc-brain_mask.nii.gz"
    (session,), _ = discovery.find(
        root, card=cards.make(), derivatives=(masks,), filters={"t1w": {"run": 2}}
    )
    assert session.brain_mask is None


@pytest.mark.parametrize("entity", ["run-3", "acq-b"])
def test_a_brain_mask_without_matching_image_is_refused(dataset, entity):
    root, masks = dataset
    add(root, "run-01_T1w")
    add(masks, f"{entity}_desc-brain_mask")
    _, (skipped,) = discovery.find(root, card=cards.make(), derivatives=(masks,))
    assert skipped.refused and f"is a brain mask of {entity}" in skipped.reason


def test_a_brain_mask_of_another_contrast_is_not_used(dataset):
    root, masks = dataset
    add(root, "T1w", "T2w")
    add(masks, "space-T2w_desc-brain_mask")
    session = brain_mask(dataset)
    assert session.brain_mask is None and "in T2w space" in session.ambiguous[0]


@pytest.mark.parametrize("shift", [0, 30])
def test_a_brain_mask_without_space_belongs_to_the_flair_on_its_grid(dataset, shift):
    root, masks = dataset
    add(root, "FLAIR")
    add(masks, "desc-brain_mask", shift=shift)
    session = brain_mask(dataset, cards.make(optional=("T1w", "FLAIR")))
    assert (session.brain_mask is None) == (shift > 0)
    assert len(session.ambiguous) == (shift > 0)


def test_a_brain_mask_named_after_another_image_is_not_used(dataset):
    root, masks = dataset
    add(root, "T1w", "acq-b_T1w")
    add(masks, "desc-brain_mask")
    session = brain_mask(dataset)
    assert session.images["T1w"].name == "sub-01_acq-b_T1w.nii.gz"
    assert session.brain_mask is None and len(session.ambiguous) == 2


def test_hidden_and_ignored_masks_are_not_used(dataset):
    root, masks = dataset
    add(root, "T1w")
    add(root, "T1w", label="02")
    add(masks, "label-L_mask", "desc-brain_mask")
    add(masks, "label-L_mask", "desc-brain_mask", label="02")
    anat = masks / "sub-01/anat"
    (anat / "._sub-01_label-L_mask.nii.gz").write_bytes(b"\0")
    (anat / "._sub-01_desc-brain_mask.nii.gz").write_bytes(b"\0")
    # File patterns are for the validator, which does not know the names of masks.
    (masks / ".bidsignore").write_text("*_mask.nii.gz\nsub-02/\n")
    (session,), skipped = find(dataset, derivatives=(masks,))
    assert session.lesion.path.name == "sub-01_label-L_mask.nii.gz"
    assert session.brain_mask.name == "sub-01_desc-brain_mask.nii.gz"
    assert [(item.name, item.refused) for item in skipped] == [("sub-02", False)]
