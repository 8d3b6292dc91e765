import hashlib
from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch
from nibabel.affines import apply_affine, voxel_sizes
from safetensors.torch import save_file
from scipy import ndimage

from bids_stroke.compute import devices
from bids_stroke.models import inference
from bids_stroke.models.calibration import Calibration
from bids_stroke.models.card import Card, Channel, Network, Weights
from bids_stroke.models.networks import unet3d
from bids_stroke.spatial import image
from bids_stroke.spatial.grid import voxel_volume

CENTER = np.array([12.0, -20.0, 9.0])  # of the bright lesion (mm), outside every plane of symmetry
NOWHERE = Path("/nowhere")  # native space needs no transforms
ARGUMENTS = {"channels": [4, 8], "strides": [2], "residual_units": 1}


def card(*channels, spacing=(2.0, 2.0, 2.0), file="w", sha256="0" * 64, folder=Path("/")):
    channels = channels or (Channel("T1w"),)
    return Card(
        name="tested",
        network=Network("unet3d", ARGUMENTS | {"in_channels": len(channels)}),
        channels=channels,
        space="native",
        spacing=spacing,
        tile=(32, 32, 32),
        normalization="zscore",
        threshold=0.5,
        min_component_mm3=10,
        weights=Weights(sha256=sha256, bytes=0, licence="", file=file),
        trained_on="",
        measured=[],
        notes=[],
        citation="",
        path=folder / "card.yaml",
    )


class BrightIsLesion(torch.nn.Module):
    """A network that marks bright voxels of the first channel as lesion."""

    def forward(self, batch):
        return 20 * (batch[:, :1] - 2)


class Everywhere(torch.nn.Module):
    """A network that marks every voxel as lesion."""

    def forward(self, batch):
        return torch.full_like(batch[:, :1], 20)


@pytest.fixture
def everywhere(monkeypatch):
    monkeypatch.setattr(inference.weights, "load", lambda card: Everywhere())


@pytest.fixture
def bright(monkeypatch):
    monkeypatch.setattr(inference.weights, "load", lambda card: BrightIsLesion())


def grid(shape, zooms, center=(0, 0, 0), orientation="RAS"):
    """An empty image around ``center``; ``shape`` and ``zooms`` are in RAS order."""
    affine = np.diag([*zooms, 1.0])
    affine[:3, 3] = np.array(center) - (np.array(shape) - 1) / 2 * zooms
    img = nib.Nifti1Image(np.zeros(shape, np.float32), affine)
    return img.as_reoriented(
        nib.orientations.ornt_transform(
            nib.io_orientation(affine), nib.orientations.axcodes2ornt(tuple(orientation))
        )
    )


def head(empty):
    """An ellipsoid brain with a bright ball on a dark background, and the brain mask."""
    world = apply_affine(empty.affine, np.moveaxis(np.indices(empty.shape), 0, -1))
    brain = (world**2 / np.array([40, 50, 35]) ** 2).sum(-1) <= 1
    ball = np.linalg.norm(world - CENTER, axis=-1) <= 10
    texture = np.sin(world / 9).sum(-1)  # a function of world coordinates
    data = np.where(brain, 100 + 5 * texture + 200 * ball, 3 * texture)
    return image.like(data, empty, np.float32), image.like(brain, empty, np.uint8)


def center_of(img):
    data = np.asanyarray(img.dataobj)
    return apply_affine(img.affine, ndimage.center_of_mass(data > 0.5))


HEAD = head(grid((60, 70, 54), (1.6, 1.6, 1.8), (3, 2, -1)))


def test_prepare_returns_the_channels_of_the_card():
    t1w, brain = HEAD
    channels = (Channel("FLAIR"), Channel("T2w", required=False), Channel("T1w"))
    other = head(grid((50, 50, 30), (2.2, 2.4, 4.0)))[0]
    images = {"T1w": t1w, "FLAIR": image.like(-other.get_fdata(), other, np.float32)}
    batch, frame = inference.prepare(card(*channels, spacing=(2.0, 2.5, 3.0)), images, brain, NOWHERE)
    mask = frame.mask
    inside = np.asanyarray(mask.dataobj) > 0

    assert batch.dtype == np.float32 and batch.shape == (3, *mask.shape)
    np.testing.assert_allclose(voxel_sizes(mask.affine), (2.0, 2.5, 3.0), rtol=1e-5)
    volume = inside.sum() * voxel_volume(mask)
    truth = np.count_nonzero(brain.dataobj) * voxel_volume(brain)
    assert volume == pytest.approx(truth, rel=0.02)
    assert not batch[:, ~inside].any()
    for channel in (0, 2):
        assert batch[channel][inside].mean() == pytest.approx(0, abs=1e-4)
        assert batch[channel][inside].std() == pytest.approx(1, abs=1e-4)
    assert not batch[1].any()  # the T2w is missing
    # The ball is bright on T1w, dark on the inverted FLAIR, and at the same location on both.
    center = tuple(np.round(apply_affine(np.linalg.inv(mask.affine), CENTER)).astype(int))
    assert batch[2][center] > 2 and batch[0][center] < -2


def test_prepare_crops_to_the_brain_and_a_margin():
    t1w, brain = head(grid((80, 90, 70), (1.5, 1.5, 1.5)))
    mask = inference.prepare(card(), {"T1w": t1w}, brain, NOWHERE)[1].mask
    filled = np.argwhere(np.asanyarray(mask.dataobj))
    assert (filled.min(0) == 4).all()  # 8 mm
    assert (filled.max(0) == np.array(mask.shape) - 5).all()


def test_prepare_of_a_brain_that_fills_its_box():
    data = np.random.default_rng(0).normal(100, 10, (30, 30, 20)).astype(np.float32)
    img = nib.Nifti1Image(data, np.diag([1.0, 1.0, 3.0, 1.0]))
    brain = image.like(np.ones(data.shape), img, np.uint8)
    mask = inference.prepare(card(), {"T1w": img}, brain, NOWHERE)[1].mask
    assert np.asanyarray(mask.dataobj).all()
    assert mask.shape == (15, 15, 30)


@pytest.mark.parametrize("orientation", ["RAS", "LPS", "PSR", "AIL"])
@pytest.mark.parametrize("shape, zooms", [((90, 110, 80), (1, 1, 1)), ((60, 70, 16), (2, 2, 5))])
def test_the_lesion_has_the_right_location_on_any_grid(bright, orientation, shape, zooms):
    """Input and reference differ in spacing and in the order of axes."""
    reference = grid(shape, zooms, (-2, 4, 1), orientation)
    probability = inference.predict(card(), {"T1w": HEAD[0]}, HEAD[1], reference, "cpu")
    assert probability.shape == reference.shape
    assert np.array_equal(probability.affine, reference.affine)
    assert probability.get_data_dtype() == np.float32
    data = probability.get_fdata()
    assert data.min() >= 0 and data.max() <= 1
    np.testing.assert_allclose(center_of(probability), CENTER, atol=1)
    volume = (data > 0.5).sum() * voxel_volume(probability)
    assert volume == pytest.approx(4 / 3 * np.pi * 10**3, rel=0.15)


def test_the_probability_is_zero_outside_the_brain(everywhere):
    t1w, brain = HEAD
    probability = inference.predict(card(), {"T1w": t1w}, brain, t1w, "cpu").get_fdata()
    inside = np.asanyarray(brain.dataobj) > 0
    assert not probability[~inside].any()
    assert (probability[ndimage.binary_erosion(inside, iterations=3)] > 0.99).all()


def test_a_brain_at_the_border_of_the_image(everywhere):
    data = np.random.default_rng(0).normal(100, 10, (30, 30, 20)).astype(np.float32)
    img = nib.Nifti1Image(data, np.diag([1.0, 1.0, 3.0, 1.0]))
    brain = image.like(np.ones(data.shape), img, np.uint8)
    probability = inference.predict(card(), {"T1w": img}, brain, img, "cpu").get_fdata()
    assert (probability > 0.99).all()


@pytest.fixture
def random_card(tmp_path):
    """A card of a real network with random weights, and a channel that may be missing."""
    torch.manual_seed(0)
    network = unet3d.build(**ARGUMENTS, in_channels=2)
    with torch.no_grad():
        for weight in network.parameters():
            weight.mul_(2)  # probabilities cover the whole range
    save_file(network.state_dict(), tmp_path / "w.safetensors")
    sha256 = hashlib.sha256((tmp_path / "w.safetensors").read_bytes()).hexdigest()
    channels = (Channel("T1w"), Channel("FLAIR", required=False))
    return card(*channels, file="w.safetensors", sha256=sha256, folder=tmp_path)


@pytest.mark.parametrize("orientation", ["LPS", "PSR", "ASL"])
def test_predictions_do_not_depend_on_the_stored_orientation(random_card, orientation):
    def probability_of(stored, mask):
        conformed, brain = image.conform(stored), image.conform(mask)
        probability = inference.predict(random_card, {"T1w": conformed}, brain, conformed, "cpu")
        return image.restore(probability, stored)

    t1w, brain = HEAD
    turn = nib.orientations.ornt_transform(
        nib.io_orientation(t1w.affine), nib.orientations.axcodes2ornt(tuple(orientation))
    )
    expected = probability_of(t1w, brain)
    reoriented = probability_of(t1w.as_reoriented(turn), brain.as_reoriented(turn))
    conformed = image.conform(reoriented)
    np.testing.assert_allclose(conformed.affine, expected.affine, atol=1e-4)
    np.testing.assert_allclose(conformed.get_fdata(), expected.get_fdata(), atol=1e-3)
    inside = expected.get_fdata()[np.asanyarray(brain.dataobj) > 0]
    assert inside.std() > 0.05  # predictions vary


def test_tiled_inference_equals_inference_without_tiles(bright):
    """The network has no spatial context."""
    t1w, brain = HEAD
    batch, _ = inference.prepare(card(), {"T1w": t1w}, brain, NOWHERE)
    tiled = inference.infer(BrightIsLesion(), batch, (32, 32, 32), "cpu", mirror=False)
    np.testing.assert_allclose(tiled, 1 / (1 + np.exp(-20 * (batch[0] - 2))), atol=1e-5)


class LeftIsLesion(torch.nn.Module):
    """A network that marks the left half as lesion."""

    def forward(self, image):
        logits = torch.full_like(image[:, :1], -20)
        logits[:, :, : image.shape[2] // 2] = 20
        return logits


def test_mirrored_prediction_is_averaged_on_the_right_side():
    batch = np.zeros((1, 32, 32, 32), np.float32)
    plain = inference.infer(LeftIsLesion(), batch, (32, 32, 32), "cpu", mirror=False)
    mirrored = inference.infer(LeftIsLesion(), batch, (32, 32, 32), "cpu", mirror=True)
    np.testing.assert_allclose(plain[:16], 1, atol=1e-5)
    np.testing.assert_allclose(plain[16:], 0, atol=1e-5)
    np.testing.assert_allclose(mirrored, 0.5, atol=1e-5)


def test_device_names_are_resolved():
    assert devices.resolve("cpu") == "cpu"
    assert devices.resolve("cuda") == "cuda"
    assert devices.resolve("auto") == ("cuda" if torch.cuda.is_available() else "cpu")


class MirrorIsLesion(torch.nn.Module):
    """A network that marks bright voxels of the mirrored channel as lesion."""

    def forward(self, batch):
        return 20 * (batch[:, 1:2] - 2)


def test_a_mirrored_channel_shows_the_opposite_hemisphere(monkeypatch):
    """The head is in template space, so the mid-sagittal plane is x = 0."""
    monkeypatch.setattr(inference.weights, "load", lambda card: MirrorIsLesion())
    t1w, brain = HEAD
    mirrored = replace(card(), mirror=True)
    probability = inference.predict(mirrored, {"T1w": t1w}, brain, t1w, "cpu", to_template=np.eye(4))
    np.testing.assert_allclose(center_of(probability), CENTER * (-1, 1, 1), atol=1)


def test_the_temperature_of_the_input_is_applied(bright):
    t1w, brain = HEAD
    plain = inference.predict(card(), {"T1w": t1w}, brain, t1w, "cpu").get_fdata()
    warm = replace(card(), calibration={"T1w": Calibration(temperature=2.0)})
    scaled = inference.predict(warm, {"T1w": t1w}, brain, t1w, "cpu").get_fdata()
    inside = (plain > 0.01) & (plain < 0.99)
    logits = np.log(plain[inside] / (1 - plain[inside]))
    np.testing.assert_allclose(scaled[inside], 1 / (1 + np.exp(-logits / 2)), atol=1e-4)
    other = replace(card(), calibration={"FLAIR": Calibration(temperature=2.0)})
    same = inference.predict(other, {"T1w": t1w}, brain, t1w, "cpu").get_fdata()
    np.testing.assert_array_equal(same, plain)
