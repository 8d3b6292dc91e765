"""Download of the files of tract cards and atlas cards."""

from dataclasses import dataclass
from pathlib import Path

from bids_stroke.utils.download import Progress, RemoteFile, download


@dataclass(frozen=True)
class Source:
    """Download source of a file: URL, SHA-256 and size in bytes."""

    url: str
    sha256: str
    bytes: int


def fetch_file(description: str, source: Source, path: Path, progress: Progress) -> Path:
    """Download a file, unless it exists.

    Parameters
    ----------
    description : str
        Description of the file for error messages.
    source : Source
    path : Path
        Destination.
    progress : callable
        Called with the downloaded and the total number of bytes.

    Raises
    ------
    DownloadError
        If the file cannot be downloaded, or differs from the source.
    """
    remote = RemoteFile([source.url], source.sha256, source.bytes)
    return download(description, remote, path, f"or copy the file to {path}", progress)
