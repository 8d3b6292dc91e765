"""Download of tract files, and the command bids_stroke-tracts."""

import hashlib

import pytest
from servers import https, sending

from bids_stroke.atlases import tract_cards, tracts
from bids_stroke.cli.tracts import main
from bids_stroke.errors import ResourceError


def test_a_tract_is_downloaded_once_and_verified(tmp_path, monkeypatch, capsys):
    content = b"not a map, but the right bytes"
    monkeypatch.setenv("BIDS_STROKE_HOME", str(tmp_path / "cache"))
    digest, requests = hashlib.sha256(content).hexdigest(), []

    with https(sending(content, requests), tmp_path, monkeypatch) as server:
        (tmp_path / "card.yaml").write_text(
            "{name: remote, atlas: Remote, space: MNI152NLin2009aSym, file: {L: l.nii, R: r.nii},"
            " licence: Ask them., sources: {"
            + ", ".join(
                f"{name}: {{url: {server.address}/{name}, sha256: {digest}, bytes: {len(content)}}}"
                for name in ("l.nii", "r.nii")
            )
            + "}}"
        )
        card = str(tmp_path / "card.yaml")
        with pytest.raises(ResourceError, match="bids_stroke-tracts fetch"):
            tracts.load_tract(card)
        assert main(["fetch", card]) == 2
        assert "Ask them." in capsys.readouterr().out and requests == []
        assert main(["fetch", card, "--accept-license"]) == 0
        assert main(["fetch", card, "--accept-license"]) == 0
        assert requests == ["/l.nii", "/r.nii"]
        paths = tract_cards.load_card(card).paths
        assert [path.read_bytes() for path in paths] == [content] * 2
        assert main(["show", card]) == 0 and "Ask them." in capsys.readouterr().out


def test_the_tracts_of_this_package(capsys):
    assert main(["list"]) == 0
    names = [line.split("\t")[0] for line in capsys.readouterr().out.splitlines()]
    assert names == ["juelich-cst", "s-matt-m1", "xtract-cst"]
    for name in names[1:]:
        card = tract_cards.load_card(name)
        assert sorted(card.sources) == sorted(card.files) and card.axis == "z"
        assert all(source.url.startswith("https://") for source in card.sources.values())
        assert all(len(source.sha256) == 64 for source in card.sources.values())
