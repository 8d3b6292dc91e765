"""What the interfaces share: typed specs in one line, results in the node's folder."""

from pathlib import Path

from nipype.interfaces.base import (
    BaseInterfaceInputSpec,
    File,
    SimpleInterface,
    TraitedSpec,
    traits,
)

__all__ = [
    "BaseInterfaceInputSpec",
    "File",
    "SimpleInterface",
    "TraitedSpec",
    "existing",
    "result",
    "traits",
]


def existing(**metadata):
    """A file that exists."""
    return File(exists=True, mandatory=metadata.pop("mandatory", True), **metadata)


def result(runtime, name):
    """Path of a result in the node's folder."""
    return str(Path(runtime.cwd) / name)
