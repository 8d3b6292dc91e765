"""Download of files: mirrors, resumption, checksums."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias
from urllib.parse import urljoin

import requests
from filelock import FileLock

from bids_stroke.errors import DownloadError

from . import files

#: Takes the bytes that are there and those of the whole file, if known.
Progress: TypeAlias = Callable[[int, int | None], object]
TRIES = 3  # of every mirror
TIMEOUT = 30  # seconds without a byte
_BLOCK = 1 << 16


@dataclass(frozen=True)
class RemoteFile:
    """A file at URLs that are mirrors of each other; the first digits of ``sha256`` are enough, and
    ``bytes`` is None where the size is not known."""

    urls: Sequence[str]
    sha256: str
    bytes: int | None = None


def download(
    what: str,
    remote: RemoteFile,
    path: Path,
    advice: str,
    progress: Progress = lambda done, total: None,
    timeout: float = TIMEOUT,
) -> Path:
    """Download a file from the first of its mirrors that has the right one.

    Parameters
    ----------
    what : str
        What the file is, for messages.
    remote : RemoteFile
    path : Path
        Where it is kept.
    advice : str
        What else a user may do if it fails.
    progress : callable
        Takes the bytes that are there and those of the whole file.
    timeout : float
        Seconds without a byte after which a mirror is given up for this try.

    Returns
    -------
    Path

    Raises
    ------
    DownloadError
        If no mirror gave the right file; what has come is kept for the next call.
    """
    partial = path.with_name(f"{path.name}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(path.with_name(f"{path.name}.lock")):
            if path.is_file() and files.checksum(path).startswith(remote.sha256):
                return path
            reasons = []
            for url in (url for _ in range(TRIES) for url in remote.urls):
                try:
                    _download(url, partial, remote.bytes, progress, timeout)
                    _check(partial, remote)
                except (requests.RequestException, ValueError) as error:
                    reasons.append(f"{url}: {' '.join(str(error).split())}")
                    continue
                os.replace(partial, path)
                return path
    except OSError as error:
        raise DownloadError(
            f"{path.parent} cannot be written ({error}); set BIDS_STROKE_HOME."
        ) from None
    why = "; ".join(reasons[-len(remote.urls) :])
    raise DownloadError(f"{what} cannot be downloaded ({why}); try again, {advice}.")


def _download(url: str, partial: Path, total: int | None, progress: Progress, timeout: float) -> None:
    """Append to ``partial`` what it lacks of the whole."""
    start = partial.stat().st_size if partial.is_file() else 0
    if total is not None and start >= total:
        return
    headers = {"Range": f"bytes={start}-", "Accept-Encoding": "identity"}
    hooks = {"response": _https_alone}
    with requests.get(url, headers=headers, stream=True, timeout=timeout, hooks=hooks) as answer:
        answer.raise_for_status()
        resumed = answer.headers.get("Content-Range", "").startswith(f"bytes {start}-")
        start = start if resumed else 0
        with partial.open("r+b" if partial.is_file() else "wb") as stream:
            stream.truncate(start)
            stream.seek(start)
            for block in answer.iter_content(_BLOCK):
                start += len(block)
                if total is not None and start > total:
                    raise ValueError(f"it gives more than the {total} bytes of the card")
                stream.write(block)
                progress(start, total)
    if total is not None and start < total:
        raise ValueError(f"it broke off after {start} of {total} bytes")


def _https_alone(answer: requests.Response, **_: Any) -> None:
    """Follow no redirection to a connection that anyone could change."""
    target = urljoin(answer.url, answer.headers.get("Location", ""))
    if not target.startswith("https://"):
        raise ValueError(f"it redirects to {target}, which is not https")


def _check(partial: Path, remote: RemoteFile) -> None:
    """Leave nothing of a file that is not the right one."""
    size = partial.stat().st_size
    if size != (remote.bytes or size) or not files.checksum(partial).startswith(remote.sha256):
        partial.unlink()
        raise ValueError("what it gives does not match the checksum of the card")
