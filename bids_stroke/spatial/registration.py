"""Repeatable registration with ANTs.

Transforms are ANTs files (:mod:`bids_stroke.spatial.transforms`).

    python -m bids_stroke.spatial.registration FOLDER

runs the registration in the subprocess that
:func:`bids_stroke.spatial.registration.register_single_threaded` starts.
"""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, NamedTuple

import nibabel as nib
import numpy as np

import bids_stroke

from . import image
from .transforms import to_ants

if TYPE_CHECKING:  # slow to load
    from ants import ANTsImage

#: Environment variable with the number of threads, which ANTs reads at startup.
THREADS = "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS"
#: Default random seed of registrations.
SEED = 1
#: Options of SyN: large gradient steps, and few iterations at 2 mm, where each takes seconds.
SYN: Mapping[str, Any] = {
    "syn_metric": "mattes",
    "syn_sampling": 32,
    "grad_step": 1.0,
    "reg_iterations": (60, 30, 5),
}
#: File names in the folder of the subprocess.
_IMAGES = ("fixed", "moving", "mask", "moving_mask")
_REQUEST, _RESULT = "request.json", "transforms.json"


class Registration(NamedTuple):
    """Transform files from the moving image to the fixed image (``forward``) and back (``inverse``), in
    the order of ANTs: the last transform is applied first."""

    forward: tuple[str, ...]
    inverse: tuple[str, ...]


def register(
    fixed: "ANTsImage", moving: "ANTsImage", seed: int = SEED, **options: object
) -> Registration:
    """Run ``ants.registration`` with ``options`` and a fixed random seed.

    The results of SyN are bitwise identical for the same number of threads
    (:data:`bids_stroke.spatial.registration.THREADS`). Rigid and affine registrations are repeatable
    only with one thread (:func:`bids_stroke.spatial.registration.register_single_threaded`).
    """
    import ants

    threads = os.environ.get(THREADS)
    # Only this function sets the seed of ANTs; it also sets the number of threads, which is restored.
    ants.config.set_ants_deterministic(True, seed_value=seed)
    if threads is None:
        del os.environ[THREADS]
    else:
        os.environ[THREADS] = threads
    result = ants.registration(fixed, moving, **options)
    return Registration(*(_paths(result[key]) for key in ("fwdtransforms", "invtransforms")))


def _paths(transforms: str | list[str]) -> tuple[str, ...]:
    """Return the paths of transforms as a tuple; for a composite transform, ANTs returns a string."""
    return (transforms,) if isinstance(transforms, str) else tuple(transforms)


def register_single_threaded(
    images: Mapping[str, nib.Nifti1Image], outprefix: str, **options: object
) -> Registration:
    """Run :func:`bids_stroke.spatial.registration.register` in a single-threaded subprocess.

    With several threads, Mattes mutual information sums the parts of its derivative in the order in
    which the threads finish, and a subsequent SyN registration amplifies the rounding differences.
    With one thread, the result does not depend on the number of cores.

    Parameters
    ----------
    images : mapping of str to nib.Nifti1Image
        The images ``fixed`` and ``moving`` and, optionally, ``mask`` and ``moving_mask``.
    outprefix : str
        Prefix of the output files.
    **options
        Options of ``ants.registration``.

    Raises
    ------
    RuntimeError
        If the subprocess fails.
    """
    with TemporaryDirectory() as name:
        folder = Path(name)
        for key, img in images.items():
            image.save(image.like(img.dataobj, img, np.float32), folder / f"{key}.nii")
        (folder / _REQUEST).write_text(json.dumps({**options, "outprefix": outprefix}))
        package = str(Path(bids_stroke.__file__).parents[1])
        path = os.pathsep.join(filter(None, (package, os.environ.get("PYTHONPATH"))))
        done = subprocess.run(
            [sys.executable, "-P", "-m", __name__, name],
            env=os.environ | {THREADS: "1", "PYTHONPATH": path},
            capture_output=True,
            text=True,
        )
        if done.returncode:
            kind = options.get("type_of_transform")
            raise RuntimeError(f"The registration ({kind}) failed: {done.stderr[-2000:]}")
        return Registration(*map(tuple, json.loads((folder / _RESULT).read_text())))


def main(folder: Path) -> None:
    """Register the images in a folder with the options in its request, and write the paths of the
    transforms."""
    images = {
        key: to_ants(image.open_image(path))
        for key in _IMAGES
        if (path := folder / f"{key}.nii").exists()
    }
    request: dict[str, Any] = json.loads((folder / _REQUEST).read_text())
    # ANTsPy accepts only tuples, which JSON stores as lists.
    request = {key: tuple(v) if isinstance(v, list) else v for key, v in request.items()}
    (folder / _RESULT).write_text(json.dumps(register(**images, **request)))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
