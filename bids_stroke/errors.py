"""Errors that a user can act on.

The message of each error is one sentence that names the file, states what is wrong, and states what to
do. The command line prints it without a traceback.
"""


class StrokeError(Exception):
    """Base class of the errors that a user can act on."""


class UsageError(StrokeError):
    """An option, or its value, cannot be used (exit status 2).

    The option is unknown, contradicts another option, or has a value that is invalid or does not exist.
    """


class DatasetError(StrokeError):
    """A dataset is missing, is not in BIDS format, or contains no usable file."""


class ImageError(StrokeError):
    """An image cannot be used: it is unreadable, not 3D, not finite, or has no usable affine."""


class ModelError(StrokeError):
    """A model is invalid, or does not support the available contrasts."""


class InvalidModelError(ModelError, UsageError):
    """The value of an option is not a usable model."""


class ResourceError(StrokeError):
    """A resource that the run needs (template, tract, device, disk) is missing."""


class DownloadError(ResourceError):
    """A file cannot be downloaded."""


class SessionLockedError(ResourceError):
    """Another run is processing the session."""
