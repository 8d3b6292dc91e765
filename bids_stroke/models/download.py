"""Download of the weights of a model card."""

from pathlib import Path

from bids_stroke.utils.download import TIMEOUT, Progress, RemoteFile, download

from . import weights
from .card import Card, Weights


def fetch(
    card: Card, progress: Progress = lambda done, total: None, timeout: float = TIMEOUT
) -> list[Path]:
    """Download the missing weights of all folds of a card.

    Parameters
    ----------
    card : Card
    progress, timeout
        Passed to :func:`bids_stroke.utils.download.download`.

    Returns
    -------
    list of Path
        Paths of the weights of each fold.

    Raises
    ------
    DownloadError
        If no mirror provides the right file. A partial download is kept and resumed by the next call.
    """
    return [_fetch(card, fold, progress, timeout) for fold in card.all_weights]


def _fetch(card: Card, fold: Weights, progress: Progress, timeout: float) -> Path:
    if fold.file:
        return weights.locate(card, fold)
    remote = RemoteFile(fold.urls, fold.sha256, fold.bytes)
    advice = f"or download the file manually and set it as weights: file in {card.path}"
    what = f"The weights of model {card.name}"
    return download(what, remote, card.weights_path(fold), advice, progress, timeout)
