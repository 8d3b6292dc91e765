import xml.etree.ElementTree as ET

import numpy as np
from drawings import SVG, ball, contours, head, images

from bids_stroke.reports.figures import slices, svg
from bids_stroke.reports.figures.lesion import draw_lesion


def test_a_downscaled_figure_keeps_its_contours(tmp_path):
    out = draw_lesion(head(), ball("RAS", (-30, 0, 10), 12), tmp_path / "a.svg")
    (tmp_path / "b.svg").write_text(svg.inline(out, 0.5))
    (before,), (after,) = images(out), images(tmp_path / "b.svg")
    np.testing.assert_allclose(after.shape, np.array(before.shape) / 2, atol=1)
    assert contours(tmp_path / "b.svg") == contours(out)


def test_a_long_title_is_one_line_of_text_with_its_legend(tmp_path):
    words = "Lesion and " + "W" * 200
    strip = svg.title(words, svg.HIDE, [("lesion & more", "#fff")], "template")
    out = svg.write(tmp_path / "a.svg", (slices.WIDTH, 100), [strip], "alt")
    (line,) = ET.parse(out).getroot().iter(f"{SVG}text")
    parts = [part.text for part in line]
    assert parts[0].startswith("Lesion and WW") and len(parts[0]) == svg.LONGEST_TITLE
    assert parts[2:] == ["lesion & more", "template coordinates", svg.HIDE]
    assert all(part.get("x") is None for part in line), "the parts follow each other"
