"""Errors that a user can act on.

``StrokeError``
    Base class. The message is one sentence that names the file, states what is wrong, and states what
    to do. The command line prints it without a traceback.

    - ``UsageError``: the options of the command line are invalid or contradict each other (exit
      status 2).
    - ``DatasetError``: a dataset is missing, is not in BIDS format, or contains no usable file.
    - ``ImageError``: an image cannot be used (unreadable, not 3D, not finite, invalid affine).
    - ``ModelError``: a model card or its weights are invalid, or the model does not support the
      available contrasts.
    - ``ResourceError``: a resource of the run (template, tract, device, disk) is missing.
      ``DownloadError``: the resource cannot be downloaded. ``SessionLockedError``: another run is
      processing the session.
"""


class StrokeError(Exception):
    """Base class of the errors that a user can act on."""


class UsageError(StrokeError):
    """The options of the command line are invalid or contradict each other."""


class DatasetError(StrokeError):
    """A dataset is missing, is not in BIDS format, or contains no usable file."""


class ImageError(StrokeError):
    """An image cannot be used."""


class ModelError(StrokeError):
    """A model is invalid, or does not support the available contrasts."""


class ResourceError(StrokeError):
    """A resource that the run needs is missing."""


class DownloadError(ResourceError):
    """A file cannot be downloaded."""


class SessionLockedError(ResourceError):
    """Another run is processing the session."""
