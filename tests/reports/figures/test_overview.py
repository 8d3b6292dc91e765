import xml.etree.ElementTree as ET

import nibabel as nib
import numpy as np
import pytest
from drawings import AFFINES, SHAPES, SVG, ball, contours, head, images, texts

from bids_stroke.reports.figures import rendering
from bids_stroke.reports.figures.overview import draw_overview

BRAIN = ball("RAS", (0, 0, 10), 60)


def tiles(path):
    return [t for t in ET.parse(path).getroot().iter(f"{SVG}svg") if t.get("class") == "tile"]


@pytest.mark.parametrize(("x", "side"), [(-30, "left"), (30, "right")])
def test_slices_through_the_lesion_and_views_of_the_brain(tmp_path, x, side):
    out = draw_overview(head(), ball("RAS", (x, 0, 10), 12), BRAIN, tmp_path / "a.svg")
    labels = [tile.get("data-label") for tile in tiles(out)]
    assert [label[:3] for label in labels[:3]] == ["z =", "y =", "x ="]
    assert all(label.endswith(" mm (scanner)") for label in labels[:3])
    assert labels[3:] == [f"from the {side}", "from behind", "from above"]
    assert contours(out) == 6
    letters = [tile.get("data-left") + tile.get("data-right") for tile in tiles(out)]
    assert letters[:3] == ["LR", "LR", "PA"] and letters[4:] == ["LR", "LR"]
    assert letters[3] == {"left": "AP", "right": "PA"}[side]


def test_without_a_lesion(tmp_path):
    empty = nib.Nifti1Image(np.zeros(SHAPES["RAS"], np.uint8), AFFINES["RAS"])
    out = draw_overview(head(), empty, BRAIN, tmp_path / "a.svg", "FLAIR")
    assert "No lesion found on FLAIR" in texts(out)
    assert len(tiles(out)) == len(images(out)) == 6 and contours(out) == 0


@pytest.mark.parametrize("orientation", AFFINES)
def test_the_lesion_is_red_where_it_is(orientation):
    """It lies on the left, in front and above the center of the brain."""
    lesion = ball(orientation, (-30, 25, 35), 9)
    volumes = rendering.sample(head(orientation), ball(orientation, (0, 0, 10), 60), lesion)
    places = {
        rendering.LEFT: "upper left",
        rendering.RIGHT: "upper right",
        rendering.BEHIND: "upper left",
        rendering.ABOVE: "upper left",
    }
    for view, place in places.items():
        pixels, outline = rendering.render(volumes, view)
        red = (pixels[..., 0].astype(int) - pixels[..., 1]) > 30
        rows, columns = np.nonzero(red)
        assert outline[rows, columns].all()
        half = "left" if columns.mean() < red.shape[1] / 2 else "right"
        assert rows.mean() < red.shape[0] / 2 and place == f"upper {half}", view.name


def test_a_deep_lesion_is_fainter():
    brain = ball("RAS", (0, 0, 10), 60)
    redness = []
    for z in (55, -30):
        volumes = rendering.sample(head(), brain, ball("RAS", (0, 0, z), 9))
        pixels, outline = rendering.render(volumes, rendering.ABOVE)
        redness.append((pixels[..., 0].astype(int) - pixels[..., 1])[outline].mean())
    assert redness[0] > 1.5 * redness[1] > 15
