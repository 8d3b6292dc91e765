"""Download of the weights of a card."""

from pathlib import Path

from bids_stroke.utils.download import TIMEOUT, Progress, RemoteFile, download

from . import weights
from .card import Card, Weights


def fetch(
    card: Card, progress: Progress = lambda done, total: None, timeout: float = TIMEOUT
) -> list[Path]:
    """Fetch the weights of a card, of all its folds, that are not there yet.

    Parameters
    ----------
    card : Card
    progress, timeout
        As for :func:`bids_stroke.utils.download.download`.

    Returns
    -------
    list of Path

    Raises
    ------
    DownloadError
        If no mirror gave the right file; what has come is kept for the next call.
    """
    return [_fetch(card, fold, progress, timeout) for fold in card.all_weights]


def _fetch(card: Card, fold: Weights, progress: Progress, timeout: float) -> Path:
    if fold.file:
        return weights.locate(card, fold)
    remote = RemoteFile(fold.urls, fold.sha256, fold.bytes)
    advice = f"or download them elsewhere and name them as file in {card.path}"
    what = f"The weights of model {card.name}"
    return download(what, remote, card.weights_path(fold), advice, progress, timeout)
