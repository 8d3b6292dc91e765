"""Identification of files by their content, independent of their location and time of copying."""

import os
import re
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from .files import PathLike, checksum

#: Target of a git-annex link or pointer file; the key is the name of the object.
_ANNEXED = re.compile(r"annex/objects/(?:.*/)?([^/\s]+)\s*$")
_LONGEST_POINTER = 1024


@dataclass(frozen=True)
class Contents:
    """Content keys of files, by file name.

    Attributes
    ----------
    keys : dict of str to str or None
        Identifier of each content: the git-annex key or the SHA-256; None if there is no regular file.
    status : dict of str to list of int
        Status of each file; the content is unchanged while the status is unchanged.
    """

    keys: dict[str, str | None] = field(default_factory=dict)
    status: dict[str, list[int]] = field(default_factory=dict)


def read_contents(files: Mapping[str, Path], previous: Contents | None = None) -> Contents:
    """Identify the contents of files.

    Parameters
    ----------
    files : mapping of str to Path
        Files by names that are independent of where the files are mounted.
    previous : Contents, optional
        Contents from an earlier run; files whose status is unchanged are not read again.
    """
    previous = previous or Contents()
    contents = Contents()
    for name, path in files.items():
        status = _status(path)
        unchanged = status is not None and status == previous.status.get(name)
        contents.keys[name] = previous.keys.get(name) if unchanged else content_key(path)
        if status:
            contents.status[name] = status
    return contents


def _status(path: Path) -> list[int] | None:
    """Return inode, size and times of a file, or None if there is no regular file.

    The change time (ctime) reveals modifications after which the modification time was set back.
    """
    try:
        status = path.stat()
    except OSError:
        return None
    if not stat.S_ISREG(status.st_mode):
        return None
    return [status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns]


def content_key(path: PathLike) -> str | None:
    """Identify the content of a file.

    Returns
    -------
    str or None
        The git-annex key if the file is a link or a pointer file, otherwise the SHA-256. None if there
        is no readable file, which is reported where the file is used.
    """
    path = Path(path)
    try:
        if path.is_symlink() and (match := _ANNEXED.search(os.readlink(path))):
            return match[1]
        if not path.is_file():
            return None
        if path.stat().st_size < _LONGEST_POINTER:
            start = path.read_bytes()[:_LONGEST_POINTER].decode("latin-1")
            if start.startswith("/annex/objects/") and (match := _ANNEXED.search(start)):
                return match[1]
        return checksum(path)
    except OSError:
        return None
