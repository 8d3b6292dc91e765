import os
import shutil
from dataclasses import replace

import cards
import pytest

from bids_stroke.bids import logs, record
from bids_stroke.bids.record import Record
from bids_stroke.bids.sessions import Session
from bids_stroke.bids.source_datasets import SourceDatasets
from bids_stroke.errors import DatasetError

CARD = cards.make()


@pytest.fixture
def session(tmp_path):
    images = {contrast: tmp_path / f"sub-01_{contrast}.nii.gz" for contrast in ("T1w", "FLAIR")}
    for path in images.values():
        path.write_bytes(b"1234")
        os.utime(path, ns=(10**18, 10**18))
    (tmp_path / "mask.nii.gz").write_bytes(b"12")
    return Session("01", None, images, "T1w")


def identity(session, card=CARD, **changes):
    settings = {"brain_extraction": "hd-bet", "output_spaces": ("MNI152NLin2009aSym",)}
    folder = session.images["T1w"].parent
    contents = record.read_inputs(session, SourceDatasets(folder, folder / "out"))
    return record.identity(contents, card=card.identity(), **(settings | changes))


def test_identity_is_stable(session):
    assert identity(session) == identity(replace(session, notes=("other words",)))
    again = replace(session, images=dict(reversed(session.images.items())))
    assert identity(again) == identity(session)


def test_identity_depends_on_image_content_only(session):
    """It does not depend on modification times or the path of the dataset. A change of one byte is
    detected even if the time is restored."""
    before = identity(session)
    path = session.images["FLAIR"]
    os.utime(path, ns=(10**18, 10**18 + 1))
    assert identity(session) == before
    moved = shutil.copytree(path.parent, path.parent.parent / "another")
    images = {contrast: moved / path.name for contrast, path in session.images.items()}
    assert identity(replace(session, images=images)) == before
    path.write_bytes(b"1235")
    os.utime(path, ns=(10**18, 10**18))
    other = identity(session)
    path.write_bytes(b"12345")
    longer = identity(session)
    path.unlink()
    assert len({before, other, longer, identity(session)}) == 4


def test_identity_changes_with_which_images(session, tmp_path):
    variants = (
        session,
        replace(session, images={"T1w": session.images["T1w"]}),
        replace(session, brain_mask=tmp_path / "mask.nii.gz"),
    )
    assert len(set(map(identity, variants))) == 3


def test_identity_changes_with_the_model(session):
    variants = (
        CARD,
        replace(CARD, name="other"),
        replace(CARD, weights=replace(CARD.weights, sha256="1")),
        replace(CARD, threshold=0.3),
        replace(CARD, min_component_mm3=20),
    )
    assert len({identity(session, card) for card in variants}) == len(variants)


def test_identity_changes_with_settings(session):
    variants = ({}, {"brain_extraction": "deepbet"}, {"output_spaces": ("other",)})
    assert len({identity(session, **changes) for changes in variants}) == 3


def test_identity_changes_with_the_version(session, monkeypatch):
    before = identity(session)
    monkeypatch.setattr(record, "__version__", "99")
    assert identity(session) != before


def test_complete_requires_ok_and_all_outputs(tmp_path):
    outputs = {"lesion_mask": "sub-01/anat/a.nii.gz", "components": "sub-01/anat/b.tsv"}
    for path in map(tmp_path.joinpath, outputs.values()):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    entry = Record("sub-01", "x", status="ok", outputs=outputs)
    assert entry.complete(tmp_path)
    assert not replace(entry, status="failed").complete(tmp_path)
    (tmp_path / outputs["components"]).unlink()
    assert not entry.complete(tmp_path)
    (tmp_path / outputs["components"]).mkdir()
    assert not entry.complete(tmp_path)


def test_write_and_read(tmp_path):
    entry = Record("sub-01_ses-1", "x", error="Büro", steps={"a": 1.5}, contrasts=["T1w"])
    path = entry.write(tmp_path)
    assert path == tmp_path / "logs" / "sub-01_ses-1_run.json"
    assert record.read(tmp_path, "sub-01_ses-1") == entry
    assert record.read(tmp_path, "sub-02") is None


@pytest.mark.parametrize(
    "damage",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b'"text"',
        b"{}",
        b'{"name": "sub-01"}',
        b"\xff\xfe",
        b'{"name": "sub-01", "identity": "x", "of_a_later_version": 1}',
    ],
)
def test_a_damaged_record_is_none(tmp_path, damage):
    for name in ("sub-02", "sub-01", "sub-03_ses-a"):
        Record(name, "x").write(tmp_path)
    logs.record_path(tmp_path, "sub-01").write_bytes(damage)
    assert record.read(tmp_path, "sub-01") is None
    (tmp_path / "logs/sub-04.log").touch()
    (tmp_path / "logs/sub-02_run.log").touch()
    error_by_name = {entry.name: entry.error for entry in record.read_all(tmp_path)}
    unfinished = [name for name, error in error_by_name.items() if error]
    assert list(error_by_name) == ["sub-01", "sub-02", "sub-03_ses-a", "sub-04"]
    assert unfinished == ["sub-01", "sub-04"]


def test_outputs_by_role(tmp_path):
    outputs = {
        "lesion_mask": "a",
        "lesion_mask@FLAIR": "b",
        "lesion_mask@MNI": "c",
        "lesion_masks@MNI": "d",
    }
    entry = Record("sub-01", "x", outputs=outputs)
    assert entry.path(tmp_path, "lesion_mask") == tmp_path / "a"
    assert entry.path(tmp_path, "lesion_mask", "T2w") is None
    assert entry.paths(tmp_path, "lesion_mask") == {"FLAIR": tmp_path / "b", "MNI": tmp_path / "c"}
    (tmp_path / "b").touch()
    assert list(entry.files(tmp_path)) == [("lesion_mask", tmp_path / "b")]
    with pytest.raises(DatasetError, match=r"sub-01_run\.json lists no output lesion_mask@T2w; run"):
        entry.require(tmp_path, "lesion_mask", "T2w")


def test_a_record_of_outputs_without_roles_is_none(tmp_path):
    Record("sub-01", "x", outputs=["sub-01/anat/a.nii.gz"]).write(tmp_path)
    assert record.read(tmp_path, "sub-01") is None


def test_no_records(tmp_path):
    assert record.read_all(tmp_path) == []
