"""The command that collects corrected masks."""

import json
import os
import subprocess
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from corrected import AFFINE, download, drawing

from bids_stroke.bids.corrections import find_corrections
from bids_stroke.bids.record import Record
from bids_stroke.cli.review import main
from bids_stroke.spatial import image

NAME = "sub-01_space-T1w_label-L_desc-corrected"


@pytest.fixture
def downloads(tmp_path):
    return tmp_path / "downloads"


@pytest.fixture
def corrections(tmp_path):
    return tmp_path / "corrections"


def collect(downloads, corrections, *options):
    return main(["collect", str(downloads), str(corrections), *map(str, options)])


def used(corrections, session="sub-01"):
    """Return the mask in use and its sidecar."""
    path = corrections.joinpath(*session.split("_"), "anat", f"{session}{NAME[6:]}_mask.nii.gz")
    sidecar = Path(str(path).replace(".nii.gz", ".json"))
    return np.asanyarray(nib.load(path).dataobj), json.loads(sidecar.read_text())


def versions(corrections):
    return sorted(path.name for path in (corrections / "sourcedata").rglob("*.nii.gz"))


def output_folder(folder, name="sub-01", affine=AFFINE, mask=None, image_name=None):
    """An output folder of bids_stroke with the mask of one session."""
    mask = drawing(4, 5, 6, size=4) if mask is None else mask
    path = folder / name / "anat" / f"{name}_space-T1w_label-L_desc-T1lesion_mask.nii.gz"
    image.save(nib.Nifti1Image(mask, affine), path)
    outputs = {"lesion_mask": path.relative_to(folder).as_posix()}
    inputs = {"T1w": f"/data/{image_name}"} if image_name else {}
    Record(name, "", "ok", reference="T1w", inputs=inputs, outputs=outputs).write(folder)
    return folder


def test_a_mask_is_filed_on_the_grid_of_its_image(downloads, corrections, capsys):
    mask = drawing(2, 5, 7)
    download(downloads, "sub-01_ses-a", mask)
    assert collect(downloads, corrections) == 0
    filed, sidecar = used(corrections, "sub-01_ses-a")
    assert filed.dtype == np.uint8 and np.array_equal(filed, mask)
    path = corrections / f"sub-01/ses-a/anat/sub-01_ses-a{NAME[6:]}_mask.nii.gz"
    np.testing.assert_allclose(nib.load(path).affine, AFFINE, atol=1e-5)
    assert sidecar["Rater"] == "Ada" and sidecar["Model"] == "simstroke"
    assert capsys.readouterr().out.startswith("sub-01_ses-a: Ada (2026-05-04 10:30), 24.2 ml\n")
    ((key, correction),) = find_corrections(corrections).items()
    assert key == ("01", "a") and correction.rater == "Ada" and correction.others == ()


def test_the_validator_accepts_the_dataset(downloads, corrections):
    download(downloads)
    download(downloads, "sub-02_ses-1", rater="Bo B.")
    assert collect(downloads, corrections) == 0
    validator = Path(sys.executable).with_name("bids-validator-deno")
    done = subprocess.run([validator, corrections, "--format", "json"], capture_output=True, text=True)
    issues = json.loads(done.stdout)["issues"]["issues"]
    assert [issue for issue in issues if issue["severity"] == "error"] == []


def test_a_wrong_grid_does_not_stop_other_masks(downloads, corrections, capsys):
    shifted = AFFINE.copy()
    shifted[0, 3] += 20
    out = output_folder(downloads.parent / "out", "sub-01")
    output_folder(out, "sub-02")
    download(downloads, "sub-01", affine=shifted)
    download(downloads, "sub-02")
    assert collect(downloads, corrections, "--derivatives", out) == 1
    error = capsys.readouterr().err
    assert "is not on the grid of the T1w of sub-01 (their corners are up to 20.0 mm apart)" in error
    assert [name[:6] for name in versions(corrections)] == ["sub-02"]
    assert not (corrections / "sub-01").exists() and not list(corrections.rglob(".partial*"))


def test_a_mask_that_contradicts_its_sidecar_is_refused(downloads, corrections, capsys):
    download(downloads, ReferenceShape=[20, 24, 13])
    assert collect(downloads, corrections) == 1
    assert "is not on the grid of the T1w of sub-01 (20×24×12 voxels" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ({"ReferenceImage": "sub-02_T1w.nii.gz"}, "its ReferenceImage is sub-02_T1w.nii.gz"),
        ({"ReferenceImage": "sub-01_ses-b_T1w.nii.gz"}, "its ReferenceImage is sub-01_ses-b_T1w"),
        ({"ReferenceImage": "T1w.nii.gz"}, "its ReferenceImage is T1w.nii.gz"),
        ({"SourceMask": "sub-02_space-T1w_label-L_mask.nii.gz"}, "its SourceMask is sub-02_space"),
        ({"Rater": " "}, "has no Rater; add"),
        ({"Date": "yesterday"}, "has no valid Date (yesterday)"),
        ({"Date": "0001-01-01T00:00:00+14:00"}, "has no valid Date (0001-01-01T00"),
        ({"ReferenceAffine": [1, 2]}, "has no sidecar with its grid"),
        ({"ReferenceAffine": np.zeros((4, 4)).tolist()}, "has no sidecar with its grid"),
        ({"ReferenceAffine": np.full((4, 4), np.nan).tolist()}, "has no sidecar with its grid"),
        ({"ReferenceShape": [20, 24, -12]}, "has no sidecar with its grid"),
        ({"ReferenceShape": [20, 24, float("inf")]}, "has no sidecar with its grid"),
        ({"ReferenceShape": [1e300, 24, 12]}, "has no sidecar with its grid"),
    ],
)
def test_a_mask_of_another_session_is_refused(downloads, corrections, capsys, more, reason):
    download(downloads, "sub-01_ses-a", **more)
    assert collect(downloads, corrections) == 1
    assert reason in capsys.readouterr().err and versions(corrections) == []


def test_a_session_that_was_not_processed_is_refused(downloads, corrections, capsys):
    download(downloads, "sub-02")
    out = output_folder(downloads.parent / "out")
    assert collect(downloads, corrections, "--derivatives", out) == 1
    assert (
        f"belongs to sub-02 with the reference image T1w, which {out} does" in capsys.readouterr().err
    )


def test_an_empty_drawing_is_refused_unless_allowed(downloads, corrections, capsys):
    download(downloads, mask=drawing(size=0))
    assert collect(downloads, corrections) == 1
    assert "is empty; draw the lesion, or add --allow-empty" in capsys.readouterr().err
    assert collect(downloads, corrections, "--allow-empty") == 0
    assert not used(corrections)[0].any()


def test_damaged_files_and_other_values_do_not_stop_other_masks(downloads, corrections, capsys):
    download(downloads, "sub-01", (0.3 * drawing(4, 5, 6)).astype(np.float32))
    path = download(downloads, "sub-02")
    path.write_bytes(path.read_bytes()[:-30])
    download(downloads, "sub-03").with_name(f"sub-03{NAME[6:]}_mask.json").write_text("{")
    download(downloads, "sub-04")
    (downloads / f"sub_05{NAME[6:]}_mask.nii.gz.part").touch()
    assert collect(downloads, corrections) == 1
    first, second, third = capsys.readouterr().err.splitlines()
    assert "so no voxel reaches 0.5" in first and "sub-02_space" in second
    assert "mask.json is not valid JSON" in third
    assert [name[:6] for name in versions(corrections)] == ["sub-04"]


def test_the_newest_mask_of_two_raters_is_used_unless_a_rater_is_chosen(downloads, corrections, capsys):
    first, second = drawing(1, 1, 1), drawing(6, 6, 6)
    download(downloads, mask=second, rater="Bo", date="2026-05-05T08:00:00+02:00", number=" (1)")
    download(downloads, mask=first)
    assert collect(downloads, corrections) == 0
    assert np.array_equal(used(corrections)[0], second)
    assert (
        "sub-01 was also corrected by Ada (2026-05-04 10:30); the mask of Bo (2026-05-05 06:00), the "
        "newest, is used" in capsys.readouterr().err
    )
    correction = find_corrections(corrections)["01", None]
    assert correction.rater == "Bo" and [other.rater for other in correction.others] == ["Ada"]
    assert "corrections of Ada (2026-05-04 10:30) are not used" in correction.describe()
    assert collect(downloads, corrections, "--use-rater", "Ada") == 0
    assert np.array_equal(used(corrections)[0], first) and used(corrections)[1]["Rater"] == "Ada"


def test_the_same_mask_of_two_raters(downloads, corrections):
    """Both raters confirm the mask of the model."""
    download(downloads)
    download(downloads, rater="Bo", date="2026-05-05T08:00:00Z", number=" (1)")
    assert collect(downloads, corrections) == 0
    assert used(corrections)[1]["Rater"] == "Bo" and len(versions(corrections)) == 2


def test_a_rater_is_chosen_for_sessions_without_new_downloads(downloads, corrections):
    download(downloads, mask=drawing(1, 1, 1))
    download(downloads, rater="Bo", date="2026-05-05T08:00:00Z", number="-1")
    assert collect(downloads, corrections) == 0
    later = downloads.parent / "later"
    download(later, "sub-02")
    assert collect(later, corrections, "--use-rater", "Ada") == 0
    assert used(corrections)[1]["Rater"] == "Ada"


@pytest.mark.parametrize("number", [" (1)", "(2)", "-3", " 4"])
def test_renamed_downloads(downloads, corrections, number):
    download(downloads, mask=drawing(1, 1, 1))
    corrected = drawing(7, 7, 7)
    download(downloads, mask=corrected, date="2026-05-04T11:00:00Z", number=number)
    assert collect(downloads, corrections) == 0
    assert np.array_equal(used(corrections)[0], corrected)
    assert versions(corrections) == [
        f"{NAME}20260504T103000Ada_mask.nii.gz",
        f"{NAME}20260504T110000Ada_mask.nii.gz",
    ]


def test_a_download_that_the_browser_decompressed(downloads, corrections):
    path = download(downloads)
    nib.save(nib.load(path), path.with_suffix(""))
    path.unlink()
    assert collect(downloads, corrections) == 0
    assert used(corrections)[0].sum() == 27


def test_a_mask_has_the_sidecar_with_its_checksum(downloads, corrections, capsys):
    """The user removed one of two sidecars, or one of two masks, before the second download."""
    first, second = drawing(1, 1, 1), drawing(7, 7, 7)
    download(downloads, mask=first, rater="Ada")
    download(downloads, mask=second, rater="Bo", date="2026-05-05T08:00:00Z", number=" (1)")
    stem = downloads / f"{NAME}_mask"
    Path(f"{stem}.nii.gz").unlink()
    Path(f"{stem} (1).nii.gz").rename(f"{stem}.nii.gz")
    assert collect(downloads, corrections) == 0
    mask, sidecar = used(corrections)
    assert np.array_equal(mask, second) and sidecar["Rater"] == "Bo" and "MaskSHA256" not in sidecar
    Path(f"{stem} (1).json").unlink()
    assert collect(downloads, corrections) == 1
    error = capsys.readouterr().err
    assert f"{stem}.nii.gz is not the mask that was saved with {NAME}_mask.json; save" in error
    assert len(versions(corrections)) == 1


def test_sidecars_without_a_checksum_have_the_number_of_the_mask(downloads, corrections):
    download(downloads, mask=drawing(1, 1, 1), MaskSHA256=None)
    later = {"rater": "Bo", "date": "2026-05-05T08:00:00Z", "MaskSHA256": None}
    download(downloads, mask=drawing(7, 7, 7), number=" (1)", **later)
    assert collect(downloads, corrections) == 0
    assert np.array_equal(used(corrections)[0], drawing(7, 7, 7))
    assert used(corrections)[1]["Rater"] == "Bo"


def test_the_name_of_a_rater_is_one_line(downloads, corrections):
    download(downloads, rater=" Ada\tL.\n")
    assert collect(downloads, corrections, "--use-rater", " Ada L. ") == 0
    assert used(corrections)[1]["Rater"] == "Ada L."
    assert find_corrections(corrections)["01", None].rater == "Ada L."


def test_an_unknown_rater_is_an_error(downloads, corrections, capsys):
    download(downloads)
    assert collect(downloads, corrections, "--use-rater", "Adda") == 1
    assert "contains no mask of Adda, only of Ada; check --use-rater" in capsys.readouterr().err
    assert used(corrections)[1]["Rater"] == "Ada"


def test_a_session_has_one_mask_after_a_change_of_its_reference_image(downloads, corrections, capsys):
    path = download(downloads, mask=drawing(1, 1, 1))
    for file in (path, path.with_suffix("").with_suffix(".json")):
        file.rename(file.with_name(file.name.replace("space-T1w", "space-FLAIR")))
    assert collect(downloads, corrections) == 0
    download(downloads, mask=drawing(7, 7, 7), date="2026-05-05T08:00:00Z")
    assert collect(downloads, corrections) == 0
    assert np.array_equal(used(corrections)[0], drawing(7, 7, 7))
    (correction,) = find_corrections(corrections).values()
    assert correction.mask.space == "T1w" and len(versions(corrections)) == 2
    assert len(list((corrections / "sub-01/anat").iterdir())) == 2


def test_a_mask_of_another_run_is_refused(downloads, corrections, capsys):
    out = output_folder(downloads.parent / "out", image_name="sub-01_acq-a_run-02_T1w.nii.gz")
    download(downloads, ReferenceImage="sub-01_acq-a_run-1_T1w.nii.gz")
    assert collect(downloads, corrections, "--derivatives", out) == 1
    error = capsys.readouterr().err
    assert "was drawn on sub-01_acq-a_run-1_T1w.nii.gz, but the reference image of sub-01 is" in error
    download(downloads, ReferenceImage="sub-01_acq-a_run-2_T1w.nii.gz")
    assert collect(downloads, corrections, "--derivatives", out) == 0


def test_an_image_without_ses_belongs_to_the_only_session(downloads, corrections):
    download(downloads, "sub-01_ses-a", ReferenceImage="sub-01_T1w.nii.gz")
    assert collect(downloads, corrections) == 0


def test_versions_are_kept_and_a_repeated_collection_changes_nothing(downloads, corrections, capsys):
    download(downloads, mask=drawing(1, 1, 1))
    assert collect(downloads, corrections) == 0
    download(downloads, mask=drawing(2, 2, 2), date="2026-05-06T00:00:00Z")
    assert collect(downloads, corrections) == 0
    before = {path: path.read_bytes() for path in corrections.rglob("*") if path.is_file()}
    assert len(versions(corrections)) == 2 and np.array_equal(used(corrections)[0], drawing(2, 2, 2))
    capsys.readouterr()
    assert collect(downloads, corrections) == 0
    assert capsys.readouterr().out == f"New masks in {corrections}: 0\n"
    assert {path: path.read_bytes() for path in corrections.rglob("*") if path.is_file()} == before


def test_a_changed_mask_with_the_date_of_a_version_is_refused(downloads, corrections, capsys):
    download(downloads)
    assert collect(downloads, corrections) == 0
    download(downloads, mask=drawing(9, 9, 3))
    assert collect(downloads, corrections) == 1
    assert "which has the same rater and date" in capsys.readouterr().err
    assert np.array_equal(used(corrections)[0], drawing(4, 5, 6))


def test_a_mask_of_another_software_needs_a_rater_and_the_derivatives(downloads, corrections, capsys):
    path = download(downloads, mask=255 * drawing(3, 3, 3), sidecar=False)
    os.utime(path, (0, 0))
    out = output_folder(downloads.parent / "out")
    assert collect(downloads, corrections) == 1
    assert "has no sidecar with its rater; add --rater NAME." in capsys.readouterr().err
    assert collect(downloads, corrections, "--rater", " ", "--derivatives", out) == 1
    assert "has no sidecar with its rater; add --rater NAME." in capsys.readouterr().err
    assert collect(downloads, corrections, "--rater", "Cy") == 1
    assert "has no sidecar with its grid" in capsys.readouterr().err
    assert collect(downloads, corrections, "--rater", "Cy", "--derivatives", out) == 0
    assert "has no sidecar: the rater is Cy, and the date that of the file" in capsys.readouterr().err
    mask, sidecar = used(corrections)
    assert np.array_equal(mask, drawing(3, 3, 3)) and sidecar["Date"].startswith("1970-01-01")


def test_an_axis_order_of_another_software_is_restored(downloads, corrections):
    mask = drawing(2, 5, 7)
    path = download(downloads, mask=mask, MaskSHA256=None)
    nib.save(nib.as_closest_canonical(nib.load(path)), path)
    out = output_folder(downloads.parent / "out")
    assert collect(downloads, corrections, "--derivatives", out) == 0
    assert np.array_equal(used(corrections)[0], mask)


def test_a_mask_that_was_made_from_an_earlier_mask_has_a_note(downloads, corrections, capsys):
    download(downloads, SourceMaskSHA256="0" * 64)
    out = output_folder(downloads.parent / "out")
    assert collect(downloads, corrections, "--derivatives", out) == 0
    assert "was made from an earlier version of sub-01_space-T1w" in capsys.readouterr().err


def test_folders_that_cannot_be_used(downloads, corrections, capsys):
    assert collect(downloads, corrections) == 2
    downloads.mkdir()
    (downloads / "sub-01_T1w.nii.gz").touch()
    assert collect(downloads, corrections) == 1
    assert "contains no corrected mask" in capsys.readouterr().err
    assert collect(downloads, downloads) == 2
    assert "contains other files than corrections" in capsys.readouterr().err
    assert not corrections.exists()
