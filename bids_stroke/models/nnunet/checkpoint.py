"""Checkpoints of nnU-Net v2, read without nnU-Net and without executing pickled code."""

import pickle
import zipfile
from collections import OrderedDict
from typing import Any

import numpy as np

from bids_stroke.errors import ModelError
from bids_stroke.utils.files import PathLike

CHECKPOINTS = ("checkpoint_final.pth", "checkpoint_best.pth")
_SCALAR = np.float64().__reduce__()[0]  # numpy._core.multiarray.scalar
#: NumPy types in checkpoints, which otherwise contain tensors and built-in Python types.
_NUMPY_SCALARS: list[Any] = [
    np.dtype,
    _SCALAR,
    (_SCALAR, "numpy.core.multiarray.scalar"),  # its name in NumPy 1
    *(type(np.dtype(code)) for code in "?bhilfdBHIL"),
]
#: Packages whose classes may appear in a checkpoint.
_ALLOWED_PACKAGES = ("torch", "numpy", "collections", "_codecs")


def load_checkpoint(path: PathLike) -> dict[str, Any]:
    """Load a checkpoint of nnU-Net without executing pickled code; tensors are memory-mapped.

    Raises
    ------
    ModelError
        If the file is damaged or contains objects other than tensors, numbers and text.
    """
    import torch

    try:
        with torch.serialization.safe_globals(_NUMPY_SCALARS):
            return torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except Exception as error:  # pickle, zip and OS errors
        raise _unreadable(path, error) from None


def read_metadata(path: PathLike) -> dict[str, Any]:
    """Read a checkpoint without its tensors; neither torch nor execution of pickled code is needed.

    Raises
    ------
    ModelError
        As in :func:`bids_stroke.models.nnunet.checkpoint.load_checkpoint`.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            (name,) = (name for name in archive.namelist() if name.endswith("/data.pkl"))
            with archive.open(name) as stream:
                return _MetadataUnpickler(stream).load()
    except Exception as error:  # pickle, zip and OS errors
        raise _unreadable(path, error) from None


def _unreadable(path: PathLike, error: Exception) -> ModelError:
    reason = " ".join(str(error).split())[:200]
    return ModelError(f"{path} cannot be read as an nnU-Net checkpoint ({reason}).")


class _MetadataUnpickler(pickle.Unpickler):
    """Unpickler of built-in Python types that replaces all other objects by placeholders."""

    def find_class(self, module: str, name: str) -> type:
        if module.partition(".")[0] not in _ALLOWED_PACKAGES:
            raise pickle.UnpicklingError(f"it contains {module}.{name}")
        return OrderedDict if name == "OrderedDict" else _Placeholder

    def persistent_load(self, _storage: object) -> None:
        return None


class _Placeholder:
    """Placeholder for a tensor or a NumPy scalar."""

    def __init__(self, *_: object) -> None:
        pass

    def __setstate__(self, _: object) -> None:
        pass
