"""Identification of the source datasets of derivatives."""

import json
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from bids_stroke.bids.source_datasets import SourceDatasets, links_in


def dataset(folder, **description):
    folder.mkdir(parents=True, exist_ok=True)
    content = {"Name": folder.name, "BIDSVersion": "1.10.0", **description}
    (folder / "dataset_description.json").write_text(json.dumps(content))
    return folder


@pytest.fixture
def other_disk(tmp_path):
    """A folder on another file system, like a mount of a container."""
    memory = Path("/dev/shm")
    if not memory.is_dir() or memory.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("there is no second file system")
    with TemporaryDirectory(dir=memory) as folder:
        yield Path(folder)


@pytest.mark.parametrize(
    ("path", "bids_dir", "output_dir", "expected"),
    [
        ("/raw/sub-01/x", "/raw", "/out", "bids:raw:sub-01/x"),
        ("/out/sub-01/x", "/raw", "/out", "bids::sub-01/x"),
        ("/raw/derivatives/out/sub-01/x", "/raw", "/raw/derivatives/out", "bids::sub-01/x"),
        ("/raw/sub-01/x", "/raw", "/raw/derivatives/out", "bids:raw:sub-01/x"),
        ("/all/raw/sub-01/x", "/all/raw", "/all", "bids:raw:sub-01/x"),
        ("/masks/sub-01/x", "/raw", "/out", "bids:masks:sub-01/x"),
        ("/rawer/sub-01/x", "/raw", "/out", "x"),
    ],
)
def test_uri(path, bids_dir, output_dir, expected):
    sources = SourceDatasets(Path(bids_dir), Path(output_dir), Path("/masks"))
    assert sources.uri(path) == expected


def test_masks_inside_the_dataset_belong_to_it():
    masks = Path("/raw/derivatives/masks")
    sources = SourceDatasets(Path("/raw"), Path("/out"), masks)
    assert sources.uri(masks / "sub-01/x") == "bids:raw:derivatives/masks/sub-01/x"
    assert list(sources.roots) == ["raw"]


@pytest.mark.parametrize(
    ("folders", "link"),
    [
        (("raw", "raw/derivatives/out"), "../.."),
        (("all/raw", "all"), "raw"),
        (("study/raw", "study/out"), "../raw"),
    ],
)
def test_links_within_one_tree_are_relative(tmp_path, folders, link):
    raw, out = (tmp_path / folder for folder in folders)
    described = SourceDatasets(dataset(raw), out).describe()
    assert described["DatasetLinks"] == {"raw": link}
    assert described["SourceDatasets"] == [{"Name": raw.name, "URL": link}]


def test_mount_points_are_not_recorded(tmp_path, other_disk):
    """Only the name is recorded for a dataset without DOI on another file system."""
    raw, out = dataset(tmp_path / "data", Name="ARC"), other_disk / "out"
    described = SourceDatasets(raw, out).describe()
    assert described == {"SourceDatasets": [{"Name": "ARC"}], "DatasetLinks": {}}
    assert str(tmp_path) not in json.dumps(described)


@pytest.mark.parametrize(
    ("given", "doi"),
    [
        ("doi:10.18112/openneuro.ds004884.v1.0.1", "10.18112/openneuro.ds004884.v1.0.1"),
        ("https://doi.org/10.18112/openneuro.ds004884.v1.0.1", "10.18112/openneuro.ds004884.v1.0.1"),
        ("10.1234/a", "10.1234/a"),
        ("pending", None),
    ],
)
def test_a_doi_identifies_a_dataset_anywhere(tmp_path, other_disk, given, doi):
    raw = dataset(tmp_path / "data", Name="ARC", DatasetDOI=given)
    described = SourceDatasets(raw, other_disk).describe()
    identifiers = {"URL": f"https://doi.org/{doi}", "DOI": f"doi:{doi}"} if doi else {}
    assert described["SourceDatasets"] == [{"Name": "ARC", **identifiers}]
    assert described["DatasetLinks"] == ({"raw": f"doi:{doi}"} if doi else {})


def test_a_mask_dataset_has_a_separate_link(tmp_path):
    raw, masks = dataset(tmp_path / "raw"), dataset(tmp_path / "masks", DatasetDOI="doi:10.1234/m")
    described = SourceDatasets(raw, tmp_path / "out", masks).describe()
    assert described["DatasetLinks"] == {"raw": "../raw", "masks": "../masks"}
    assert [source["Name"] for source in described["SourceDatasets"]] == ["raw", "masks"]


def test_existing_links_are_preserved(tmp_path, other_disk):
    """A link added by the user, or by a run outside of a container, but no mount path."""
    links = {"raw": "../bids", "other": "file:///data"}
    out = dataset(other_disk / "out", DatasetLinks=links)
    described = SourceDatasets(dataset(tmp_path / "data"), out).describe(links_in(out))
    assert described["DatasetLinks"] == {"raw": "../bids"}


@pytest.mark.parametrize("text", [None, "{", "[]", '{"DatasetDOI": 3, "DatasetLinks": [1]}'])
def test_a_dataset_without_a_usable_description(tmp_path, text):
    raw = tmp_path / "raw"
    raw.mkdir()
    if text:
        (raw / "dataset_description.json").write_text(text)
    assert links_in(raw) == {}
    assert SourceDatasets(raw, tmp_path / "out").describe()["SourceDatasets"] == [{"URL": "../raw"}]
