"""Locks between runs that share an output folder."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from bids_stroke.bids import logs
from bids_stroke.errors import SessionLockedError
from bids_stroke.utils.files import PathLike


@contextmanager
def session_lock(output_dir: PathLike, name: str) -> Iterator[None]:
    """Hold the lock of a session, since two runs would overwrite each other's files.

    Raises
    ------
    SessionLockedError
        If another run is processing the session.
    """
    lock = FileLock(_path(output_dir, name), blocking=False)
    try:
        lock.acquire()
    except Timeout:
        raise SessionLockedError(
            f"{name} is being processed by another run (lock file {lock.lock_file}); wait until it "
            "ends."
        ) from None
    except OSError:  # the file system does not support locks
        pass
    try:
        yield
    finally:
        lock.release()


@contextmanager
def report_lock(output_dir: PathLike, subject: str) -> Iterator[None]:
    """Hold the lock of the report of a participant (``sub-XX``), which all of its sessions write."""
    with _wait_for(output_dir, f"{subject}_report"):
        yield


@contextmanager
def longitudinal_lock(output_dir: PathLike, subject: str) -> Iterator[None]:
    """Hold the lock of the comparison of the sessions of a participant (``sub-XX``)."""
    with _wait_for(output_dir, f"{subject}_longitudinal"):
        yield


@contextmanager
def _wait_for(output_dir: PathLike, name: str) -> Iterator[None]:
    """Hold a lock, after waiting for another run that holds it."""
    lock = FileLock(_path(output_dir, name))
    with suppress(OSError):  # the file system does not support locks
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def _path(output_dir: PathLike, name: str) -> Path:
    path = logs.folder(output_dir) / f".{name}.lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    return path
