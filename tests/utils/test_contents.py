"""Tests of the identification of files by their content."""

import hashlib
import os

import pytest

from bids_stroke.utils import files
from bids_stroke.utils.contents import content_key, read_contents

KEY = "MD5E-s4--81dc9bdb52d04dc20036dbd8313ed055.nii.gz"
OLD_TIME = 10**18  # ns


def write(path, data, time=OLD_TIME):
    path.write_bytes(data)
    os.utime(path, ns=(time, time))
    return path


def test_regular_file_is_identified_by_its_checksum(tmp_path):
    path = write(tmp_path / "a", b"1234")
    assert content_key(path) == hashlib.sha256(b"1234").hexdigest()


@pytest.mark.parametrize("present", [True, False])
def test_git_annex_link_is_identified_by_its_key(tmp_path, present):
    """The key does not depend on whether the content is present (``datalad drop``, ``datalad get``)."""
    target = tmp_path / f".git/annex/objects/f8/9g/{KEY}/{KEY}"
    if present:
        target.parent.mkdir(parents=True)
        target.write_bytes(b"1234")
    link = tmp_path / "sub-01_T1w.nii.gz"
    link.symlink_to(os.path.relpath(target, tmp_path))
    assert content_key(link) == KEY


def test_git_annex_pointer_file_is_identified_by_its_key(tmp_path):
    path = write(tmp_path / "a", f"/annex/objects/{KEY}\n".encode())
    assert content_key(path) == KEY


def test_other_link_is_identified_by_its_target(tmp_path):
    link = tmp_path / "link"
    link.symlink_to(write(tmp_path / "a", b"1234"))
    assert content_key(link) == content_key(tmp_path / "a")


@pytest.mark.parametrize("make", [os.mkdir, os.mkfifo, lambda path: None])
def test_path_without_regular_file_has_no_content(tmp_path, make):
    make(tmp_path / "a")
    contents = read_contents({"a": tmp_path / "a"})
    assert (contents.keys, contents.status) == ({"a": None}, {})


def test_file_is_read_again_when_its_status_changes(tmp_path):
    """Changing one byte changes the status, even with the same size and modification time."""
    path = write(tmp_path / "a", b"1234")
    first = read_contents({"a": path})
    unchanged = read_contents({"a": path}, type(first)({"a": "previous key"}, first.status))
    assert unchanged.keys == {"a": "previous key"}
    write(path, b"1235")
    changed = read_contents({"a": path}, first)
    assert changed.keys == {"a": hashlib.sha256(b"1235").hexdigest()}


def test_process_reads_a_file_once_for_its_checksum(tmp_path, monkeypatch):
    read = []
    digest = hashlib.file_digest

    def counting(stream, name):
        read.append(stream.name)
        return digest(stream, name)

    monkeypatch.setattr(hashlib, "file_digest", counting)
    path = write(tmp_path / "a", b"1234")
    assert {files.checksum(path) for _ in range(6)} == {hashlib.sha256(b"1234").hexdigest()}
    assert len(read) == 1
    write(path, b"1235")
    assert files.checksum(path) == hashlib.sha256(b"1235").hexdigest()
    path.write_bytes(b"1236")  # with the current time
    assert files.checksum(path) == hashlib.sha256(b"1236").hexdigest()
