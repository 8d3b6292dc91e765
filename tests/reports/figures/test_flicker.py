import re
import xml.etree.ElementTree as ET

import nibabel as nib
import numpy as np
from drawings import AFFINES, SVG, ball, contours, head, images, texts

from bids_stroke.reports.figures.flicker import draw_flicker


def test_both_images_have_the_same_layout(tmp_path):
    dim = nib.Nifti1Image(head("PSR").get_fdata() * 0.1, AFFINES["PSR"])
    brain = ball("RAS", (0, 0, 10), 62)
    out = draw_flicker(head(), dim, tmp_path / "a.svg", brain, ("T1w", "FLAIR"))
    fixed, moving = images(out)
    assert fixed.shape == moving.shape
    # The same head on two grids, each with its intensity window: equal except for interpolation.
    assert np.abs(fixed.astype(int) - moving).mean() < 5
    assert {"T1w", "FLAIR"} <= set(texts(out))
    (group,) = ET.parse(out).getroot().iter(f"{SVG}g")
    assert group.get("class") == "moving" and len(group.findall(f"{SVG}image")) == 1
    assert re.search(r"\.flicker:is\(:hover, :focus-visible\) \.moving \{animation", out.read_text())
    assert ET.parse(out).getroot().get("tabindex") == "0", "works without a mouse"
    assert contours(draw_flicker(head(), dim, tmp_path / "b.svg")) == 0
