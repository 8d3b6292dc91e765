import hashlib

import cards
import pytest
import torch
from safetensors.torch import load_file, save_file

from bids_stroke.errors import ModelError
from bids_stroke.models import weights
from bids_stroke.models.card import Network, Weights
from bids_stroke.models.networks import unet3d

ARGUMENTS = {"in_channels": 1, "channels": [4, 8], "strides": [2], "residual_units": 1}


def card(folder, *, file=None, url=None, sha256="0" * 64, network=None):
    return cards.make(
        network=network or Network("unet3d", ARGUMENTS),
        weights=Weights(sha256=sha256, bytes=1, licence="CC0", file=file, url=url),
        path=folder / "card.yaml",
    )


def checksum(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture
def network():
    torch.manual_seed(0)
    return unet3d.build(**ARGUMENTS)


@pytest.fixture
def file(tmp_path, network):
    path = tmp_path / "w.safetensors"
    save_file(network.state_dict(), path)
    return path


def test_load_returns_the_network_in_evaluation_mode(tmp_path, file, network):
    loaded = weights.load(card(tmp_path, file=file.name, sha256=checksum(file)))
    assert not loaded.training
    batch = torch.randn(1, 1, 16, 16, 16)
    with torch.inference_mode():
        assert torch.equal(loaded(batch), network.eval()(batch))


def test_a_file_in_another_folder(tmp_path, file):
    (tmp_path / "cards").mkdir()
    path = weights.locate(card(tmp_path / "cards", file=str(file), sha256=checksum(file)))
    assert path == file


def test_the_error_names_a_missing_file(tmp_path):
    with pytest.raises(ModelError, match=r"missing\.safetensors.*tested, is missing"):
        weights.locate(card(tmp_path, file="missing.safetensors"))


def test_no_file_and_no_url(tmp_path):
    with pytest.raises(ModelError, match=r"card\.yaml has no weights"):
        weights.locate(card(tmp_path))


def test_a_file_with_a_changed_byte_is_rejected(tmp_path, file):
    model = card(tmp_path, file=file.name, sha256=checksum(file))
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    with pytest.raises(ModelError, match=r"w\.safetensors does not match the checksum"):
        weights.load(model)


@pytest.mark.parametrize(
    "arguments",
    [
        ARGUMENTS | {"in_channels": 2},
        ARGUMENTS | {"channels": [4, 8, 16], "strides": [2, 2]},
        ARGUMENTS | {"color": "blue"},
        None,
    ],
)
def test_weights_of_another_network_are_rejected(tmp_path, file, arguments):
    other = Network("unet3d", arguments) if arguments else Network("unet3d")
    with pytest.raises(ModelError, match=r"card\.yaml do not fit its network"):
        weights.load(card(tmp_path, file=file.name, sha256=checksum(file), network=other))


def test_a_file_of_another_format_is_rejected(tmp_path):
    path = tmp_path / "w.pt"
    torch.save({"a": torch.zeros(1)}, path)
    with pytest.raises(ModelError, match="is not a safetensors file"):
        weights.load(card(tmp_path, file="w.pt", sha256=checksum(path)))


@pytest.mark.parametrize("family", ["nnunet", "os", None])
def test_unknown_families_are_not_imported(tmp_path, file, family):
    other = Network(family)
    with pytest.raises(ModelError, match="has the unknown network family"):
        weights.load(card(tmp_path, file=file.name, sha256=checksum(file), network=other))


def test_weights_that_are_not_downloaded(tmp_path, monkeypatch):
    monkeypatch.setenv("BIDS_STROKE_HOME", str(tmp_path / "cache"))
    with pytest.raises(ModelError, match=r"bids_stroke-models fetch .*card\.yaml"):
        weights.locate(card(tmp_path, url="https://127.0.0.1:9/w.safetensors"))


def test_written_weights_have_the_permissions_of_other_files(tmp_path, network):
    other = tmp_path / "other"
    other.touch()
    path = weights.save(network.state_dict(), tmp_path / "new.safetensors")
    assert path.stat().st_mode == other.stat().st_mode
    for name, values in load_file(path).items():
        assert torch.equal(values, network.state_dict()[name])
