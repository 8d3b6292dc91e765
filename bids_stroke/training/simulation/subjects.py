"""Sources of samples: healthy heads and brains, and shapes of real lesions.

A subject is prepared once and kept in a cache: tissue labels, the T1w where there is one, and
where its points lie in the template (a registration).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from nibabel.affines import from_matvec

from bids_stroke.errors import DatasetError
from bids_stroke.spatial.grid import bounding_box
from bids_stroke.spatial.image import conform, load_supplied
from bids_stroke.spatial.masks import binarize
from bids_stroke.utils.files import PathLike, atomic

from .subject_preparation import prepare

Item = TypeVar("Item")


@dataclass(frozen=True)
class Subject:
    """A head or brain on a 1 mm RAS grid.

    Attributes
    ----------
    tissue : array of uint8, (x, y, z)
        Indices into :data:`bids_stroke.training.simulation.subject_preparation.TISSUES`.
    mask : array of bool, (x, y, z)
        Brain, sulci and ventricles included.
    t1w : array of uint8, (x, y, z), or None
        Skull-stripped T1w, white matter at
        :data:`bids_stroke.training.simulation.subject_preparation.WHITE`; None for a label map.
    levels : array of 3 floats, or None
        Median T1w of fluid, gray and white matter, relative to white matter.
    affine : array, (4, 4)
        Voxels to mm of the subject.
    template : array of float16, (3, i, j, k)
        MNI coordinates (mm) of nodes, every ``NODES`` voxels from the first voxel.
    """

    name: str
    tissue: np.ndarray
    mask: np.ndarray
    t1w: np.ndarray | None
    levels: np.ndarray | None
    affine: np.ndarray
    template: np.ndarray

    def centre(self) -> np.ndarray:
        """Centre of the brain's bounding box, in voxels."""
        box = bounding_box(self.mask)
        return np.array([(part.start + part.stop - 1) / 2 for part in box])


@dataclass(frozen=True)
class Lesion:
    """A lesion mask in template space, cropped to its bounding box."""

    name: str
    data: np.ndarray  # (x, y, z) bool
    affine: np.ndarray
    volume: float  # ml


def scans(folders: Iterable[PathLike]) -> list[Path]:
    """Sorted NIfTI files of some folders."""
    folders = list(folders)
    paths = sorted(path for folder in folders for path in Path(folder).glob("*.nii*"))
    if not paths:
        raise DatasetError(f"No NIfTI file lies in {', '.join(map(str, folders))}.")
    return paths


def split(
    paths: Sequence[Item], validation: float, test: float, seed: int
) -> tuple[list[Item], list[Item], list[Item]]:
    """Divide files at random into (training, validation, test); the shares are counts or, below
    one, fractions."""
    counts = [round(share * len(paths)) if share < 1 else int(share) for share in (validation, test)]
    order = np.random.default_rng(seed).permutation(len(paths))
    shuffled = [paths[i] for i in order]
    first, second = counts[0], sum(counts)
    return shuffled[second:], shuffled[:first], shuffled[first:second]


def subject(path: PathLike, cache: PathLike) -> Subject:
    """Prepare a label map or a skull-stripped T1w, or read it from ``cache``.

    Integer images with values of at least 500 are label maps.
    """
    name = Path(path).name.split(".")[0]
    kept = Path(cache) / f"{name}.npz"
    if not kept.exists():
        arrays: dict[str, Any] = prepare(conform(load_supplied(path)))
        kept.parent.mkdir(parents=True, exist_ok=True)
        with atomic(kept) as partial, partial.open("wb") as stream:
            np.savez_compressed(stream, **arrays)
    return cached(kept)


def cached(path: PathLike) -> Subject:
    """Read a prepared subject."""
    with np.load(path) as kept:
        arrays = {key: kept[key] for key in kept.files}
    return Subject(
        name=Path(path).stem,
        tissue=arrays["tissue"],
        mask=arrays["mask"],
        t1w=arrays.get("t1w"),
        levels=arrays.get("levels"),
        affine=arrays["affine"],
        template=arrays["template"],
    )


def lesion(path: PathLike) -> Lesion | None:
    """Load a lesion mask in template space and crop it; None where it is empty."""
    img = binarize(conform(load_supplied(path)))
    data = np.asanyarray(img.dataobj) > 0
    if not data.any():
        return None
    box = bounding_box(data, 1)
    start = from_matvec(np.eye(3), [part.start for part in box])
    volume = data.sum() * abs(np.linalg.det(img.affine[:3, :3])) / 1000
    # The folder is part of the name: two cohorts may number their patients alike.
    name = f"{Path(path).parent.name}/{Path(path).name}"
    return Lesion(name, data[box], img.affine @ start, float(volume))
