"""How the derivatives identify the datasets that they are made from."""

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
    """A folder on another file system, as the mounts of a container are."""
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


def test_masks_in_the_dataset_itself_are_files_of_it():
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
def test_a_path_within_one_tree_is_relative(tmp_path, folders, link):
    raw, out = (tmp_path / folder for folder in folders)
    described = SourceDatasets(dataset(raw), out).describe()
    assert described["DatasetLinks"] == {"raw": link}
    assert described["SourceDatasets"] == [{"Name": raw.name, "URL": link}]


def test_a_mount_is_not_named(tmp_path, other_disk):
    """Of a dataset without DOI on another file system, only the name is known."""
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
    known = {"URL": f"https://doi.org/{doi}", "DOI": f"doi:{doi}"} if doi else {}
    assert described["SourceDatasets"] == [{"Name": "ARC", **known}]
    assert described["DatasetLinks"] == ({"raw": f"doi:{doi}"} if doi else {})


def test_a_dataset_of_masks_has_its_own_link(tmp_path):
    raw, masks = dataset(tmp_path / "raw"), dataset(tmp_path / "masks", DatasetDOI="doi:10.1234/m")
    described = SourceDatasets(raw, tmp_path / "out", masks).describe()
    assert described["DatasetLinks"] == {"raw": "../raw", "masks": "../masks"}
    assert [source["Name"] for source in described["SourceDatasets"]] == ["raw", "masks"]


def test_a_link_that_is_known_stays(tmp_path, other_disk):
    """A link that the user added, or that a run outside of a container wrote; no path of a mount."""
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
