"""What the interfaces share: typed specs in one line, results in the node's folder, one GPU each."""

import tempfile
from contextlib import contextmanager
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
    "device_lock",
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


@contextmanager
def device_lock(device):
    """Let one process of this machine at a time use a GPU; nothing to wait for on the CPU."""
    if not device.startswith("cuda"):
        yield
        return
    from filelock import FileLock

    name = device.replace(":", "")
    with FileLock(Path(tempfile.gettempdir()) / f"bids_stroke_{name}.lock"):
        yield
