"""Choice of one image of a contrast, its reason, and the filter that selects another image."""

import json
import re

import cards
import nibabel as nib
import numpy as np
import pytest

from bids_stroke.bids import discovery

HEAD = (16, 20, 16), (12.0, 12.0, 12.0)
#: The smallest voxels, but a thickness of 40 mm.
SLAB = (16, 20, 8), (12.0, 12.0, 5.0)
FINE = (20, 24, 20), (10.0, 10.0, 10.0)


def scan(path, grid=HEAD):
    shape, spacing = grid
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(nib.Nifti1Image(np.ones(shape, np.uint8), np.diag([*spacing, 1.0])), path)


def find(root, images, contrast="T1w", **more):
    """Create images with the given names and grids, and return the session."""
    (root / "dataset_description.json").write_text('{"Name": "x", "BIDSVersion": "1.10.0"}')
    for name, grid in images.items():
        scan(root / "sub-01/anat" / f"sub-01_{name}.nii.gz", grid)
    (session,), _ = discovery.find(root, card=cards.make(optional=("T1w", "FLAIR", "T2w")), **more)
    return session


#: Names and grids of the images, the chosen image, text of the note, and whether it is ambiguous.
CASES = {
    "phase": ({"part-mag_T1w": HEAD, "part-phase_T1w": FINE}, "part-mag_T1w", None, False),
    "real and imaginary": (
        {"part-real_T1w": FINE, "part-imag_T1w": FINE, "T1w": HEAD}, "T1w", None, False),
    "another space": ({"space-MNI152NLin2009aSym_T1w": FINE, "T1w": HEAD}, "T1w", None, False),
    "the space of another contrast": ({"space-T2w_T1w": FINE, "space-orig_T1w": HEAD},
                                      "space-orig_T1w", None, False),
    "inversions": ({"inv-1_T1w": FINE, "inv-2_T1w": FINE, "T1w": HEAD}, "T1w", None, False),
    "contrast agent": ({"ce-gd_T1w": FINE, "T1w": HEAD}, "T1w", "no contrast agent", False),
    "derived": ({"desc-denoised_T1w": FINE, "T1w": HEAD}, "T1w", "not a derived image", False),
    "a word before the suffix": ({"defacemask_T1w": FINE, "T1w": HEAD}, "T1w", "derived image", False),
    "a slab": ({"acq-slab_T1w": SLAB, "T1w": HEAD}, "T1w", "field of view", False),
    "a slab of a later run": ({"run-2_T1w": SLAB, "run-1_T1w": HEAD}, "run-1_T1w", "field", False),
    "echoes of T1w": ({"echo-1_T1w": HEAD, "echo-2_T1w": HEAD}, "echo-1_T1w", "strongest", True),
    "echoes and their combination": ({"echo-1_T1w": HEAD, "T1w": HEAD}, "T1w", "combined", True),
    "voxels": ({"run-1_T1w": FINE, "run-2_T1w": HEAD}, "run-1_T1w", "smallest voxels", True),
    "runs": ({f"run-{n}_T1w": HEAD for n in (2, 10, 1)}, "run-10_T1w", "the latest run", True),
    "runs of the same voxels but for rounding": (
        {"run-1_T1w": ((16, 20, 16), (11.99, 12.0, 12.0)), "run-2_T1w": HEAD},
        "run-2_T1w", "the latest run", True),
    "names": ({"acq-b_T1w": HEAD, "acq-a_T1w": HEAD}, "acq-b_T1w", "the last name", True),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_the_chosen_image_and_the_reason(tmp_path, name):
    images, chosen, reason, ambiguous = CASES[name]
    session = find(tmp_path, images)
    assert session.images["T1w"].name == f"sub-01_{chosen}.nii.gz"
    assert {item.path.name for item in session.unused} == {
        f"sub-01_{other}.nii.gz" for other in images if other != chosen
    }
    assert len(session.notes) == (reason is not None)
    assert session.ambiguous == (session.notes if ambiguous else ())
    if reason:
        assert reason in session.notes[0]
    # The result does not depend on the order of the files.
    again = tmp_path / "again"
    again.mkdir()
    assert find(again, dict(reversed(images.items()))).images["T1w"].name == f"sub-01_{chosen}.nii.gz"


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if case[2]])
def test_the_filter_of_the_note_changes_the_choice(tmp_path, name):
    images, chosen, _, _ = CASES[name]
    note = find(tmp_path, images).notes[0]
    suggested = re.search(r"to choose (\S+), filter with (\{.*\})\.", note)
    if suggested is None:
        assert "remove or rename" in note
        return
    session = find(tmp_path, images, filters=json.loads(suggested[2]))
    assert session.images["T1w"].name == suggested[1] != f"sub-01_{chosen}.nii.gz"


def test_the_last_echo_of_t2w_is_chosen(tmp_path):
    session = find(tmp_path, {"echo-1_T2w": HEAD, "echo-2_T2w": HEAD})
    assert session.images["T2w"].name == "sub-01_echo-2_T2w.nii.gz"


def test_field_of_view_does_not_depend_on_axis_order(tmp_path):
    """A sagittal slab of 60 mm with another axis order does not cover the brain."""
    find(tmp_path, {"run-1_T1w": HEAD})
    affine = np.array([[0, 0, 5.0, 0], [12.0, 0, 0, 0], [0, 12.0, 0, 0], [0, 0, 0, 1]])
    slab = nib.Nifti1Image(np.ones((20, 16, 12), np.uint8), affine)
    nib.save(slab, tmp_path / "sub-01/anat/sub-01_run-2_T1w.nii.gz")
    session = find(tmp_path, {})
    assert session.images["T1w"].name == "sub-01_run-1_T1w.nii.gz"
    assert "60×240×192 mm" in session.unused[0].reason


def test_images_without_orientation_are_compared_with_an_assumed_one(tmp_path):
    images = {"acq-slab_T1w": SLAB, "T1w": HEAD}
    find(tmp_path, images)
    for path in tmp_path.rglob("*.nii.gz"):
        img = nib.load(path)
        img = nib.Nifti1Image(np.asarray(img.dataobj), None, img.header)
        img.header["qform_code"] = img.header["sform_code"] = 0
        nib.save(img, path)
    (session,), _ = discovery.find(tmp_path, card=cards.make(), orientation="RAS")
    assert session.images["T1w"].name == "sub-01_T1w.nii.gz"
    assert "field of view" in session.notes[0] and session.ambiguous == ()


def test_a_sidecar_reports_contrast_agent(tmp_path):
    find(tmp_path, {"run-1_T1w": HEAD, "run-2_T1w": HEAD})
    sidecar = tmp_path / "sub-01/anat/sub-01_run-2_T1w.json"
    sidecar.write_text(json.dumps({"ContrastBolusIngredient": "GADOLINIUM"}))
    session = find(tmp_path, {})
    assert session.images["T1w"].name == "sub-01_run-1_T1w.nii.gz" and session.ambiguous == ()
    assert "no contrast agent" in session.notes[0]


def test_an_unreadable_image_ranks_last_and_is_reported(tmp_path):
    find(tmp_path, {"run-1_T1w": HEAD})
    (tmp_path / "sub-01/anat/sub-01_run-2_T1w.nii.gz").write_bytes(b"cut short")
    session = find(tmp_path, {})
    assert session.images["T1w"].name == "sub-01_run-1_T1w.nii.gz"
    assert len(session.ambiguous) == 1 and "cannot be read" in session.unused[0].reason


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (("part-phase_T1w",), "part-phase is not a magnitude image"),
        (("space-MNI152NLin6Asym_T1w",), "in space MNI152NLin6Asym"),
        (("UNIT1", "inv-1_MP2RAGE", "inv-2_part-mag_MP2RAGE"), "UNIT1 of MP2RAGE has noise"),
        (("defacemask", "T1map"), "defacemask is not a supported contrast"),
    ],
)
def test_excluded_images_are_reported(tmp_path, names, words):
    """A session without other images is not processed."""
    find(tmp_path, {"T1w": HEAD})
    for name in names:
        scan(tmp_path / f"sub-02/anat/sub-02_{name}.nii.gz")
    sessions, (skipped,) = discovery.find(tmp_path, card=cards.make())
    assert [session.name for session in sessions] == ["sub-01"] and skipped.name == "sub-02"
    assert words in skipped.reason
    assert skipped.refused == names[0].endswith("T1w")


def test_a_filter_by_space_selects_an_image_of_another_space(tmp_path):
    name = "space-MNI152NLin2009aSym_T1w"
    filters = {"t1w": {"space": "MNI152NLin2009aSym"}}
    session = find(tmp_path, {name: HEAD, "T1w": HEAD}, filters=filters)
    assert session.images["T1w"].name == f"sub-01_{name}.nii.gz"


def test_no_filter_selects_a_phase_image(tmp_path):
    scan(tmp_path / "sub-01/anat/sub-01_part-phase_T1w.nii.gz")
    filters = {"t1w": {"part": "phase"}}
    sessions, (skipped,) = discovery.find(tmp_path, card=cards.make(), filters=filters)
    assert sessions == [] and skipped.refused


def test_flair_is_the_reference_if_the_t1w_is_excluded(tmp_path):
    session = find(tmp_path, {"space-MNI152NLin6Asym_T1w": HEAD, "FLAIR": HEAD})
    assert session.reference == "FLAIR" and set(session.images) == {"FLAIR"}
    assert "space-MNI152NLin6Asym_T1w.nii.gz" in session.ambiguous[0]
