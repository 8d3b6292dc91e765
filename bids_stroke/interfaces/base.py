"""What the interfaces share: typed specs in one line, results in the node's folder, one GPU each."""

import os
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
    """Let one process at a time use a GPU, of those of one user on one machine, and leave its memory
    free for the next; nothing to wait for on the CPU."""
    if not device.startswith("cuda"):
        yield
        return
    import torch

    # By its own name: the same GPU has other numbers in other processes and containers.
    with lock_of(torch.cuda.get_device_properties(device).uuid):
        try:
            yield
        finally:
            torch.cuda.empty_cache()


def lock_of(gpu):
    """The lock of a GPU, by its unique name."""
    from filelock import FileLock

    # TMPDIR is another for each session, beside those of the others.
    shared = Path("/tmp")
    if not os.access(shared, os.W_OK):
        shared = Path(tempfile.gettempdir()).parent
    return FileLock(shared / f"bids_stroke-{os.getuid()}-{gpu}.lock")  # none can open another user's
