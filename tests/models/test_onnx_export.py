"""Networks in ONNX, run by onnxruntime."""

import json
import sys

import cards
import nnunets
import numpy as np
import pytest
import torch
from bidsets import scan

from bids_stroke.cli.models import main
from bids_stroke.evaluation.metrics import dice
from bids_stroke.models import catalog, inference, onnx_export, weights, writing
from bids_stroke.models.card import Network
from bids_stroke.models.nnunet.inference import foreground_logit
from bids_stroke.settings import DEFAULT_MODEL

pytest.importorskip("onnx")
pytest.importorskip("onnxscript")
onnxruntime = pytest.importorskip("onnxruntime")

UNET = Network("unet3d", {"in_channels": 4, "channels": [8, 16], "strides": [2], "residual_units": 1})


def write_card(folder, network, **changes):
    """Write a card whose network has random weights; return its path."""
    torch.manual_seed(0)
    card = cards.make(network=network, **changes)
    return writing.write(writing.describe(card), [weights.build(network).state_dict()], folder)


def session(path):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def run(path, images):
    return session(path).run(["logits"], {"images": images})[0]


def noise(card):
    return np.random.default_rng(0).normal(size=onnx_export.input_shape(card)).astype(np.float32)


def expected(card, images):
    with torch.inference_mode():
        output = weights.load(card)(torch.from_numpy(images))
    return (foreground_logit(output) if card.is_nnunet else output).numpy()


def agreement(values, others):
    """Return the lowest Dice of the voxels above a quantile of the first values."""
    levels = np.quantile(values, [0.1, 0.5, 0.9, 0.99])
    return min(dice(values > level, others > level) for level in levels)


def test_single_and_half_precision(tmp_path, capsys):
    path = write_card(tmp_path, UNET, optional=("T1w", "FLAIR"), tile=(16, 24, 32), mirror=True)
    for options in ([], ["--half"]):
        assert main(["onnx", str(path), str(tmp_path / "out"), *options]) == 0
    full, half = capsys.readouterr().out.split()
    assert (full, half) == tuple(str(tmp_path / f"out/tested{end}.onnx") for end in ("", "-float16"))
    card = catalog.load(path)
    images = noise(card)
    assert images.shape == (1, 4, 16, 24, 32)  # two contrasts and their mirror images
    logits = expected(card, images)
    np.testing.assert_allclose(run(full, images), logits, atol=1e-4)
    in_half = run(half, images)
    assert in_half.dtype == np.float32 and agreement(logits, in_half) >= 0.999


def test_metadata(tmp_path):
    path = write_card(tmp_path, UNET, optional=("T1w", "FLAIR"), tile=(16, 16, 16), mirror=True)
    (file,) = onnx_export.export_onnx(catalog.load(path), tmp_path / "out")
    stored = session(file).get_modelmeta().custom_metadata_map
    values = {name: json.loads(text) for name, text in stored.items()}
    assert values["contrasts"] == ["T1w", "FLAIR"] and values["mirror"] is True
    assert values["tile"] == [16, 16, 16] and values["spacing"] == [2, 2, 2]
    assert values["threshold"] == 0.5 and values["min_component_mm3"] == 10
    assert values["license"] == writing.UNCHOSEN


@pytest.mark.slow
def test_network_of_slices(tmp_path):
    network = Network("planar", {"network": "unet", "features": 4})
    path = write_card(tmp_path, network, tile=(64, 1, 96))
    card = catalog.load(path)
    (file,) = onnx_export.export_onnx(card, tmp_path / "out")
    images = noise(card)
    assert images.shape == (1, 1, 64, 96)
    np.testing.assert_allclose(run(file, images), expected(card, images), atol=1e-4)


@pytest.mark.slow
def test_folds_of_an_nnunet(tmp_path):
    network = nnunets.architecture(anisotropic=True)
    folder = nnunets.write(
        tmp_path / "model", network, (6, 1.5, 1.5), (8, 32, 24), folds=2, transpose=(2, 0, 1), steps=1
    )
    card = catalog.load(f"nnunet:{folder}")
    files = onnx_export.export_onnx(card, tmp_path / "out")
    images = noise(card)
    assert [file.name[-11:] for file in files] == ["-fold0.onnx", "-fold1.onnx"]
    assert images.shape == (1, 1, 8, 32, 24)
    np.testing.assert_allclose(run(files[0], images), expected(card, images), atol=1e-4)
    assert not np.allclose(run(files[1], images), expected(card, images), atol=1e-2)


@pytest.mark.slow
def test_embedded_model(tmp_path):
    """The masks of a head with a lesion are equal, and half precision halves the size."""
    card = catalog.load(DEFAULT_MODEL)
    img, _ = scan(1)
    brain = inference.image.like(img.get_fdata() != 0, img, np.uint8)
    channels, _ = inference.prepare(card, {"T1w": img}, brain, tmp_path)
    images = np.zeros(onnx_export.input_shape(card), np.float32)
    part = tuple(slice(min(sides)) for sides in zip(images.shape[1:], channels.shape, strict=True))
    images[0][part] = channels[part]
    inside = images[0, :1] != 0  # the output outside the brain is not used
    logits = expected(card, images)[0][inside]
    (full,) = onnx_export.export_onnx(card, tmp_path)
    (half,) = onnx_export.export_onnx(card, tmp_path, half=True)
    assert half.stat().st_size < 0.52 * full.stat().st_size
    for file in (full, half):
        predicted = run(file, images)[0][inside]
        assert agreement(logits, predicted) >= 0.999
        assert dice(predicted > 0, logits > 0) >= 0.999


def test_missing_package(tmp_path, monkeypatch, capsys):
    path = write_card(tmp_path, UNET, optional=("T1w", "FLAIR"), mirror=True)
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    assert main(["onnx", str(path), str(tmp_path)]) == 1
    assert "install them with pip install bids_stroke[onnx]." in capsys.readouterr().err
