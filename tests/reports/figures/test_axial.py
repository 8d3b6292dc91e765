import re
import xml.etree.ElementTree as ET

import nibabel as nib
import numpy as np
import pytest
from drawings import AFFINES, SHAPES, SVG, ball, head, images, texts

from bids_stroke.reports.figures.axial import SPACING, draw_axial

NOTHING = nib.Nifti1Image(np.zeros(SHAPES["RAS"], np.uint8), AFFINES["RAS"])


def cells(root):
    """Return left edge, top edge and position of each slice."""
    return [tuple(map(float, cell.split(","))) for cell in root.get("data-slices").split()]


def layers(root):
    return {group.get("data-layer"): group for group in root.iter(f"{SVG}g")}


@pytest.mark.parametrize("orientation", AFFINES)
def test_contrasts_share_slices_and_start_at_the_lesion(tmp_path, orientation):
    lesion, brain = ball("RAS", (-30, 0, 31), 12), ball("RAS", (0, 0, 10), 60)
    first = ET.parse(draw_axial(head(), lesion, brain, tmp_path / "a.svg")).getroot()
    other = ET.parse(draw_axial(head(orientation), lesion, brain, tmp_path / "b.svg")).getroot()
    assert cells(first) == cells(other) and first.get("data-start") == other.get("data-start")
    positions = [position for _, _, position in cells(first)]
    assert set(np.diff(positions)) == {SPACING} and all(z % SPACING == 0 for z in positions)
    assert positions[0] <= -45 and positions[-1] >= 66, "the entire brain"
    assert positions[int(first.get("data-start"))] == pytest.approx(31, abs=SPACING)


def test_the_contour_lies_in_its_slice(tmp_path):
    lesion, brain = ball("RAS", (-30, 20, 31), 6), ball("RAS", (0, 0, 10), 60)
    root = ET.parse(draw_axial(head(), lesion, brain, tmp_path / "a.svg")).getroot()
    width, height = map(int, root.get("data-size").split(","))
    left, top, _ = cells(root)[int(root.get("data-start"))]
    (path,) = layers(root)["lesion"]
    starts = [tuple(map(float, xy)) for xy in re.findall(r"M([\d.]+),([\d.]+)l", path.get("d"))]
    inside = [(x, y) for x, y in starts if left < x < left + width and top < y < top + height]
    assert len(inside) == 1
    assert inside[0][0] < left + width / 2 and inside[0][1] < top + height / 2, "left and anterior"


def test_layers_of_probability_and_tracts(tmp_path):
    lesion, wide = ball("RAS", (-30, 0, 10), 12), ball("RAS", (-30, 0, 10), 20).get_fdata()
    probability = nib.Nifti1Image(0.3 * wide + 0.6 * lesion.get_fdata(), AFFINES["RAS"])
    tracts = {"<CST>": nib.Nifti1Image(ball("RAS", (20, 0, 10), 9).get_fdata(), AFFINES["RAS"])}
    brain = ball("RAS", (0, 0, 10), 60)
    out = draw_axial(head(), lesion, brain, tmp_path / "a.svg", "FLAIR", probability, tracts)
    drawn = layers(ET.parse(out).getroot())
    assert list(drawn) == ["<CST>", "probability", "lesion"], "the contour is on top"
    assert [group.get("visibility") for group in drawn.values()] == [None, "hidden", None]
    faint, *_, certain = (path.get("d").count("z") for path in drawn["probability"])
    assert faint > certain > 0
    assert all(path.get("d") for path in drawn["<CST>"])
    assert {"Axial slices of the FLAIR", "lesion", "<CST>"} <= set(texts(out))


def test_a_session_without_a_lesion(tmp_path):
    brain = ball("RAS", (0, 0, 10), 60)
    out = draw_axial(head(), NOTHING, brain, tmp_path / "a.svg", "template", coordinates="template")
    root = ET.parse(out).getroot()
    assert int(root.get("data-start")) == len(cells(root)) // 2
    assert root.get("aria-label") == "Axial slices of the template, without a lesion"
    assert "template coordinates" in texts(out) and len(images(out)) == 1
