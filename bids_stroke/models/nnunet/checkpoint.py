"""Checkpoints and plans of nnU-Net, read without nnU-Net and without executing pickled code."""

import codecs
import pickle
import zipfile
from collections import OrderedDict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bids_stroke.errors import InvalidModelError, ModelError
from bids_stroke.utils.files import PathLike

if TYPE_CHECKING:
    import torch

CHECKPOINTS = ("checkpoint_final.pth", "checkpoint_best.pth")
_SCALAR = np.float64().__reduce__()[0]  # numpy._core.multiarray.scalar
#: NumPy types in checkpoints, which otherwise contain tensors and built-in Python types.
_NUMPY_SCALARS: list[Any] = [
    np.dtype,
    _SCALAR,
    (_SCALAR, "numpy.core.multiarray.scalar"),  # its name in NumPy 1
    *(type(np.dtype(code)) for code in "?bhilfdBHIL"),
]
#: Functions and classes that a pickle of NumPy arrays calls, by module (in NumPy 1) and name.
_ARRAY_TYPES: dict[tuple[str, str], Any] = {
    ("collections", "OrderedDict"): OrderedDict,
    ("_codecs", "encode"): codecs.encode,  # bytes in the protocols before 3
    ("numpy", "dtype"): np.dtype,
    ("numpy", "ndarray"): np.ndarray,
    ("numpy.core.multiarray", "_reconstruct"): np.zeros(1).__reduce__()[0],
    ("numpy.core.numeric", "_frombuffer"): np.zeros(1).__reduce_ex__(5)[0],  # in protocol 5
    ("numpy.core.multiarray", "scalar"): _SCALAR,
}
#: Packages whose classes may appear in a checkpoint.
_ALLOWED_PACKAGES = ("torch", "numpy", "collections", "_codecs")


def load_checkpoint(path: PathLike) -> dict[str, Any]:
    """Load a checkpoint of nnU-Net without executing pickled code.

    Tensors are memory-mapped, except in the format of PyTorch before 1.6.

    Raises
    ------
    ModelError
        If the file is damaged or contains objects other than tensors, numbers and text.
    """
    import torch

    try:
        with torch.serialization.safe_globals(_NUMPY_SCALARS):
            mapped = zipfile.is_zipfile(path)
            return torch.load(path, map_location="cpu", weights_only=True, mmap=mapped)
    except Exception as error:  # pickle, zip and OS errors
        raise _unreadable(path, error) from None


def load_state(path: Path) -> dict[str, "torch.Tensor"]:
    """Load the weights in a checkpoint of nnU-Net v2 (``.pth``) or v1 (``.model``).

    They have the names of :mod:`bids_stroke.models.networks.dynamic_unet`.

    Raises
    ------
    ModelError
        As in :func:`bids_stroke.models.nnunet.checkpoint.load_checkpoint`.
    """
    from bids_stroke.models.networks.dynamic_unet import canonical, from_generic_unet

    content = load_checkpoint(path)
    try:
        if path.suffix == ".pth":
            return canonical(content["network_weights"])
        return from_generic_unet(content["state_dict"])
    except (AttributeError, LookupError, TypeError) as error:
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


def read_pickle(path: Path) -> dict[str, Any]:
    """Read a pickle of built-in Python types and NumPy arrays; no other code is executed.

    Raises
    ------
    InvalidModelError
        If the file does not exist.
    ModelError
        If it is damaged or contains other objects.
    """
    if not path.is_file():
        raise InvalidModelError(f"{path} is missing; copy it from the same results folder.")
    try:
        with path.open("rb") as stream:
            return _ArrayUnpickler(stream).load()
    except Exception as error:  # the errors of a damaged pickle are of any type
        reason = " ".join(str(error).split())[:200]
        raise ModelError(
            f"{path} cannot be read as plans of nnU-Net v1 ({reason}); copy it again from its source."
        ) from None


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


class _ArrayUnpickler(pickle.Unpickler):
    """Unpickler of built-in Python types and NumPy arrays that rejects all other objects."""

    def find_class(self, module: str, name: str) -> Any:
        key = (module.replace("numpy._core", "numpy.core"), name)
        if key not in _ARRAY_TYPES:
            raise pickle.UnpicklingError(f"it contains {module}.{name}")
        return _ARRAY_TYPES[key]


class _Placeholder:
    """Placeholder for a tensor or a NumPy scalar."""

    def __init__(self, *_: object) -> None:
        pass

    def __setstate__(self, _: object) -> None:
        pass
