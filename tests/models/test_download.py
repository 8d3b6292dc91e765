"""Downloads must survive faulty servers and never leave a wrong file in the cache."""

import hashlib
import re
import threading
from dataclasses import replace
from http.server import BaseHTTPRequestHandler

import cards
import pytest
from servers import https

from bids_stroke.cli import models
from bids_stroke.errors import DownloadError, ModelError
from bids_stroke.models import weights
from bids_stroke.models.card import Weights
from bids_stroke.models.download import fetch

CONTENT = bytes(range(256)) * 4000


@pytest.fixture
def server(monkeypatch, tmp_path):
    """HTTPS server of :data:`CONTENT` with a self-signed certificate.

    The path selects the behavior: ``/truncate``, ``/lie``, ``/stall``, ``/503``, ``/endless``,
    ``/ignore-range``, ``/plain`` (redirects to http), ``/moved``, ``/good``. ``requests`` lists the
    path and the start of the range of every request.
    """
    monkeypatch.setenv("BIDS_STROKE_HOME", str(tmp_path / "cache"))
    requests, finished = [], threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            behavior = self.path.strip("/")
            requested = re.match(r"bytes=(\d+)-", self.headers.get("Range", ""))
            requests.append((behavior, int(requested[1]) if requested else 0))
            start = int(requested[1]) if requested and behavior != "ignore-range" else 0
            if behavior.isdigit():
                self.send_error(int(behavior))
                return
            if behavior in ("plain", "moved"):
                self.send_response(302)
                address = running.address.replace("https", "http" if behavior == "plain" else "https")
                self.send_header("Location", f"{address}/good")
                self.end_headers()
                return
            body = CONTENT[start:]
            self.send_response(206 if start else 200)
            if start:
                last = len(CONTENT) - 1
                self.send_header("Content-Range", f"bytes {start}-{last}/{len(CONTENT)}")
            if behavior != "endless":
                self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if behavior == "lie":
                body = bytes(len(body))
            elif behavior == "endless":
                body = body * 2
            elif behavior in ("truncate", "stall"):
                body = body[: max(len(body) // 2, 1)]
            self.wfile.write(body)
            if behavior == "stall":
                self.wfile.flush()
                finished.wait()

        def log_message(self, *_):
            pass

    with https(Handler, tmp_path, monkeypatch) as running:
        running.requests = requests
        yield running
        finished.set()


def card(server, *behaviors):
    return cards.make(
        weights=Weights(
            sha256=hashlib.sha256(CONTENT).hexdigest(),
            bytes=len(CONTENT),
            licence="CC0",
            url=[f"{server.address}/{behavior}" for behavior in behaviors],
        )
    )


def test_weights_are_downloaded_once(server):
    model = card(server, "good")
    (path,) = fetch(model)
    assert path.read_bytes() == CONTENT
    assert weights.locate(model) == path
    fetch(model)
    assert server.requests == [("good", 0)]


def test_an_interrupted_download_is_resumed_from_a_mirror(server):
    (path,) = fetch(card(server, "truncate", "good"))
    assert path.read_bytes() == CONTENT
    (first, start), (second, resumed) = server.requests
    assert (first, start, second) == ("truncate", 0, "good")
    assert 0 < resumed <= len(CONTENT) // 2


def test_a_stalled_download_is_resumed_from_a_mirror(server):
    (path,) = fetch(card(server, "stall", "good"), timeout=0.2)
    assert path.read_bytes() == CONTENT
    assert server.requests[1][1] > 0


def test_a_server_without_range_requests(server):
    (path,) = fetch(card(server, "truncate", "ignore-range"))
    assert path.read_bytes() == CONTENT


@pytest.mark.parametrize("bad", ["lie", "503", "500", "404", "endless", "plain"])
def test_a_faulty_mirror_is_skipped(server, bad):
    (path,) = fetch(card(server, bad, "good"))
    assert path.read_bytes() == CONTENT


@pytest.mark.parametrize("bad", ["lie", "503", "endless", "stall", "plain"])
def test_no_wrong_file_is_left_in_the_cache(server, bad, tmp_path):
    model = card(server, bad)
    with pytest.raises(DownloadError, match="cannot be downloaded") as caught:
        fetch(model, timeout=0.1)
    assert server.address in str(caught.value) and "\n" not in str(caught.value)
    assert not list((tmp_path / "cache").rglob("*.safetensors"))
    with pytest.raises(ModelError, match="are not downloaded yet"):
        weights.locate(model)


def test_only_redirects_to_https_are_followed(server):
    fetch(card(server, "moved"))
    assert [behavior for behavior, _ in server.requests] == ["moved", "good"]
    server.requests.clear()
    with pytest.raises(DownloadError, match="which is not https"):
        fetch(cards.make(name="other", weights=replace(card(server, "plain").weights, sha256="1" * 64)))
    assert {behavior for behavior, _ in server.requests} == {"plain"}


def test_a_server_with_an_invalid_certificate(server, monkeypatch):
    monkeypatch.delenv("REQUESTS_CA_BUNDLE")
    with pytest.raises(DownloadError, match="certificate"):
        fetch(card(server, "good"))


def test_a_damaged_file_is_downloaded_again(server):
    model = card(server, "good")
    (path,) = fetch(model)
    path.write_bytes(b"damaged")
    assert fetch(model) == [path]
    assert path.read_bytes() == CONTENT


def test_a_cache_that_cannot_be_written(server, monkeypatch, tmp_path):
    (tmp_path / "taken").touch()
    monkeypatch.setenv("BIDS_STROKE_HOME", str(tmp_path / "taken"))
    with pytest.raises(DownloadError, match="cannot be written"):
        fetch(card(server, "good"))


def test_the_license_is_shown_before_it_is_accepted(capsys):
    assert models.main(["fetch", "simstroke"]) == 2
    output = capsys.readouterr()
    assert "Apache-2.0" in output.out and "--accept-license" in output.err
    assert models.main(["fetch", "simstroke", "--accept-license"]) == 0
