import json
import xml.etree.ElementTree as ET

import nibabel as nib
import numpy as np
import pytest
from drawings import AFFINES, SHAPES, SVG, ball, head, images, texts

from bids_stroke.cohort.coarse_lesions import coarse_cells, coarse_shape
from bids_stroke.reports.figures.overlap import draw_overlap


@pytest.mark.parametrize("most", [1, 7])
def test_overlap_map_colors_only_the_lesions(tmp_path, most):
    counts = nib.Nifti1Image(ball("RAS", (-30, 0, 10), 15).get_fdata() * most, AFFINES["RAS"])
    out = draw_overlap(counts, head(), tmp_path / "a.svg")
    slices, colors, bar = images(out)
    assert slices.ndim == 2 and slices.shape == colors.shape
    assert 0.004 < (colors > 0).mean() < 0.2, "0 is transparent"
    assert bar.shape[1] == 256
    assert {"sessions", "1", str(most)} <= set(texts(out))


def test_overlap_map_without_any_lesion(tmp_path):
    counts = nib.Nifti1Image(np.zeros(SHAPES["RAS"], np.int16), AFFINES["RAS"])
    out = draw_overlap(counts, head(), tmp_path / "a.svg")
    assert "Lesion overlap: no lesion in any session" in texts(out)
    assert len(images(out)) == 1


def test_cells_of_the_slices_match_the_voxels(tmp_path):
    """The cells that the script of the page would fill are those of the lesion."""
    lesion = ball("RAS", (-20, 0, 10), 30)
    out = draw_overlap(lesion, head(), tmp_path / "a.svg")
    (image,) = (item for item in ET.parse(out).getroot().iter(f"{SVG}image") if item.get("class"))
    cells = json.loads(image.get("data-cells"))
    assert cells["size"] == 8 and cells["shape"] == list(coarse_shape(lesion.shape))
    voxels = np.flatnonzero(lesion.get_fdata().ravel(order="F"))
    covered = np.isin(np.arange(np.prod(cells["shape"])), coarse_cells(voxels, lesion.shape))
    covered = covered.reshape(cells["shape"], order="F")
    drawn = images(out)[1] > 0
    filled = np.zeros_like(drawn)
    for axis, layer, edge, left, bottom in cells["panels"]:
        for column, row in np.argwhere(np.take(covered, layer, axis)):
            x, y = round(left + column * edge), round(bottom - (row + 1) * edge)
            filled[y : y + round(edge), x : x + round(edge)] = True
    assert 2 * (drawn & filled).sum() / (drawn.sum() + filled.sum()) > 0.9
