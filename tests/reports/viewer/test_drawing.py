"""Contents of the drawing page, and sessions whose masks it cannot correct."""

import base64
import gzip
import json
import re

import derived
import nibabel as nib
import numpy as np
import oriented
import pytest

from bids_stroke.atlases.native_loads import Weights
from bids_stroke.lesion.postprocessing import threshold
from bids_stroke.reports.viewer import drawing
from bids_stroke.reports.viewer.drawing import write_drawing
from bids_stroke.spatial.grid import voxel_volume
from bids_stroke.spatial.templates import TEMPLATE


def scene(path):
    """Return the data of a page."""
    html = path.read_text(encoding="utf-8")
    return json.loads(re.search(r'id="scene">(.*?)</script>', html, re.DOTALL)[1])


def decoded(text):
    return nib.Nifti1Image.from_bytes(gzip.decompress(base64.b64decode(text)))


def problem(path):
    return re.search(r'id="problem">(.*?)</p>', path.read_text(encoding="utf-8"))[1]


def test_the_probability_has_the_thresholds_of_the_model(tmp_path):
    record = oriented.session(tmp_path, axes="LPI")
    content = scene(write_drawing(tmp_path, record, []))["probability"]
    assert content["thresholds"][content["start"]] == oriented.THRESHOLD
    assert content["min_component_mm3"] == oriented.MIN_COMPONENT_MM3
    counts = decoded(content["data"])
    probability = nib.as_closest_canonical(nib.load(record.path(tmp_path, "lesion_probability")))
    values = np.asanyarray(probability.dataobj)
    for number in (0, 20, content["start"], 70, 99):
        expected = threshold(values, content["thresholds"][number], 0, voxel_volume(probability))
        assert (np.asanyarray(counts.dataobj) > number).sum() == expected.sum()


def test_voxels_far_from_the_brain_are_black(tmp_path):
    record = derived.session(tmp_path, zooms=(4, 4, 4), flair=False)
    content = scene(write_drawing(tmp_path, record, []))
    shown = decoded(content["images"][0]["data"])
    data = shown.get_fdata()
    assert data[0, 0, 0] == data.min() and (data > 100).mean() > 0.3
    assert shown.get_data_dtype() == np.uint8


def test_other_images_are_shown_on_the_grid_of_the_reference_image(tmp_path):
    record = derived.session(tmp_path, zooms=(3, 3, 4), tilt=0.1)
    content = scene(write_drawing(tmp_path, record, []))
    assert [item["title"] for item in content["images"]] == ["T1w", "FLAIR"]
    t1w, flair = (decoded(item["data"]) for item in content["images"])
    assert t1w.shape == flair.shape and np.array_equal(t1w.affine, flair.affine)
    mask = gzip.decompress(base64.b64decode(content["mask"]))
    inside = np.frombuffer(mask, np.uint8).reshape(t1w.shape, order="F") > 0
    data = flair.get_fdata()
    assert np.median(data[inside]) > 600 and data[0, 0, 0] == data.min()


def test_images_that_do_not_fit_are_omitted(tmp_path, monkeypatch):
    record = derived.session(tmp_path, zooms=(3, 3, 4))
    content = scene(write_drawing(tmp_path, record, []))
    monkeypatch.setattr(drawing, "LEVELS", (256,))
    monkeypatch.setattr(drawing, "MAX_BYTES", drawing._size(content) - 300)
    assert scene(write_drawing(tmp_path, record, []))["images"] == content["images"][:1]


def test_a_mask_in_template_space_is_refused(tmp_path, caplog):
    page = write_drawing(tmp_path, derived.template_session(tmp_path), [])
    assert f"The mask of this session is in the space {TEMPLATE}" in problem(page)
    assert f"sub-02: The mask of this session is in the space {TEMPLATE}" in caplog.text
    assert page.stat().st_size < 20_000


def test_a_session_without_a_reference_image_is_refused(tmp_path):
    record = derived.session(tmp_path, zooms=(4, 4, 4), flair=False)
    del record.outputs["image"]
    assert "no reference image with a lesion mask" in problem(write_drawing(tmp_path, record, []))


@pytest.mark.parametrize("limit", ["MAX_VOXELS", "MAX_BYTES"])
def test_a_large_grid_is_refused(tmp_path, monkeypatch, limit):
    record = oriented.session(tmp_path)
    monkeypatch.setattr(drawing, limit, 10_000)
    page = write_drawing(tmp_path, record, [])
    assert "22 x 28 x 18 voxels around the brain, which is too large" in problem(page)


def test_a_large_image_has_fewer_gray_levels(tmp_path, monkeypatch):
    record = oriented.session(tmp_path)
    path = record.path(tmp_path, "image")
    img = nib.load(path)
    noise = np.random.default_rng(1).uniform(0, 900, img.shape)
    nib.save(nib.Nifti1Image(noise.astype(np.float32), img.affine), path)
    content = scene(write_drawing(tmp_path, record, []))
    monkeypatch.setattr(drawing, "MAX_BYTES", drawing._size(content) - 300)
    fewer = scene(write_drawing(tmp_path, record, []))
    shown = [decoded(page["images"][0]["data"]) for page in (content, fewer)]
    counts = [len(np.unique(img.dataobj)) for img in shown]
    assert counts == [256, 128]


def test_weights_are_encoded_without_loss_of_position():
    voxels = np.array([3, 70_000, 70_001, 5_000_000])
    encoded = drawing._encode_weights(Weights(voxels, np.array([1e-3, 2e-3, 1e-6, 3e-3])))
    steps, ml = (gzip.decompress(base64.b64decode(encoded[key])) for key in ("steps", "ml"))
    assert np.cumsum(np.frombuffer(steps, "<u4")).tolist() == voxels.tolist()
    decoded_ml = np.frombuffer(ml, "<u2") * encoded["scale"]
    np.testing.assert_allclose(decoded_ml, (1e-3, 2e-3, 1e-6, 3e-3), atol=3e-8)
    empty = drawing._encode_weights(Weights(np.array([], np.int64), np.array([])))
    assert empty["scale"] == 1.0
