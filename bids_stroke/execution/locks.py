"""Locks between runs that share an output folder."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from bids_stroke.errors import SessionLockedError


@contextmanager
def session_lock(logs: Path, name: str) -> Iterator[None]:
    """Keep other runs from a session: they would overwrite each other's files.

    Raises
    ------
    SessionLockedError
        If another run processes the session.
    """
    lock = FileLock(logs / f".{name}.lock", blocking=False)
    try:
        lock.acquire()
    except Timeout:
        raise SessionLockedError(
            f"{name} is at work in another run, which holds {lock.lock_file}; wait for its end."
        ) from None
    except OSError:  # a file system without locks
        pass
    try:
        yield
    finally:
        lock.release()


@contextmanager
def report_lock(logs: Path, subject: str) -> Iterator[None]:
    """Let the sessions of a participant (``sub-XX``) write its report one after another."""
    lock = FileLock(logs / f".{subject}_report.lock")
    with suppress(OSError):  # a file system without locks
        lock.acquire()
    try:
        yield
    finally:
        lock.release()
