"""Where networks run, and how: on the CPU or a GPU, on a GPU one process at a time."""

import os
import sys
import tempfile
from contextlib import contextmanager
from functools import partial
from pathlib import Path

#: Of GPUs on Linux: NVIDIA's, AMD's, those of Windows below it.
_NODES = ("nvidia[0-9]*", "kfd", "dxg")


def resolve(device):
    """Turn ``auto`` into ``cuda`` where there is a GPU, else ``cpu``."""
    if device == "auto":
        if sys.platform == "linux" and not any(any(Path("/dev").glob(node)) for node in _NODES):
            return "cpu"  # torch takes a second to load
        from torch import cuda

        return "cuda" if cuda.is_available() else "cpu"
    return device


def fast_arithmetic(device):
    """Context of half the precision and twice the speed, on devices that compute so in hardware."""
    import torch

    if device.startswith("cuda"):
        return torch.autocast("cuda", torch.float16)
    return torch.autocast("cpu", torch.bfloat16, enabled=torch.cpu._is_avx512_bf16_supported())


def precision():
    """Precision in which this machine trains, by Lightning's names: half of it where the hardware
    computes so. A processor that emulates it is far slower."""
    from torch import cpu, cuda

    if cuda.is_available():
        fast = cuda.is_bf16_supported(including_emulation=False)
    else:
        fast = cpu._is_avx512_bf16_supported()
    return "bf16-mixed" if fast else "32-true"


def place(network, device, over=()):
    """Bring a 3D network to a device, to run on one image at a time.

    Arrays have their channels last, in which convolutions are fastest, and instance norms leave them
    so: torch's own copy each array to another layout and back. Weights that have decayed below the
    normal numbers are set to zero: some processors compute with them slowly
    (``benchmarks/denormals.py``).

    Parameters
    ----------
    network : torch.nn.Module
    device : str
    over : container of str
        Last names of norms whose input is not needed afterwards: on the CPU they write over it.
    """
    from torch import channels_last_3d, finfo, nn, no_grad

    with no_grad():
        for weights in network.parameters():
            weights[weights.abs() < finfo(weights.dtype).tiny] = 0
    for name, norm in network.named_modules():
        if isinstance(norm, nn.InstanceNorm3d):
            here = device == "cpu" and name.rpartition(".")[2] in over
            norm.forward = partial(_normalize, norm, here)
    return network.to(device, memory_format=channels_last_3d)


def _normalize(norm, here, image):
    import torch

    if len(image) > 1 or (norm.track_running_stats and not norm.training):
        return type(norm).forward(norm, image)
    # The batch norm of one image is its instance norm.
    options = {"out": (image, *torch.empty(2, image.shape[1]))} if here else {}
    by_image = (norm.weight, norm.bias, None, None, True, 0.0, norm.eps)
    return torch.native_batch_norm(image, *by_image, **options)[0]


@contextmanager
def lock(device):
    """Let one process at a time use a GPU, of those of one user on one machine, and leave its memory
    free for the next; nothing to wait for on the CPU."""
    if not device.startswith("cuda"):
        yield
        return
    from torch import cuda

    # By its own name: the same GPU has other numbers in other processes and containers.
    with lock_of(cuda.get_device_properties(device).uuid):
        try:
            yield
        finally:
            cuda.empty_cache()


def lock_of(gpu):
    """The lock of a GPU, by its unique name."""
    from filelock import FileLock

    # TMPDIR is another for each session, beside those of the others.
    shared = Path("/tmp")
    if not os.access(shared, os.W_OK):
        shared = Path(tempfile.gettempdir()).parent
    return FileLock(shared / f"bids_stroke-{os.getuid()}-{gpu}.lock")  # none can open another user's
