"""Atomic writing, missing content and checksums of files."""

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

from bids_stroke.errors import ResourceError, UsageError

#: Type of path arguments.
PathLike: TypeAlias = str | os.PathLike[str]
#: Two changes within this time may have the same modification time.
_RECENT_NS = 2 * 10**9
#: Start of pointer files, whose content git-annex or git-lfs has not fetched, and command to fetch it.
_POINTERS = {b"/annex/objects/": "datalad get", b"version https://git-lfs": "git lfs pull --include"}


@contextmanager
def atomic(path: PathLike) -> Iterator[Path]:
    """Yield a temporary path, which replaces ``path`` when the block ends without an error."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix=f".partial-{path.name[:100]}-", dir=path.parent) as folder:
        partial = Path(folder) / path.name
        yield partial
        os.replace(partial, path)


@contextmanager
def new_folder(path: PathLike) -> Iterator[Path]:
    """Yield a temporary folder, which becomes ``path`` when the block ends without an error.

    Raises
    ------
    UsageError
        If ``path`` exists and is not an empty folder, or cannot be written.
    """
    path = Path(path).absolute()
    if path.exists() and not (path.is_dir() and not any(path.iterdir())):
        raise UsageError(f"{path} is not an empty folder; choose a new folder.")
    try:
        with atomic(path) as folder:
            folder.mkdir()
            yield folder
    except OSError as error:
        raise UsageError(
            f"{path} cannot be written ({error.strerror or error}); choose another folder."
        ) from None


def missing_content_reason(path: PathLike) -> str | None:
    """Return why a file has no content and how to fetch it.

    This applies to links and pointer files of git-annex (DataLad) or git-lfs, and to broken links. The
    result is None for any other file, whether it exists or not.
    """
    path = Path(path)
    start: bytes | None = None
    try:
        if path.is_symlink() and not path.exists():
            target = os.readlink(path)
            if "annex/objects/" not in target:
                return f"{path} is a link to {target}, which does not exist; fix the link."
            start = next(iter(_POINTERS))
        elif path.is_file() and path.stat().st_size < 1024:
            with path.open("rb") as stream:
                start = next(filter(stream.read(32).startswith, _POINTERS), None)
    except OSError:  # reported where the file is used
        return None
    if start is None:
        return None
    return (
        f"{path} has no content here; get it with {_POINTERS[start]} {shlex.quote(path.name)} in the "
        f"folder {path.parent}."
    )


def package_file(package: str, file: str, purpose: str) -> Path:
    """Return the path of a file of an installed package, which is needed for ``purpose``.

    The package is not imported, because only its files are needed, and importing it may fail with
    current versions of other packages.

    Raises
    ------
    ResourceError
        If the package is not installed.
    """
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        raise ResourceError(
            f"{purpose} is read from the package {package}, which is not installed; install it, or "
            "provide your own file."
        )
    return Path(spec.origin).parent / file


def stamp(path: PathLike) -> list[int] | None:
    """Return size and modification time (ns) of a file, which identify its version, or None if the file
    cannot be accessed."""
    try:
        status = Path(path).stat()
    except OSError:  # reported by the subprocess of the session
        return None
    return [status.st_size, status.st_mtime_ns]


def checksum(path: PathLike) -> str:
    """Return the SHA-256 of a file in hexadecimal digits.

    Each process reads a file only once, as long as its inode, size and times are unchanged. A recently
    written file is always read again, because a further change may have the same modification time.
    """
    status = os.stat(path)
    if time.time_ns() - status.st_mtime_ns < _RECENT_NS:
        return _read_checksum(os.fspath(path))
    version = status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns
    return _cached_checksum(os.path.abspath(path), version)


def _read_checksum(path: str) -> str:
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


@lru_cache(maxsize=1024)
def _cached_checksum(path: str, version: tuple[int, ...]) -> str:
    """Return the SHA-256 of a version of a file."""
    return _read_checksum(path)
