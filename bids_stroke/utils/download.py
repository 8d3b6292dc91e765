"""Download of files with mirrors, resumption and checksums.

pooch, the usual library for downloads with checksums, has no mirrors and does not resume downloads.
"""

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

#: Callback with the number of downloaded bytes and the size of the file (None if unknown).
Progress: TypeAlias = Callable[[int, int | None], object]
ATTEMPTS = 3  # per mirror
TIMEOUT = 30  # seconds without data
_BLOCK = 1 << 16


@dataclass(frozen=True)
class RemoteFile:
    """A file that is available at several mirrors.

    ``sha256`` may be shortened to its first digits; ``bytes`` is None if the size is unknown.
    """

    urls: Sequence[str]
    sha256: str
    bytes: int | None = None


def download(
    description: str,
    remote: RemoteFile,
    path: Path,
    advice: str,
    progress: Progress = lambda done, total: None,
    timeout: float = TIMEOUT,
) -> Path:
    """Download a file from the first mirror that provides the correct file.

    Parameters
    ----------
    description : str
        Description of the file for error messages.
    remote : RemoteFile
    path : Path
        Destination.
    advice : str
        What else the user can do if the download fails.
    progress : callable
        Callback with the number of downloaded bytes and the size of the file.
    timeout : float
        Seconds without data after which an attempt is abandoned.

    Returns
    -------
    Path

    Raises
    ------
    DownloadError
        If no mirror provides the correct file. The partial download is kept, and resumed by the next
        call.
    """
    partial = path.with_name(f"{path.name}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(path.with_name(f"{path.name}.lock")):
            if path.is_file() and files.checksum(path).startswith(remote.sha256):
                return path
            reasons = []
            for url in (url for _ in range(ATTEMPTS) for url in remote.urls):
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
            f"{path.parent} cannot be written ({error}); set BIDS_STROKE_HOME to a writable folder."
        ) from None
    reason = "; ".join(reasons[-len(remote.urls) :])
    raise DownloadError(f"{description} cannot be downloaded ({reason}); try again, {advice}.")


def _download(url: str, partial: Path, total: int | None, progress: Progress, timeout: float) -> None:
    """Resume the download to ``partial``."""
    start = partial.stat().st_size if partial.is_file() else 0
    if total is not None and start >= total:
        return
    headers = {"Range": f"bytes={start}-", "Accept-Encoding": "identity"}
    hooks = {"response": _require_https}
    with requests.get(url, headers=headers, stream=True, timeout=timeout, hooks=hooks) as response:
        response.raise_for_status()
        resumed = response.headers.get("Content-Range", "").startswith(f"bytes {start}-")
        start = start if resumed else 0
        with partial.open("r+b" if partial.is_file() else "wb") as stream:
            stream.truncate(start)
            stream.seek(start)
            for block in response.iter_content(_BLOCK):
                start += len(block)
                if total is not None and start > total:
                    raise ValueError(f"the server sends more than the expected {total} bytes")
                stream.write(block)
                progress(start, total)
    if total is not None and start < total:
        raise ValueError(f"the connection ended after {start} of {total} bytes")


def _require_https(response: requests.Response, **_: Any) -> None:
    """Refuse redirects to unencrypted connections, which can be tampered with."""
    target = urljoin(response.url, response.headers.get("Location", ""))
    if not target.startswith("https://"):
        raise ValueError(f"the server redirects to {target}, which is not https")


def _check(partial: Path, remote: RemoteFile) -> None:
    """Check size and checksum of a download, and delete it if it is not the expected file."""
    size = partial.stat().st_size
    if size != (remote.bytes or size) or not files.checksum(partial).startswith(remote.sha256):
        partial.unlink()
        raise ValueError("the file does not match the expected size and checksum")
