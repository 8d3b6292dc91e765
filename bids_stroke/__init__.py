"""bids_stroke: from a BIDS dataset to stroke lesion masks, volumes and corticospinal-tract loads."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .api import measure, segment

__version__ = "0.2.0"
__all__ = ["__version__", "measure", "segment"]


def __getattr__(name: str) -> Any:
    """Load the functions for images when they are first used, because they import large packages."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from . import api

    return getattr(api, name)
