"""Fetching must survive bad servers and never leave a wrong file in place."""

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
    """Serves :data:`CONTENT` by https, with a certificate of its own; the first path says how:
    ``/truncate``, ``/lie``, ``/stall``, ``/503``, ``/endless``, ``/ignore-range``, ``/plain``
    (redirects to http), ``/moved``, ``/good``. ``seen`` lists the path and range of every request."""
    monkeypatch.setenv("BIDS_STROKE_HOME", str(tmp_path / "cache"))
    seen, over = [], threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            how = self.path.strip("/")
            asked = re.match(r"bytes=(\d+)-", self.headers.get("Range", ""))
            seen.append((how, int(asked[1]) if asked else 0))
            start = int(asked[1]) if asked and how != "ignore-range" else 0
            if how.isdigit():
                self.send_error(int(how))
                return
            if how in ("plain", "moved"):
                self.send_response(302)
                address = running.address.replace("https", "http" if how == "plain" else "https")
                self.send_header("Location", f"{address}/good")
                self.end_headers()
                return
            body = CONTENT[start:]
            self.send_response(206 if start else 200)
            if start:
                last = len(CONTENT) - 1
                self.send_header("Content-Range", f"bytes {start}-{last}/{len(CONTENT)}")
            if how != "endless":
                self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if how == "lie":
                body = bytes(len(body))
            elif how == "endless":
                body = body * 2
            elif how in ("truncate", "stall"):
                body = body[: max(len(body) // 2, 1)]
            self.wfile.write(body)
            if how == "stall":
                self.wfile.flush()
                over.wait()

        def log_message(self, *_):
            pass

    with https(Handler, tmp_path, monkeypatch) as running:
        running.seen = seen
        yield running
        over.set()


def card(server, *how):
    return cards.make(
        weights=Weights(
            sha256=hashlib.sha256(CONTENT).hexdigest(),
            bytes=len(CONTENT),
            licence="CC0",
            url=[f"{server.address}/{one}" for one in how],
        )
    )


def test_once(server):
    one = card(server, "good")
    (path,) = fetch(one)
    assert path.read_bytes() == CONTENT
    assert weights.locate(one) == path
    fetch(one)
    assert server.seen == [("good", 0)]


def test_what_broke_off_is_resumed_from_a_mirror(server):
    (path,) = fetch(card(server, "truncate", "good"))
    assert path.read_bytes() == CONTENT
    (first, start), (second, resumed) = server.seen
    assert (first, start, second) == ("truncate", 0, "good")
    assert 0 < resumed <= len(CONTENT) // 2


def test_a_server_that_stalls_is_left(server):
    (path,) = fetch(card(server, "stall", "good"), timeout=0.2)
    assert path.read_bytes() == CONTENT
    assert server.seen[1][1] > 0


def test_a_server_that_knows_no_ranges_starts_anew(server):
    (path,) = fetch(card(server, "truncate", "ignore-range"))
    assert path.read_bytes() == CONTENT


@pytest.mark.parametrize("bad", ["lie", "503", "500", "404", "endless", "plain"])
def test_a_bad_mirror_is_passed_over(server, bad):
    (path,) = fetch(card(server, bad, "good"))
    assert path.read_bytes() == CONTENT


@pytest.mark.parametrize("bad", ["lie", "503", "endless", "stall", "plain"])
def test_nothing_wrong_is_left_in_place(server, bad, tmp_path):
    one = card(server, bad)
    with pytest.raises(DownloadError, match="cannot be downloaded") as caught:
        fetch(one, timeout=0.1)
    assert server.address in str(caught.value) and "\n" not in str(caught.value)
    assert not list((tmp_path / "cache").rglob("*.safetensors"))
    with pytest.raises(ModelError, match="are not here yet"):
        weights.locate(one)


def test_a_redirection_is_followed_to_https_alone(server):
    fetch(card(server, "moved"))
    assert [how for how, _ in server.seen] == ["moved", "good"]
    server.seen.clear()
    with pytest.raises(DownloadError, match="which is not https"):
        fetch(cards.make(name="other", weights=replace(card(server, "plain").weights, sha256="1" * 64)))
    assert {how for how, _ in server.seen} == {"plain"}


def test_a_server_that_is_not_who_it_says(server, monkeypatch):
    monkeypatch.delenv("REQUESTS_CA_BUNDLE")
    with pytest.raises(DownloadError, match="certificate"):
        fetch(card(server, "good"))


def test_a_damaged_file_is_fetched_again(server):
    one = card(server, "good")
    (path,) = fetch(one)
    path.write_bytes(b"damaged")
    assert fetch(one) == [path]
    assert path.read_bytes() == CONTENT


def test_a_cache_that_cannot_be_written(server, monkeypatch, tmp_path):
    (tmp_path / "taken").touch()
    monkeypatch.setenv("BIDS_STROKE_HOME", str(tmp_path / "taken"))
    with pytest.raises(DownloadError, match="cannot be written"):
        fetch(card(server, "good"))


def test_the_licence_is_shown_before_it_is_accepted(capsys):
    assert models.main(["fetch", "simstroke"]) == 2
    shown = capsys.readouterr()
    assert "Apache-2.0" in shown.out and "--accept-licence" in shown.err
    assert models.main(["fetch", "simstroke", "--accept-licence"]) == 0
