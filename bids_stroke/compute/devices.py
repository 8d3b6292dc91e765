"""Where networks run, and how: on the CPU or a GPU, on a GPU one process at a time."""

import os
import sys
import tempfile
from collections.abc import Container, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:  # slow to load
    import torch
    from filelock import BaseFileLock

#: Of GPUs on Linux: NVIDIA's, AMD's, those of Windows below it.
_NODES = ("nvidia[0-9]*", "kfd", "dxg")


def resolve(device: str) -> str:
    """Turn ``auto`` into ``cuda`` where there is a GPU, else ``cpu``; other names stay."""
    if device == "auto":
        if sys.platform == "linux" and not any(any(Path("/dev").glob(node)) for node in _NODES):
            return "cpu"  # torch takes a second to load
        from torch import cuda

        return "cuda" if cuda.is_available() else "cpu"
    return device


def has_bfloat16(device: str) -> bool:
    """Return whether a device computes in bfloat16 in hardware; emulation is slower than float32."""
    import torch

    if device.startswith("cuda"):
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return torch.cpu._is_avx512_bf16_supported()


def bfloat16(device: str) -> "torch.autocast":
    """Context in which networks run in bfloat16, on devices that have it in hardware."""
    import torch

    kind = device.partition(":")[0]
    return torch.autocast(kind, torch.bfloat16, enabled=has_bfloat16(kind))


def fast_arithmetic(device: str) -> "torch.autocast":
    """Context of half the precision and twice the speed: float16 on a GPU, bfloat16 on a CPU that has
    it in hardware."""
    import torch

    if device.startswith("cuda"):
        return torch.autocast("cuda", torch.float16)
    return bfloat16(device)


def precision() -> Literal["bf16-mixed", "32-true"]:
    """Precision in which this machine trains, by Lightning's names: bfloat16 where the GPU, or
    without one the CPU, has it in hardware."""
    from torch import cuda

    return "bf16-mixed" if has_bfloat16("cuda" if cuda.is_available() else "cpu") else "32-true"


def place_network(
    network: "torch.nn.Module", device: str, over: Container[str] = ()
) -> "torch.nn.Module":
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
            in_place = device == "cpu" and name.rpartition(".")[2] in over
            norm.forward = partial(_normalize, norm, in_place)  # type: ignore[method-assign]
    return network.to(device, memory_format=channels_last_3d)  # type: ignore[call-overload]


def _normalize(
    norm: "torch.nn.InstanceNorm3d", in_place: bool, image: "torch.Tensor"
) -> "torch.Tensor":
    import torch

    if len(image) > 1 or (norm.track_running_stats and not norm.training):
        return type(norm).forward(norm, image)
    # The batch norm of one image is its instance norm.
    out = (image, *torch.empty(2, image.shape[1])) if in_place else None
    return torch.native_batch_norm(
        image, norm.weight, norm.bias, None, None, True, 0.0, norm.eps, out=out
    )[0]


@contextmanager
def lock(device: str) -> Iterator[None]:
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


def lock_of(gpu: str) -> "BaseFileLock":
    """The lock of a GPU, by its unique name."""
    from filelock import FileLock

    # TMPDIR is another for each session, beside those of the others.
    shared = Path("/tmp")
    if not os.access(shared, os.W_OK):
        shared = Path(tempfile.gettempdir()).parent
    return FileLock(shared / f"bids_stroke-{os.getuid()}-{gpu}.lock")  # none can open another user's
