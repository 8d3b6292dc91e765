"""Devices and precision of networks, and the lock that lets one process at a time use a GPU."""

import logging
import os
import sys
import tempfile
from collections.abc import Callable, Container, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeVar

from bids_stroke.errors import UsageError

if TYPE_CHECKING:  # slow to load
    import torch
    from filelock import BaseFileLock

Result = TypeVar("Result")
LOG = logging.getLogger("bids_stroke")
#: Device files of GPUs on Linux: NVIDIA, AMD, and the Windows Subsystem for Linux.
_NODES = ("nvidia[0-9]*", "kfd", "dxg")


def resolve(device: str) -> str:
    """Resolve ``auto`` to ``cuda`` if there is a GPU, otherwise to ``cpu``; keep other names."""
    if device == "auto":
        if sys.platform == "linux" and not any(any(Path("/dev").glob(node)) for node in _NODES):
            return "cpu"  # without loading torch, which takes a second
        from torch import cuda

        return "cuda" if cuda.is_available() else "cpu"
    return device


def require_gpu() -> None:
    """Check that there is a GPU that torch can use.

    Raises
    ------
    UsageError
        If there is none.
    """
    if resolve("auto") != "cuda":
        raise UsageError("--device cuda needs a GPU, but torch found none; use --device cpu or auto.")


def has_bfloat16(device: str) -> bool:
    """Return whether a device supports bfloat16 in hardware; emulation is slower than float32."""
    import torch

    if device.startswith("cuda"):
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return torch.cpu._is_avx512_bf16_supported()


def bfloat16(device: str) -> "torch.autocast":
    """Return a context in which networks run in bfloat16, on devices with hardware support."""
    import torch

    device_type = device.partition(":")[0]
    return torch.autocast(device_type, torch.bfloat16, enabled=has_bfloat16(device_type))


def fast_arithmetic(device: str) -> "torch.autocast":
    """Return a context of half precision, which is twice as fast: float16 on a GPU, bfloat16 on a CPU
    with hardware support."""
    import torch

    if device.startswith("cuda"):
        return torch.autocast("cuda", torch.float16)
    return bfloat16(device)


def precision() -> Literal["bf16-mixed", "32-true"]:
    """Return the training precision of this machine, as named by Lightning: bfloat16 if the GPU, or the
    CPU of a machine without GPU, supports it in hardware."""
    from torch import cuda

    return "bf16-mixed" if has_bfloat16("cuda" if cuda.is_available() else "cpu") else "32-true"


def with_fallback(run: Callable[[str], Result], device: str, name: str) -> Result:
    """Call a function with a device, and again with the CPU if the memory of the GPU is not sufficient.

    Parameters
    ----------
    run : callable
        Function of the device.
    device : str
    name : str
        Name of the networks in the warning.
    """
    import torch

    try:
        return run(device)
    except torch.OutOfMemoryError:
        # Smaller tiles would change the predictions of networks with instance normalization.
        LOG.warning("%s ran out of memory; %s runs on the CPU.", device, name)
        torch.cuda.empty_cache()
        return run("cpu")


def place_network(
    network: "torch.nn.Module", device: str, in_place: Container[str] = ()
) -> "torch.nn.Module":
    """Move a 3D network to a device, and optimize it for one image at a time.

    Tensors have the channels-last layout, in which convolutions are fastest. Instance normalization
    keeps this layout; the implementation of torch copies each tensor to another layout and back.
    Denormal weights are set to zero, because some processors compute slowly with denormal numbers
    (``benchmarks/denormals.py``).

    Parameters
    ----------
    network : torch.nn.Module
    device : str
    in_place : container of str
        Names (last part) of normalization layers whose input is not used afterwards; on the CPU, they
        overwrite their input.
    """
    from torch import channels_last_3d, finfo, nn, no_grad

    with no_grad():
        for weights in network.parameters():
            weights[weights.abs() < finfo(weights.dtype).tiny] = 0
    for name, norm in network.named_modules():
        if isinstance(norm, nn.InstanceNorm3d):
            overwrite = device == "cpu" and name.rpartition(".")[2] in in_place
            norm.forward = partial(_normalize, norm, overwrite)  # type: ignore[method-assign]
    return network.to(device, memory_format=channels_last_3d)  # type: ignore[call-overload]


def _normalize(
    norm: "torch.nn.InstanceNorm3d", overwrite: bool, image: "torch.Tensor"
) -> "torch.Tensor":
    import torch

    if len(image) > 1 or (norm.track_running_stats and not norm.training):
        return type(norm).forward(norm, image)
    # For one image, batch normalization equals instance normalization.
    out = (image, *torch.empty(2, image.shape[1])) if overwrite else None
    return torch.native_batch_norm(
        image, norm.weight, norm.bias, None, None, True, 0.0, norm.eps, out=out
    )[0]


@contextmanager
def lock(device: str) -> Iterator[None]:
    """Let only one process of a user use a GPU of a machine at a time, and free the memory of the GPU
    at the end; do nothing for the CPU."""
    if not device.startswith("cuda"):
        yield
        return
    from torch import cuda

    # Identify the GPU by its UUID, because its index differs between processes and containers.
    with gpu_lock(cuda.get_device_properties(device).uuid):
        try:
            yield
        finally:
            cuda.empty_cache()


def gpu_lock(gpu: str) -> "BaseFileLock":
    """Return the lock of a GPU, given its UUID."""
    from filelock import FileLock

    # TMPDIR differs between sessions; their folders have the same parent.
    shared = Path("/tmp")
    if not os.access(shared, os.W_OK):
        shared = Path(tempfile.gettempdir()).parent
    return FileLock(shared / f"bids_stroke-{os.getuid()}-{gpu}.lock")  # not shared between users
