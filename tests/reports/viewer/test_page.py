import base64
import gzip
import json
import re

import derived
import nibabel as nib
import numpy as np
import pytest
import yaml
from nibabel.affines import apply_affine, voxel_sizes

from bids_stroke.data import DATA
from bids_stroke.reports.viewer import page as viewer_page
from bids_stroke.reports.viewer.layers import MARGIN_MM, Layer, background, encode, field
from bids_stroke.reports.viewer.overlap import write_overlap_viewer
from bids_stroke.reports.viewer.session import write_viewer
from bids_stroke.spatial import grid, image
from bids_stroke.spatial.templates import TEMPLATE, template
from bids_stroke.utils.files import checksum


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("BIDS_STROKE_HOME", str(tmp_path / "home"))


def scene(path):
    """Images of a viewer, with the brain mask last, and the scene description."""
    html = path.read_text(encoding="utf-8")
    description = json.loads(re.search(r'id="scene">(.*?)</script>', html, re.DOTALL)[1])
    encoded = [*(layer["data"] for layer in description["layers"]), description["brain"]]
    images = [nib.Nifti1Image.from_bytes(gzip.decompress(base64.b64decode(text))) for text in encoded]
    return images, description


def points(img):
    """Coordinates of the voxels of a mask (mm)."""
    voxels = np.argwhere(np.asanyarray(img.dataobj) > 0)
    return apply_affine(img.affine, voxels)


def derivative(out, rest, name="sub-01"):
    return nib.load(out / name / "anat" / f"{name}_{rest}.nii.gz")


def test_positions_and_values_are_preserved(tmp_path):
    record = derived.session(tmp_path)
    path = write_viewer(tmp_path, record, [])
    assert path == tmp_path / "sub-01_viewer.html"
    (t1w, flair, lesion, probability, brain), description = scene(path)
    assert all(img.get_data_dtype() == np.uint8 for img in (t1w, flair, lesion, probability))
    for shown, rest in (
        (lesion, f"space-T1w_{derived.DESC}_mask"),
        (brain, "space-T1w_desc-brain_mask"),
    ):
        np.testing.assert_allclose(points(shown), points(derivative(tmp_path, rest)), atol=1e-3)
    # Compare gray levels and probabilities inside the brain.
    inside = np.argwhere(np.asanyarray(brain.dataobj))
    for shown, rest in (
        (t1w, "desc-preproc_T1w"),
        (probability, f"space-T1w_{derived.DESC}_probseg"),
    ):
        original = derivative(tmp_path, rest)
        voxels = apply_affine(np.linalg.inv(original.affine) @ shown.affine, inside)
        values = original.get_fdata()[tuple(np.round(voxels).astype(int).T)]
        step = np.ptp(shown.get_fdata()) / 255
        close = np.abs(shown.get_fdata()[tuple(inside.T)] - values) <= 0.51 * step
        assert close.mean() > 0.995, "all but the clipped extremes"
    low, high = description["layers"][0]["low"], description["layers"][0]["high"]
    assert 300 < low < 650 and 800 < high < 900
    assert np.linalg.norm(np.subtract(description["start"], derived.LESION_MM)) < 2


def test_another_contrast_is_resampled_to_the_grid(tmp_path):
    (_, flair, lesion, *_), _ = scene(write_viewer(tmp_path, derived.session(tmp_path), []))
    data, mask = flair.get_fdata(), np.asanyarray(lesion.dataobj) > 0
    assert flair.shape == lesion.shape
    assert np.median(data[mask]) > 700 > 250 > np.median(data[~mask & (data > 100)])


def test_an_oblique_image_is_resampled_to_world_axes(tmp_path):
    record = derived.session(tmp_path, zooms=(1.5, 1.5, 3), tilt=0.2, flair=False)
    (_, lesion, *_), _ = scene(write_viewer(tmp_path, record, []))
    assert np.allclose(lesion.affine[:3, :3], 1.5 * np.eye(3))
    original = derivative(tmp_path, f"space-T1w_{derived.DESC}_mask")
    moved, still = points(lesion), points(original)
    np.testing.assert_allclose(moved.mean(axis=0), still.mean(axis=0), atol=0.3)
    volumes = len(moved) * 1.5**3, len(still) * grid.voxel_volume(original)
    assert volumes[0] == pytest.approx(volumes[1], rel=0.06)


def test_fine_images_are_shown_at_1_mm_and_cropped_around_the_brain(tmp_path):
    record = derived.session(tmp_path, zooms=(0.75, 0.75, 3), flair=False, probability=False)
    (t1w, lesion, brain), _ = scene(write_viewer(tmp_path, record, []))
    assert voxel_sizes(t1w.affine) == pytest.approx((1, 1, 3))
    original = points(derivative(tmp_path, f"space-T1w_{derived.DESC}_mask"))
    np.testing.assert_allclose(points(lesion).mean(axis=0), original.mean(axis=0), atol=0.3)
    box = np.ptp(points(brain), axis=0) + 2 * MARGIN_MM
    assert (np.array(t1w.shape) * voxel_sizes(t1w.affine) <= box + 6).all()
    data = t1w.get_fdata()
    assert data[0, 0, 0] == data.min(), "a corner of the box"


@pytest.mark.slow
def test_user_supplied_masks_in_template_space_are_shown_on_the_template(tmp_path):
    record = derived.template_session(tmp_path)
    tract = derived.tract(tmp_path)
    (t1w, lesion, tracts, _), description = scene(write_viewer(tmp_path, record, [str(tract)]))
    original = derivative(tmp_path, f"space-{TEMPLATE}_res-1_label-L_desc-ownlesion_mask", "sub-02")
    np.testing.assert_allclose(points(lesion), points(original), atol=1e-3)
    voxels = apply_affine(np.linalg.inv(t1w.affine), (0, -20, 20)).round().astype(int)
    voxel = apply_affine(np.linalg.inv(template().t1w.affine), (0, -20, 20)).round().astype(int)
    same = template().t1w.get_fdata()[tuple(voxel)]
    assert t1w.get_fdata()[tuple(voxels)] == pytest.approx(
        same, abs=0.01 * description["layers"][0]["high"]
    )
    sides = apply_affine(tracts.affine, np.argwhere(tracts.get_fdata() > 0.8))[:, 0]
    assert np.unique(np.sign(sides)).tolist() == [-1, 1]


def test_names_are_escaped(tmp_path):
    record = derived.session(tmp_path, flair=False)
    html = write_viewer(tmp_path, record, [str(derived.tract(tmp_path))]).read_text("utf-8")
    assert "&lt;img src=x onerror=alert(1)&gt;" in html and "<img" not in html
    brain = nib.Nifti1Image(np.ones((9, 9, 9), np.uint8), np.eye(4))
    hostile = "</script><script>alert(1)</script>"
    layer = Layer(hostile, brain, 1, 1, ("#ff0000", "#00ff00"), unit=hostile)
    out = viewer_page.write_page(tmp_path / "page.html", hostile, [layer], [layer], brain)
    assert "<script>alert" not in out.read_text("utf-8")
    assert scene(out)[1]["layers"][0]["unit"] == hostile


def test_large_backgrounds_have_fewer_gray_levels(tmp_path, monkeypatch):
    grid = nib.Nifti1Image(np.zeros((40, 40, 40), np.uint8), np.eye(4))
    noise = image.like(np.random.default_rng(1).uniform(0, 900, (40, 40, 40)), grid, np.float32)
    brain = image.like(np.ones(grid.shape), grid, np.uint8)
    layers = [Layer("noise", noise, 0, 900)] * 2
    most = 2 * len(encode(noise))
    for limit, levels in ((most, 256), (0.9 * most, 128), (0.4 * most, 32)):
        monkeypatch.setattr(viewer_page, "BACKGROUND_BYTES", limit)
        images, _ = scene(
            viewer_page.write_page(tmp_path / "page.html", "noise", layers, layers, brain)
        )
        shown = images[0].get_fdata()
        assert len(np.unique(shown)) == levels
        assert np.abs(shown - noise.get_fdata()).max() <= 0.51 * 900 / (levels - 1) + 900 / 510


@pytest.mark.slow
def test_the_file_size_is_limited_to_15_mb(tmp_path):
    # Noise on a large 1 mm grid with all gray levels is the hardest to compress.
    grid = derived.affine((1, 1, 1))
    mask = derived.ball(grid, 0, (70, 85, 70)) > 0.5
    brain = nib.Nifti1Image(mask.astype(np.uint8), grid)
    noise = image.like(np.random.default_rng(1).uniform(0, 900, brain.shape), brain, np.float32)
    cut, near, brain = field(noise, brain)
    layers = [background("noise", cut, near, brain)] * 3
    overlay = Layer("lesion", brain, 1, 1, ("#ff0000", "#ff0000"))
    out = viewer_page.write_page(tmp_path / "page.html", "noise", layers, [overlay], brain)
    assert out.stat().st_size < 15e6


def test_overlap_of_a_cohort(tmp_path):
    t1w = template().t1w
    counts = np.zeros(t1w.shape, np.int32)
    counts[60:70, 100:120, 90:100] = 3
    counts[62:64, 104:106, 92:94] = 700
    count_img = image.like(counts, t1w)
    (_, shown, _), description = scene(
        write_overlap_viewer(count_img, t1w, tmp_path / "group_viewer.html")
    )
    values = np.asanyarray(shown.dataobj)
    assert np.unique(values, return_counts=True)[1].tolist()[1:] == [2000 - 8, 8]
    assert (description["layers"][1]["low"], description["layers"][1]["high"]) == (1, 700)
    largest = apply_affine(t1w.affine, np.argwhere(counts == 700))
    assert np.linalg.norm(largest - description["start"], axis=1).min() < 0.1
    np.testing.assert_allclose(
        apply_affine(shown.affine, np.argwhere(values == 700)), largest, atol=1e-3
    )
    empty = write_overlap_viewer(image.like(0 * counts, t1w), t1w, tmp_path / "empty.html")
    assert scene(empty)[1]["layers"][1]["high"] == 1
    assert empty.stat().st_size < 6e6


def test_the_library_is_the_one_that_its_source_names(tmp_path):
    folder = DATA / "niivue"
    source = yaml.safe_load((folder / "source.yaml").read_text())
    assert checksum(folder / "niivue.umd.js") == source["sha256"]
    brain = nib.Nifti1Image(np.ones((9, 9, 9), np.uint8), np.eye(4))
    layer = Layer("brain", brain, 1, 1)
    page = viewer_page.write_page(tmp_path / "page.html", "brain", [layer], [layer], brain)
    html = page.read_text("utf-8")
    encoded = re.search(r'id="niivue">(.*?)</script>', html)[1]
    assert gzip.decompress(base64.b64decode(encoded)) == (folder / "niivue.umd.js").read_bytes()
    assert "Copyright (c) 2021, Niivue" in html and "nifti-reader-js" in html
