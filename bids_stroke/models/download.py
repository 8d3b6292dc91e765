"""Weights fetched once: from mirrors, resumed where they broke off, kept only when they are right."""

import os
from urllib.parse import urljoin

import requests
from filelock import FileLock

from bids_stroke.errors import ModelError
from bids_stroke.utils import files

from . import weights

TRIES = 3  # of every mirror
TIMEOUT = 30  # seconds without a byte
_BLOCK = 1 << 16


def fetch(card, tell=lambda done, total: None, timeout=TIMEOUT):
    """Fetch the weights of a card, of all its folds, that are not there yet.

    Parameters
    ----------
    card : Card
    tell : callable
        Takes the bytes that are there and those of the whole file.
    timeout : float
        Seconds without a byte after which a mirror is given up for this try.

    Returns
    -------
    list of Path

    Raises
    ------
    ModelError
        If no mirror gave the right file; what has come is kept for the next call.
    """
    return [_fetch(card, one, tell, timeout) for one in card.all_weights]


def _fetch(card, one, tell, timeout):
    if one.file:
        return weights.locate(card, one)
    advice = f"or download them elsewhere and name them as file in {card.path}"
    return download(f"model {card.name}", one, weights.place(card, one), advice, tell, timeout)


def download(name, one, path, advice, tell=lambda done, total: None, timeout=TIMEOUT):
    """Download a file from the first of its mirrors that has the right one.

    Parameters
    ----------
    name : str
        Whose weights they are, for messages.
    one : Weights
        ``urls``; ``sha256``, of which the first digits are enough; ``bytes``, or None if not known.
    path : Path
        Where it shall be.
    advice : str
        What else a user may do if it fails.
    tell, timeout
        As for :func:`fetch`.

    Returns
    -------
    Path

    Raises
    ------
    ModelError
    """
    partial = path.with_name(f"{path.name}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(path.with_name(f"{path.name}.lock")):
            if path.is_file() and files.checksum(path).startswith(one.sha256):
                return path
            reasons = []
            for url in (url for _ in range(TRIES) for url in one.urls):
                try:
                    _download(url, partial, one.bytes, tell, timeout)
                    _check(partial, one)
                except (requests.RequestException, ValueError) as error:
                    reasons.append(f"{url}: {' '.join(str(error).split())}")
                    continue
                os.replace(partial, path)
                return path
    except OSError as error:
        raise ModelError(f"{path.parent} cannot be written ({error}); set BIDS_STROKE_HOME.") from None
    why = "; ".join(reasons[-len(one.urls) :])
    raise ModelError(f"The weights of {name} cannot be downloaded ({why}); try again, {advice}.")


def _download(url, partial, total, tell, timeout):
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
                tell(start, total)
    if total is not None and start < total:
        raise ValueError(f"it broke off after {start} of {total} bytes")


def _https_alone(answer, **_):
    """Follow no redirection to a connection that anyone could change."""
    target = urljoin(answer.url, answer.headers.get("Location", ""))
    if not target.startswith("https://"):
        raise ValueError(f"it redirects to {target}, which is not https")


def _check(partial, one):
    """Leave nothing of a file that is not the right one."""
    size = partial.stat().st_size
    if size != (one.bytes or size) or not files.checksum(partial).startswith(one.sha256):
        partial.unlink()
        raise ValueError("what it gives does not match the checksum of the card")
