"""Files: atomic writing, missing content, checksums."""

import hashlib
import importlib.util
import os
import shlex
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeAlias

from bids_stroke.errors import ResourceError

#: A path as functions take it.
PathLike: TypeAlias = str | os.PathLike[str]
#: A change within this time may bear the same time as the one before.
_RECENT_NS = 2 * 10**9
#: What stands in the place of a file whose content git-annex or git-lfs has not fetched.
_POINTERS = {b"/annex/objects/": "datalad get", b"version https://git-lfs": "git lfs pull --include"}


@contextmanager
def atomic(path: PathLike) -> Iterator[Path]:
    """Yield a path beside ``path`` that takes its place when the block ends well."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix=f".partial-{path.name[:100]}-", dir=path.parent) as folder:
        partial = Path(folder) / path.name
        yield partial
        os.replace(partial, path)


def missing_content_reason(path: PathLike) -> str | None:
    """Explain why a file has no content and how to fetch it.

    The file is a link or pointer of git-annex (DataLad) or git-lfs, or a broken link. None for any
    other file, whether it exists or not.
    """
    path = Path(path)
    start: bytes | None = None
    try:
        if path.is_symlink() and not path.exists():
            target = os.readlink(path)
            if "annex/objects/" not in target:
                return f"{path} is a link to {target}, which is not there; mend it."
            start = next(iter(_POINTERS))
        elif path.is_file() and path.stat().st_size < 1024:
            with path.open("rb") as stream:
                start = next(filter(stream.read(32).startswith, _POINTERS), None)
    except OSError:  # the reader of the file reports the error
        return None
    if start is None:
        return None
    return (
        f"{path} has no content here; get it with {_POINTERS[start]} {shlex.quote(path.name)} in the "
        f"folder {path.parent}."
    )


def package_file(package: str, file: str, user: str) -> Path:
    """Path of a file of an installed package, which ``user`` needs.

    The package is not imported: only its files are of use, and it may not import beside current
    packages.

    Raises
    ------
    ResourceError
        If the package is not installed.
    """
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        raise ResourceError(
            f"{user} is read from the package {package}, which is not installed; install it, or "
            "give a file of your own."
        )
    return Path(spec.origin).parent / file


def stamp(path: PathLike) -> list[int] | None:
    """Size and time of modification (ns) of a file, which identify its version; None without the
    file."""
    try:
        status = Path(path).stat()
    except OSError:  # the process of the session reports what is wrong with the file
        return None
    return [status.st_size, status.st_mtime_ns]


def checksum(path: PathLike) -> str:
    """SHA-256 of a file, in hexadecimal digits.

    A process reads a file once: while inode, size and times of the file stay the same, its content
    does. A file that was written just now is read each time, because the next change may bear the same
    time.
    """
    status = os.stat(path)
    if time.time_ns() - status.st_mtime_ns < _RECENT_NS:
        return _read_checksum(os.fspath(path))
    version = status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns
    return _known_checksum(os.path.abspath(path), version)


def _read_checksum(path: str) -> str:
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


@lru_cache(maxsize=1024)
def _known_checksum(path: str, version: tuple[int, ...]) -> str:
    """SHA-256 of a version of a file."""
    return _read_checksum(path)
