"""Atlas cards, their download, and the command bids_stroke-atlases."""

import hashlib

import nibabel as nib
import numpy as np
import pytest
from bids_stroke.pipelines.measure import init_measure_wf
from servers import https, sending

from bids_stroke.atlases import atlas_cards, supplied
from bids_stroke.atlases.maps import Maps
from bids_stroke.cli.atlases import main
from bids_stroke.errors import ResourceError, UsageError
from bids_stroke.spatial import image, templates

CARD = """
name: halves
atlas: Halves
space: MNI152NLin2009aSym
source: {url: "URL", sha256: SHA256, bytes: 10}
regions: {1: left, 40: right}
licence: Ask them.
citation: Them 2026
"""


def halves(folder):
    """Write an atlas of the two sides of the template, with labels stored as numbers with decimals."""
    grid = templates.template_grid()
    x = nib.affines.apply_affine(grid.affine, np.moveaxis(np.indices(grid.shape), 0, -1))[..., 0]
    labels = np.where(x < 0, 1.0, 40.0)
    return image.save(nib.Nifti1Image(labels, grid.affine), folder / "halves.nii.gz")


def write_card(folder, text=CARD):
    path = folder / "card.yaml"
    path.write_text(text.replace("URL", "https://x/y.nii").replace("SHA256", "0" * 64))
    return path


def test_an_atlas_is_downloaded_verified_and_measured(tmp_path, monkeypatch, capsys):
    content = halves(tmp_path).read_bytes()
    monkeypatch.setenv("BIDS_STROKE_HOME", str(tmp_path / "cache"))
    requests = []

    with https(sending(content, requests), tmp_path, monkeypatch) as server:
        path = tmp_path / "card.yaml"
        digest = hashlib.sha256(content).hexdigest()
        text = CARD.replace("URL", f"{server.address}/halves.nii.gz").replace("SHA256", digest)
        path.write_text(text.replace("bytes: 10", f"bytes: {len(content)}"))
        card = atlas_cards.load_card(path)
        maps = Maps(atlases=((card.image, path),))
        with pytest.raises(ResourceError, match="halves has not been downloaded; run bids_stroke-atl"):
            maps.check()
        assert main(["fetch", str(path)]) == 2
        assert "Ask them." in capsys.readouterr().out and requests == []
        for _ in range(2):
            assert main(["fetch", str(path), "--accept-license"]) == 0
        assert requests == ["/halves.nii.gz"]
    assert "Halves" in maps.check() and card.image.read_bytes() == content
    lesion = np.zeros(templates.template_grid().shape, np.uint8)
    lesion[60:110, 100:110, 100:110] = 1  # from x = -38 to 11 mm
    atlas = supplied.load_atlas(card.image, path)
    table = supplied.measure(image.like(lesion, templates.template_grid()), atlas).set_index("region")
    assert atlas.label == "Halves" and table["lesion_share"].to_dict() == {"left": 0.76, "right": 0.24}
    materials = init_measure_wf(maps=maps).__materials__
    assert "Atlas halves Them 2026. License: Ask them." in materials


def test_the_atlases_of_this_package(capsys):
    assert main(["list"]) == 0
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith("arterial-territories\tarterial territories, level 2\t")
    card = atlas_cards.load_card("arterial-territories")
    assert card.source.url.startswith("https://") and len(card.source.sha256) == 64
    assert len(set(card.regions.values())) == len(card.regions) == 10
    assert main(["show", "arterial-territories"]) == 0
    shown = capsys.readouterr().out
    assert "CC BY-SA 4.0" in shown and "https://doi.org/10.1038/s41597-022-01923-0" in shown


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("atlas: Halves", "atlas: the halves", "atlas and space must be letters and digits"),
        ("atlas: Halves", "atlas: 12", "must be text"),
        ("1: left", "0: left", "regions must be names by label"),
        ("1: left", "1: 2", "regions must be names by label"),
        ("name: halves", "title: halves", "unexpected keyword argument 'title'"),
        ("bytes: 10", "size: 10", "unexpected keyword argument 'size'"),
        (CARD, "[]", "is not a valid atlas card"),
    ],
)
def test_invalid_cards(tmp_path, old, new, reason):
    with pytest.raises(UsageError, match=reason) as caught:
        atlas_cards.load_card(write_card(tmp_path, CARD.replace(old, new)))
    assert "the keys are name, atlas, space, source, regions, licence, citation." in str(caught.value)


def test_a_card_that_does_not_exist(tmp_path):
    with pytest.raises(UsageError, match=r"Unknown atlas .*/missing\.yaml; use a NIfTI file"):
        atlas_cards.load_card(tmp_path / "missing.yaml")
