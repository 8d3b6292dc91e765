"""Errors that a user can act on.

``StrokeError``
    Base class: its message is one sentence that names the file, what is wrong and what to do. The
    command line prints it without a traceback.

    - ``UsageError``: the command line asks for something impossible (exit status 2).
    - ``DatasetError``: a dataset is missing, is not BIDS, or holds nothing usable.
    - ``ImageError``: an image cannot be used (unreadable, not 3D, not finite, bad affine).
    - ``ModelError``: a model card or its weights cannot be used, or not on these contrasts.
    - ``ResourceError``: something that the run needs (template, tract, device, disk) is missing;
      ``DownloadError``: it cannot be downloaded.
"""


class StrokeError(Exception):
    """Base of every error that a user can act on."""


class UsageError(StrokeError):
    """The command line asks for something impossible."""


class DatasetError(StrokeError):
    """A dataset is missing, is not BIDS, or holds nothing usable."""


class ImageError(StrokeError):
    """An image cannot be used."""


class ModelError(StrokeError):
    """A model cannot be used, or not on these contrasts."""


class ResourceError(StrokeError):
    """Something that the run needs is missing."""


class DownloadError(ResourceError):
    """A file cannot be downloaded."""


class SessionLockedError(ResourceError):
    """Another run is processing the session."""
