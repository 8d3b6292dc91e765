import xml.etree.ElementTree as ET

import nibabel as nib
import numpy as np
import pytest
from drawings import AFFINES, SHAPES, SVG, ball, head
from nibabel.affines import apply_affine

from bids_stroke.atlases import loads
from bids_stroke.reports.figures.tract import draw_tract


def test_tract_figure_shows_the_share_of_each_cross_section(tmp_path):
    def column(x):
        world = apply_affine(AFFINES["RAS"], np.moveaxis(np.indices(SHAPES["RAS"]), 0, -1))
        near = (np.abs(world[..., 0] - x) < 5) & (np.abs(world[..., 1]) < 5)
        return nib.Nifti1Image((near & (np.abs(world[..., 2]) < 41)).astype(np.float32), AFFINES["RAS"])

    sides = {"L": column(-20), "R": column(20)}
    mask = ball("RAS", (-20, 0, 20), 9)
    out = draw_tract(head(), mask, sides, tmp_path / "a.svg")
    bars = [
        path.get("d")
        for path in ET.parse(out).getroot().iter(f"{SVG}path")
        if path.get("class") == "bars"
    ]
    profile = loads.slice_profile(mask, sides)
    assert [bar.count("z") for bar in bars] == [(profile["left"] > 0).sum(), 0]
    assert profile["left"].max() == 1
    hit = profile.loc[profile["left"] > 0, "position_mm"]
    assert hit.min() == pytest.approx(12, abs=2) and hit.max() == pytest.approx(28, abs=2)
    without = draw_tract(head(), mask, sides, tmp_path / "b.svg", axis=None)
    assert 'class="bars"' in out.read_text() and 'class="bars"' not in without.read_text()
    assert "cross-section" not in ET.parse(without).getroot().get("aria-label")
    assert "at most 100% on the left and 0% on the right" in ET.parse(out).getroot().get("aria-label")
