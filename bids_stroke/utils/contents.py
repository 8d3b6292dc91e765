"""Contents of files: what identifies them, wherever they lie and whenever they were copied."""

import os
import re
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from .files import PathLike, checksum

#: A link or a pointer of git-annex: the key is the name of the object.
_ANNEXED = re.compile(r"annex/objects/(?:.*/)?([^/\s]+)\s*$")
_LONGEST_POINTER = 1024


@dataclass(frozen=True)
class Contents:
    """Contents of some files by the names of the files.

    Attributes
    ----------
    keys : dict of str to str or None
        What identifies each content: the key of git-annex, or the SHA-256; None for what is no file.
    status : dict of str to list of int
        Status of each file that was read: while it is the same, the content is.
    """

    keys: dict[str, str | None] = field(default_factory=dict)
    status: dict[str, list[int]] = field(default_factory=dict)


def read_contents(files: Mapping[str, Path], known: Contents | None = None) -> Contents:
    """Identify the contents of files.

    Parameters
    ----------
    files : mapping of str to Path
        Files by names that do not depend on where they are mounted.
    known : Contents, optional
        Those of an earlier run: a file whose status has not changed is not read again.
    """
    known = known or Contents()
    contents = Contents()
    for name, path in files.items():
        status = _status(path)
        unchanged = status is not None and status == known.status.get(name)
        contents.keys[name] = known.keys.get(name) if unchanged else content_key(path)
        if status:
            contents.status[name] = status
    return contents


def _status(path: Path) -> list[int] | None:
    """Inode, size and times of a file; None for what is no file. The time of change (ctime) shows
    modifications that were hidden by setting the other back."""
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
        The key of git-annex where the file is a link or a pointer, else the SHA-256; None for what is
        no readable file, which the reader of the file reports.
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
