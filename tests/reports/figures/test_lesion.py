import nibabel as nib
import numpy as np
import pytest
from drawings import AFFINES, SHAPES, ball, contours, head, images, texts

from bids_stroke.reports.figures import slices, svg
from bids_stroke.reports.figures.lesion import draw_lesion, draw_probability


@pytest.mark.parametrize("orientation", AFFINES)
def test_lesion_figure(tmp_path, orientation):
    out = draw_lesion(
        head(orientation), ball(orientation, (-30, 0, 10), 12), tmp_path / "a.svg", "A<&>B"
    )
    (raster,) = images(out)
    assert raster.ndim == 2 and raster.max() > 200 and raster.min() < 5
    assert "Lesion on A<&>B" in texts(out)
    assert {"L", "R", "P", "A", "scanner coordinates"} <= set(texts(out))
    lesion_cuts = 2 * slices.field_of_view(head(), margin=6).columns(slices.SAGITTAL)
    assert contours(out) >= lesion_cuts, "every cut through the lesion shows it"


def test_slices_include_a_small_lesion_and_a_large_one(tmp_path):
    both = ball("RAS", (-30, 0, 10), 22).get_fdata() + ball("RAS", (40, 0, 10), 4).get_fdata()
    mask = nib.Nifti1Image(both.astype(np.uint8), AFFINES["RAS"])
    out = draw_lesion(head(), mask, tmp_path / "a.svg")
    sagittal = [text for text in texts(out) if text.startswith("x =")]
    positions = [int(text[4:-3].replace("\N{MINUS SIGN}", "-")) for text in sagittal]
    assert min(positions) < 0 and any(36 <= x <= 44 for x in positions)


def test_a_lesion_of_one_voxel_is_drawn(tmp_path):
    mask = np.zeros(SHAPES["RAS"], np.uint8)
    mask[20, 50, 35] = 1
    out = draw_lesion(head(), nib.Nifti1Image(mask, AFFINES["RAS"]), tmp_path / "a.svg")
    assert contours(out) >= 3


def test_probability_is_colored_and_the_mask_has_a_contour(tmp_path):
    certain = ball("RAS", (-30, 0, 10), 12)
    wide = ball("RAS", (-30, 0, 10), 20).get_fdata()
    probability = nib.Nifti1Image(0.3 * wide + 0.6 * certain.get_fdata(), AFFINES["RAS"])
    out = draw_probability(head(), probability, certain, tmp_path / "a.svg", "FLAIR")
    raster, _ = images(out)
    pixels = raster.astype(int)
    assert 0.005 < (np.ptp(pixels, axis=-1) > 60).mean() < 0.3
    assert contours(out) >= 5
    assert "Lesion probability on FLAIR" in texts(out) and "probability" in texts(out)
    nothing = nib.Nifti1Image(np.zeros(SHAPES["RAS"], np.float32), AFFINES["RAS"])
    assert {"mask", svg.HIDE} <= set(texts(out))
    out = draw_probability(head(), nothing, nothing, tmp_path / "b.svg")
    assert {"mask", svg.HIDE}.isdisjoint(texts(out)), "there is no contour"
    raster, _ = images(out)
    assert (np.ptp(raster.astype(int), axis=-1) > 60).mean() < 1e-3


def test_the_figure_of_an_empty_mask_states_that_there_is_no_lesion(tmp_path):
    empty = nib.Nifti1Image(np.zeros(SHAPES["RAS"], np.uint8), AFFINES["RAS"])
    out = draw_lesion(head(), empty, tmp_path / "a.svg", "FLAIR", brain_img=head())
    assert "No lesion found on FLAIR" in texts(out)
    assert contours(out) == 0 and len(images(out)) == 1
