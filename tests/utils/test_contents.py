"""What identifies the content of a file."""

import hashlib
import os

import pytest

from bids_stroke.utils import files
from bids_stroke.utils.contents import content_key, read_contents

KEY = "MD5E-s4--81dc9bdb52d04dc20036dbd8313ed055.nii.gz"
LONG_AGO = 10**18


def write(path, data, time=LONG_AGO):
    path.write_bytes(data)
    os.utime(path, ns=(time, time))
    return path


def test_a_file_is_known_by_its_bytes(tmp_path):
    path = write(tmp_path / "a", b"1234")
    assert content_key(path) == hashlib.sha256(b"1234").hexdigest()


@pytest.mark.parametrize("present", [True, False])
def test_a_link_of_git_annex_is_known_by_its_key(tmp_path, present):
    """Whether its content is there or not: ``datalad drop`` and ``datalad get`` change nothing."""
    target = tmp_path / f".git/annex/objects/f8/9g/{KEY}/{KEY}"
    if present:
        target.parent.mkdir(parents=True)
        target.write_bytes(b"1234")
    link = tmp_path / "sub-01_T1w.nii.gz"
    link.symlink_to(os.path.relpath(target, tmp_path))
    assert content_key(link) == KEY


def test_an_unlocked_file_without_content_is_known_by_its_key(tmp_path):
    path = write(tmp_path / "a", f"/annex/objects/{KEY}\n".encode())
    assert content_key(path) == KEY


def test_any_other_link_is_known_by_what_it_leads_to(tmp_path):
    link = tmp_path / "link"
    link.symlink_to(write(tmp_path / "a", b"1234"))
    assert content_key(link) == content_key(tmp_path / "a")


@pytest.mark.parametrize("make", [os.mkdir, os.mkfifo, lambda path: None])
def test_what_is_no_file_has_no_content(tmp_path, make):
    make(tmp_path / "a")
    contents = read_contents({"a": tmp_path / "a"})
    assert (contents.keys, contents.status) == ({"a": None}, {})


def test_a_file_is_read_again_when_its_status_changes(tmp_path):
    """As it does with one byte, also where the size is the same and the time is set back."""
    path = write(tmp_path / "a", b"1234")
    first = read_contents({"a": path})
    kept = read_contents({"a": path}, type(first)({"a": "known"}, first.status))
    assert kept.keys == {"a": "known"}
    write(path, b"1235")
    changed = read_contents({"a": path}, first)
    assert changed.keys == {"a": hashlib.sha256(b"1235").hexdigest()}


def test_a_process_reads_a_file_once_for_its_checksum(tmp_path, monkeypatch):
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
    path.write_bytes(b"1236")  # just now
    assert files.checksum(path) == hashlib.sha256(b"1236").hexdigest()
