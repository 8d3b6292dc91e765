"""Versions of installed packages."""

from collections.abc import Iterable
from importlib.metadata import version

from bids_stroke import __version__

PROGRAM = "bids_stroke"


def package_versions(packages: Iterable[str]) -> dict[str, str]:
    """Return the versions of bids_stroke and of other packages, by name."""
    return {PROGRAM: __version__, **{name: version(name) for name in packages}}
