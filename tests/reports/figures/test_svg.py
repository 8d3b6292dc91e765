import numpy as np
from drawings import ball, contours, head, images

from bids_stroke.reports.figures import svg
from bids_stroke.reports.figures.lesion import draw_lesion


def test_a_downscaled_figure_keeps_its_contours(tmp_path):
    out = draw_lesion(head(), ball("RAS", (-30, 0, 10), 12), tmp_path / "a.svg")
    (tmp_path / "b.svg").write_text(svg.inline(out, 0.5))
    (before,), (after,) = images(out), images(tmp_path / "b.svg")
    np.testing.assert_allclose(after.shape, np.array(before.shape) / 2, atol=1)
    assert contours(tmp_path / "b.svg") == contours(out)
