import hashlib
import socket
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import cards
import pytest
import torch
from safetensors.torch import save_file

from bids_stroke.errors import ModelError
from bids_stroke.models import unet3d, weights
from bids_stroke.models.card import Weights

ARGUMENTS = {"in_channels": 1, "channels": [4, 8], "strides": [2], "residual_units": 1}


def card(folder, *, file=None, url=None, sha256="0" * 64, network=None):
    return cards.make(
        network=network or {"family": "unet3d", "arguments": ARGUMENTS},
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


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("BIDS_STROKE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    return tmp_path / "cache"


@pytest.fixture
def server(tmp_path):
    """Serves ``tmp_path/served``; ``seen`` lists the paths asked for."""
    (tmp_path / "served").mkdir()
    seen = []

    class Handler(SimpleHTTPRequestHandler):
        def log_message(self, *_):
            seen.append(self.path)

    handler = partial(Handler, directory=tmp_path / "served")
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        running.address = f"http://127.0.0.1:{running.server_port}"
        running.seen = seen
        yield running
        running.shutdown()
        thread.join()


def test_load_gives_the_very_weights_ready_for_inference(tmp_path, file, network):
    loaded = weights.load(card(tmp_path, file=file.name, sha256=checksum(file)))
    assert not loaded.training
    batch = torch.randn(1, 1, 16, 16, 16)
    with torch.inference_mode():
        assert torch.equal(loaded(batch), network.eval()(batch))


def test_a_file_elsewhere_by_its_path(tmp_path, file):
    (tmp_path / "cards").mkdir()
    found = weights.locate(card(tmp_path / "cards", file=str(file), sha256=checksum(file)))
    assert found == file


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ModelError, match=r"absent\.safetensors.*tested, is missing"):
        weights.locate(card(tmp_path, file="absent.safetensors"))


def test_no_file_and_no_url(tmp_path):
    with pytest.raises(ModelError, match=r"card\.yaml names no weights"):
        weights.locate(card(tmp_path))


def test_one_changed_byte_is_refused(tmp_path, file):
    one = card(tmp_path, file=file.name, sha256=checksum(file))
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    with pytest.raises(ModelError, match=r"w\.safetensors does not match the checksum"):
        weights.load(one)


@pytest.mark.parametrize(
    "arguments",
    [
        ARGUMENTS | {"in_channels": 2},
        ARGUMENTS | {"channels": [4, 8, 16], "strides": [2, 2]},
        ARGUMENTS | {"colour": "blue"},
        None,
    ],
)
def test_weights_of_another_network_are_refused(tmp_path, file, arguments):
    other = {"family": "unet3d", "arguments": arguments} if arguments else {"family": "unet3d"}
    with pytest.raises(ModelError, match=r"card\.yaml do not fit its network"):
        weights.load(card(tmp_path, file=file.name, sha256=checksum(file), network=other))


def test_a_file_that_is_no_safetensors(tmp_path):
    path = tmp_path / "w.pt"
    torch.save({"a": torch.zeros(1)}, path)
    with pytest.raises(ModelError, match="do not fit"):
        weights.load(card(tmp_path, file="w.pt", sha256=checksum(path)))


@pytest.mark.parametrize("family", ["nnunet", "os", None])
def test_unknown_families_are_not_imported(tmp_path, file, family):
    other = {"family": family, "arguments": {}}
    with pytest.raises(ModelError, match="names the network family"):
        weights.load(card(tmp_path, file=file.name, sha256=checksum(file), network=other))


def test_a_url_is_downloaded_once(tmp_path, file, cache, server):
    file.rename(tmp_path / "served" / "w.safetensors")
    sha256 = checksum(tmp_path / "served" / "w.safetensors")
    one = card(tmp_path, url=f"{server.address}/w.safetensors", sha256=sha256)
    path = weights.locate(one)
    assert path.parent == cache and checksum(path) == sha256
    assert weights.locate(one) == path
    assert server.seen == ["/w.safetensors"]


def test_a_damaged_copy_is_downloaded_again(tmp_path, file, cache, server):
    file.rename(tmp_path / "served" / "w.safetensors")
    sha256 = checksum(tmp_path / "served" / "w.safetensors")
    one = card(tmp_path, url=f"{server.address}/w.safetensors", sha256=sha256)
    weights.locate(one).write_bytes(b"damaged")
    assert checksum(weights.locate(one)) == sha256


def test_a_download_with_another_checksum_is_refused_and_not_kept(tmp_path, cache, server):
    (tmp_path / "served" / "w.safetensors").write_bytes(b"something else")
    one = card(tmp_path, url=f"{server.address}/w.safetensors")
    with pytest.raises(ModelError, match="cannot be downloaded") as caught:
        weights.locate(one)
    assert server.address in str(caught.value) and "\n" not in str(caught.value)
    assert not [path for path in cache.rglob("*") if path.is_file()]


def test_an_absent_download(tmp_path, cache, server):
    with pytest.raises(ModelError, match=r"cannot be downloaded .*404"):
        weights.locate(card(tmp_path, url=f"{server.address}/absent"))


def test_without_network(tmp_path, cache):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))  # bound, not listening: connections are refused
        url = f"http://127.0.0.1:{free.getsockname()[1]}/w.safetensors"
        with pytest.raises(ModelError, match="download it elsewhere and name it as file") as caught:
            weights.locate(card(tmp_path, url=url))
    assert url in str(caught.value) and "\n" not in str(caught.value)


def test_a_cache_that_cannot_be_written(tmp_path, server, monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    (tmp_path / "taken").touch()
    monkeypatch.setenv("BIDS_STROKE_HOME", str(tmp_path / "taken"))
    with pytest.raises(ModelError, match="cannot be downloaded"):
        weights.locate(card(tmp_path, url=f"{server.address}/w"))


def test_the_cache_is_in_the_home_folder(tmp_path, file, server, monkeypatch):
    monkeypatch.delenv("BIDS_STROKE_HOME", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    file.rename(tmp_path / "served" / "w")
    sha256 = checksum(tmp_path / "served" / "w")
    path = weights.locate(card(tmp_path, url=f"{server.address}/w", sha256=sha256))
    assert path.parent == Path(tmp_path / "home/.cache/bids_stroke")
