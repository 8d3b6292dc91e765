"""Functions for images and arrays."""

import subprocess
import sys

import nibabel as nib
import numpy as np
import pytest
from bidsets import CENTER, scan
from bidsets import grid as scan_grid

from bids_stroke import measure, segment
from bids_stroke.cli.simulate import main as simulate
from bids_stroke.errors import ImageError, ModelError, UsageError
from bids_stroke.evaluation.metrics import dice
from bids_stroke.spatial import grid
from bids_stroke.spatial.templates import template


def sphere(radius=8):
    """A ball in the left internal capsule on the grid of the template: array and affine."""
    t1w = template().t1w
    world = nib.affines.apply_affine(t1w.affine, np.moveaxis(np.indices(t1w.shape), 0, -1))
    return (np.linalg.norm(world - (-24, -16, 8), axis=-1) <= radius).astype(np.uint8), t1w.affine


def test_importing_the_package_imports_nothing_heavy():
    code = (
        "import sys, bids_stroke\n"
        "heavy = {'torch', 'nibabel', 'nipype', 'numpy', 'pandas', 'bids', 'ants', 'rich'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)\n"
        "assert not hasattr(bids_stroke, 'unknown')\n"
        "assert bids_stroke.segment.__module__ == 'bids_stroke.api'\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_a_mask_in_the_template_is_measured_without_an_image(tmp_path):
    mask, affine = sphere()
    measured = measure(mask.astype(bool), affine=affine)
    assert measured.volume_ml == pytest.approx(mask.sum() / 1000)
    assert measured.components.loc["all", "hemisphere"] == "left" and len(measured.components) == 2
    assert measured.loads["raw_load_ml"]["left"] > 0 == measured.loads["raw_load_ml"]["right"]
    assert measured.regions["lesion_volume_ml"].sum() == pytest.approx(measured.volume_ml)
    path = tmp_path / "mask.nii.gz"
    nib.save(nib.Nifti1Image(mask, affine), path)
    assert measure(path).loads.equals(measured.loads)


def test_errors():
    mask, affine = sphere()
    with pytest.raises(UsageError, match="The array mask has no affine; give"):
        measure(mask)
    with pytest.raises(UsageError, match="The array T1w has no affine"):
        segment({"T1w": mask})
    with pytest.raises(ImageError, match="is not on the grid of"):
        measure(mask[:-1], affine=affine)
    with pytest.raises(ModelError, match="simstroke accepts T1w with FLAIR"):
        segment({"ADC": mask}, affine=affine)
    with pytest.raises(ImageError, match="has the value 0 in every voxel"):
        segment({"T1w": np.zeros((64, 64, 64))}, affine=np.diag([3, 3, 3, 1]))


@pytest.mark.slow
def test_a_mask_of_a_scan_is_measured():
    """The scan is the intact brain of the template at 1 mm, in another axis order."""
    _, lesion = scan(1, voxel=1)
    brain = grid.resample(template().t1w, lesion).get_fdata() * (scan_grid(1).get_fdata() > 0)
    img = nib.Nifti1Image(brain, lesion.affine)
    flip = nib.orientations.axcodes2ornt("LSP")
    ras = nib.orientations.axcodes2ornt("RAS")
    turned, mask = (
        item.as_reoriented(nib.orientations.ornt_transform(ras, flip)) for item in (img, lesion)
    )
    assert nib.aff2axcodes(turned.affine) == ("L", "S", "P")
    measured = measure(np.asanyarray(mask.dataobj), turned, affine=mask.affine, brain_extraction="none")
    volume = np.count_nonzero(lesion.dataobj) * 0.001
    assert measured.volume_ml == pytest.approx(volume)
    assert measured.in_template.get_fdata().sum() / 1000 == pytest.approx(volume, rel=0.15)
    center = measured.components.loc["all", ["x_template_mm", "y_template_mm", "z_template_mm"]]
    assert np.linalg.norm(center.to_numpy(float) - CENTER) < 6


@pytest.mark.slow
def test_a_simulated_stroke_is_segmented_and_measured(tmp_path):
    assert simulate([str(tmp_path / "bids"), "--participants", "1", "--resolution", "2"]) == 0
    anat, truth = (tmp_path / "bids" / folder / "sub-01/anat" for folder in ("", "derivatives/truth"))
    true_mask = nib.load(truth / "sub-01_space-T1w_label-L_desc-truth_mask.nii.gz")
    images = {contrast: anat / f"sub-01_{contrast}.nii.gz" for contrast in ("T1w", "FLAIR")}
    result = segment(images, brain=truth / "sub-01_space-T1w_desc-brain_mask.nii.gz")
    assert dice(result.mask.get_fdata() > 0, true_mask.get_fdata() > 0) > 0.5
    for img in (result.mask, result.probability, result.brain, result.image):
        assert img.shape == true_mask.shape
        np.testing.assert_allclose(img.affine, true_mask.affine, atol=1e-5)
    assert (result.mask.get_fdata() <= (result.probability.get_fdata() >= 0.5)).all()
    measured = measure(result)
    assert measured.volume_ml == pytest.approx(result.volume_ml)
    assert measured.components.loc["all", "hemisphere"] == "left"
    assert measured.components.loc["all", "mean_probability"] > 0.5
