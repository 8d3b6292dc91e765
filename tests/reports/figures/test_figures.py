import base64
import io
import re
import xml.etree.ElementTree as ET

import nibabel as nib
import numpy as np
import pytest
from nibabel.affines import apply_affine
from PIL import Image

from bids_stroke.atlases import loads
from bids_stroke.reports.figures import figures, mosaic, slices

SVG = "{http://www.w3.org/2000/svg}"
AFFINES = {
    "RAS": [[2, 0, 0, -80], [0, 2, 0, -100], [0, 0, 2, -60], [0, 0, 0, 1]],
    "LPS, 4 mm slices": [[-2, 0, 0, 78], [0, -2, 0, 98], [0, 0, 4, -60], [0, 0, 0, 1]],
    "PSR": [[0, 0, 2, -80], [-2, 0, 0, 98], [0, 2, 0, -60], [0, 0, 0, 1]],
    "tilted": [[2, 0, 0, -80], [0, 1.6, -1.2, -50], [0, 1.2, 1.6, -110], [0, 0, 0, 1]],
}
SHAPES = {
    "RAS": (80, 100, 70),
    "LPS, 4 mm slices": (80, 100, 35),
    "PSR": (100, 70, 80),
    "tilted": (80, 100, 90),
}


def ball(orientation, center, radius):
    """A sphere in world space (mm), as uint8, on a grid of the given orientation."""
    affine = np.array(AFFINES[orientation], float)
    shape = SHAPES[orientation]
    world = apply_affine(affine, np.moveaxis(np.indices(shape), 0, -1))
    inside = ((world - center) ** 2).sum(axis=-1) <= radius**2
    return nib.Nifti1Image(inside.astype(np.uint8), affine)


def head(orientation="RAS"):
    """A bright sphere with a dark one in it."""
    outer = ball(orientation, (0, 0, 10), 62).get_fdata()
    inner = ball(orientation, (0, 0, 10), 20).get_fdata()
    return nib.Nifti1Image(100 * outer - 60 * inner, AFFINES[orientation])


def images(path):
    """The rasters of a figure, as arrays; fails where the SVG is not well-formed."""
    found = ET.parse(path).getroot().iter(f"{SVG}image")
    data = [base64.b64decode(image.get("href").partition(",")[2]) for image in found]
    return [np.asarray(Image.open(io.BytesIO(jpeg))) for jpeg in data]


def texts(path):
    return [element.text for element in ET.parse(path).getroot().iter(f"{SVG}text")]


def contours(path):
    """Number of closed outlines."""
    paths = ET.parse(path).getroot().iter(f"{SVG}path")
    return sum(p.get("d").count("z") for p in paths if p.get("class") == "contour")


@pytest.mark.parametrize("orientation", AFFINES)
def test_sections_show_left_on_the_left_and_up_above(orientation):
    field = slices.field_of_view(head(orientation), margin=5)
    lesion = ball(orientation, (-30, 20, 35), 12)
    for axis, position in ((slices.CORONAL, 20), (slices.AXIAL, 35)):
        cut = slices.section(lesion, slices.Cut(field, axis, position))
        rows, columns = np.nonzero(cut > 0.5)
        assert columns.max() < cut.shape[1] / 2, "x < 0 is the left half"
        assert rows.max() < cut.shape[0] / 2, "anterior or superior is the upper half"
    cut = slices.section(lesion, slices.Cut(field, slices.SAGITTAL, -30))
    rows, columns = np.nonzero(cut > 0.5)
    assert columns.min() > cut.shape[1] / 2, "anterior is the right half"
    assert rows.max() < cut.shape[0] / 2


@pytest.mark.parametrize("orientation", AFFINES)
def test_a_sphere_is_round_whatever_the_voxels(orientation):
    field = slices.field_of_view(head(orientation), margin=5)
    for axis in range(3):
        where = slices.Cut(field, axis, (0, 0, 10)[axis])
        cut = slices.section(ball(orientation, (0, 0, 10), 40), where)
        height, width = (np.ptp(index) for index in np.nonzero(cut > 0.5))
        assert height * slices.STEP == pytest.approx(80, abs=5)
        assert width * slices.STEP == pytest.approx(80, abs=5)


@pytest.mark.parametrize("orientation", ["PSR", "tilted"])
def test_the_field_of_view_follows_the_world_box(orientation):
    field = slices.field_of_view(ball(orientation, (-10, 20, 15), 30), margin=5)
    np.testing.assert_allclose(field.low, (-40, -10, -15), atol=3)
    np.testing.assert_allclose(field.high, (20, 50, 45), atol=3)


@pytest.mark.parametrize("orientation", AFFINES)
def test_lesion_figure(tmp_path, orientation):
    out = figures.lesion(
        head(orientation), ball(orientation, (-30, 0, 10), 12), tmp_path / "a.svg", "A<&>B"
    )
    (raster,) = images(out)
    assert raster.ndim == 2 and raster.max() > 200 and raster.min() < 5
    assert "Lesion on A<&>B" in texts(out)
    assert {"L", "R", "P", "A"} <= set(texts(out))
    lesion_cuts = 3 * slices.field_of_view(head(), margin=6).columns(slices.SAGITTAL)
    assert contours(out) >= lesion_cuts, "every cut through the lesion shows it"


def test_cuts_reach_a_small_lesion_beside_a_large_one(tmp_path):
    both = ball("RAS", (-30, 0, 10), 22).get_fdata() + ball("RAS", (40, 0, 10), 4).get_fdata()
    mask = nib.Nifti1Image(both.astype(np.uint8), AFFINES["RAS"])
    out = figures.lesion(head(), mask, tmp_path / "a.svg")
    sagittal = [text for text in texts(out) if text.startswith("x =")]
    positions = [int(text[4:].replace("\N{MINUS SIGN}", "-")) for text in sagittal]
    assert min(positions) < 0 and any(36 <= x <= 44 for x in positions)


def test_a_lesion_of_one_voxel_is_drawn(tmp_path):
    mask = np.zeros(SHAPES["RAS"], np.uint8)
    mask[20, 50, 35] = 1
    out = figures.lesion(head(), nib.Nifti1Image(mask, AFFINES["RAS"]), tmp_path / "a.svg")
    assert contours(out) >= 3


@pytest.mark.parametrize("orientation", AFFINES)
def test_the_close_up_is_centred_on_the_largest_part(orientation):
    far = ball(orientation, (40, 30, 30), 4).get_fdata()
    both = ball(orientation, (-30, 0, 10), 12).get_fdata() + far
    mask = nib.Nifti1Image(both.astype(np.uint8), AFFINES[orientation])
    for cut in slices.close_up(mask):
        rows, columns = np.nonzero(slices.section(mask, cut) > 0.5)
        middle = np.array([rows.mean(), columns.mean()]) / cut.field.shape(cut.axis)
        np.testing.assert_allclose(middle, 0.5, atol=0.05)
        assert cut.position == pytest.approx((-30, 0, 10)[cut.axis], abs=4)
        assert np.ptp(columns) * cut.field.step == pytest.approx(24, abs=5)


def test_probability_is_colored_where_there_is_some_and_the_mask_outlined(tmp_path):
    certain = ball("RAS", (-30, 0, 10), 12)
    wide = ball("RAS", (-30, 0, 10), 20).get_fdata()
    probability = nib.Nifti1Image(0.3 * wide + 0.6 * certain.get_fdata(), AFFINES["RAS"])
    out = figures.probability(head(), probability, certain, tmp_path / "a.svg", "FLAIR")
    raster, _ = images(out)
    pixels = raster.astype(int)
    assert 0.005 < (np.ptp(pixels, axis=-1) > 60).mean() < 0.3
    assert contours(out) >= 5
    assert "Lesion probability on FLAIR" in texts(out) and "probability" in texts(out)
    nothing = nib.Nifti1Image(np.zeros(SHAPES["RAS"], np.float32), AFFINES["RAS"])
    raster, _ = images(figures.probability(head(), nothing, nothing, tmp_path / "b.svg"))
    assert (np.ptp(raster.astype(int), axis=-1) > 60).mean() < 1e-3


def test_tract_figure_charts_the_share_of_each_slice(tmp_path):
    def column(x):
        world = apply_affine(AFFINES["RAS"], np.moveaxis(np.indices(SHAPES["RAS"]), 0, -1))
        near = (np.abs(world[..., 0] - x) < 5) & (np.abs(world[..., 1]) < 5)
        return nib.Nifti1Image((near & (np.abs(world[..., 2]) < 41)).astype(np.float32), AFFINES["RAS"])

    sides = {"L": column(-20), "R": column(20)}
    mask = ball("RAS", (-20, 0, 20), 9)
    out = figures.tract(head(), mask, sides, tmp_path / "a.svg")
    bars = [
        path.get("d")
        for path in ET.parse(out).getroot().iter(f"{SVG}path")
        if path.get("class") == "bars"
    ]
    profile = loads.slice_profile(mask, sides)
    assert [bar.count("z") for bar in bars] == [(profile["left"] > 0).sum(), 0]
    assert profile["left"].max() == 1
    hit = profile.loc[profile["left"] > 0, "z_mm"]
    assert hit.min() == pytest.approx(12, abs=2) and hit.max() == pytest.approx(28, abs=2)
    assert "at most 100% on the left and 0% on the right" in ET.parse(out).getroot().get("aria-label")


def test_a_shrunken_figure_keeps_its_contours(tmp_path):
    out = figures.lesion(head(), ball("RAS", (-30, 0, 10), 12), tmp_path / "a.svg")
    (tmp_path / "b.svg").write_text(mosaic.shrunk(out.read_text(), 0.5))
    (before,), (after,) = images(out), images(tmp_path / "b.svg")
    np.testing.assert_allclose(after.shape, np.array(before.shape) / 2, atol=1)
    assert contours(tmp_path / "b.svg") == contours(out)


def test_an_empty_mask_makes_a_figure_that_says_so(tmp_path):
    empty = nib.Nifti1Image(np.zeros(SHAPES["RAS"], np.uint8), AFFINES["RAS"])
    out = figures.lesion(head(), empty, tmp_path / "a.svg", "FLAIR", brain_img=head())
    assert "No lesion found on FLAIR" in texts(out)
    assert contours(out) == 0 and len(images(out)) == 1


def test_images_read_from_files_serve(tmp_path):
    for name, image in (("t1w", head()), ("mask", ball("RAS", (0, 0, 10), 60))):
        nib.save(image, tmp_path / f"{name}.nii.gz")
    t1w, mask = (nib.load(tmp_path / f"{name}.nii.gz") for name in ("t1w", "mask"))
    assert contours(figures.lesion(t1w, mask, tmp_path / "a.svg")) > 0
    assert contours(figures.brain_mask(t1w, mask, tmp_path / "b.svg")) > 0
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        *("a.svg", "b.svg", "mask.nii.gz", "t1w.nii.gz")
    ]


def test_flicker_holds_both_images_on_one_layout(tmp_path):
    dim = nib.Nifti1Image(head("PSR").get_fdata() * 0.1, AFFINES["PSR"])
    brain = ball("RAS", (0, 0, 10), 62)
    out = figures.flicker(head(), dim, tmp_path / "a.svg", brain, ("T1w", "FLAIR"))
    fixed, moving = images(out)
    assert fixed.shape == moving.shape
    # One head on two grids, each in its own window: the same picture but for interpolation.
    assert np.abs(fixed.astype(int) - moving).mean() < 5
    assert {"T1w", "FLAIR"} <= set(texts(out))
    (group,) = ET.parse(out).getroot().iter(f"{SVG}g")
    assert group.get("class") == "moving" and len(group.findall(f"{SVG}image")) == 1
    assert re.search(r"\.flicker:is\(:hover, :focus-visible\) \.moving \{animation", out.read_text())
    assert ET.parse(out).getroot().get("tabindex") == "0", "works without a mouse"
    assert contours(figures.flicker(head(), dim, tmp_path / "b.svg")) == 0


@pytest.mark.parametrize("most", [1, 7])
def test_overlap_map_colors_only_the_lesions(tmp_path, most):
    counts = nib.Nifti1Image(ball("RAS", (-30, 0, 10), 15).get_fdata() * most, AFFINES["RAS"])
    out = figures.overlap_map(counts, head(), tmp_path / "a.svg")
    raster, bar = images(out)
    pixels = raster.astype(int)
    colored = np.abs(pixels.max(axis=-1) - pixels.min(axis=-1)) > 60
    assert 0.005 < colored.mean() < 0.2
    assert bar.shape[1] == 256
    assert {"sessions", "1", str(most)} <= set(texts(out))


def test_overlap_map_without_any_lesion(tmp_path):
    counts = nib.Nifti1Image(np.zeros(SHAPES["RAS"], np.int16), AFFINES["RAS"])
    out = figures.overlap_map(counts, head(), tmp_path / "a.svg")
    assert "Lesion overlap: no lesion in any session" in texts(out)
    assert len(images(out)) == 1
