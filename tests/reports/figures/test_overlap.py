import nibabel as nib
import numpy as np
import pytest
from drawings import AFFINES, SHAPES, ball, head, images, texts

from bids_stroke.reports.figures.overlap import draw_overlap


@pytest.mark.parametrize("most", [1, 7])
def test_overlap_map_colors_only_the_lesions(tmp_path, most):
    counts = nib.Nifti1Image(ball("RAS", (-30, 0, 10), 15).get_fdata() * most, AFFINES["RAS"])
    out = draw_overlap(counts, head(), tmp_path / "a.svg")
    raster, bar = images(out)
    pixels = raster.astype(int)
    colored = np.abs(pixels.max(axis=-1) - pixels.min(axis=-1)) > 60
    assert 0.004 < colored.mean() < 0.2
    assert bar.shape[1] == 256
    assert {"sessions", "1", str(most)} <= set(texts(out))


def test_overlap_map_without_any_lesion(tmp_path):
    counts = nib.Nifti1Image(np.zeros(SHAPES["RAS"], np.int16), AFFINES["RAS"])
    out = draw_overlap(counts, head(), tmp_path / "a.svg")
    assert "Lesion overlap: no lesion in any session" in texts(out)
    assert len(images(out)) == 1
