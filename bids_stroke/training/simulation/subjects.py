"""Sources of samples: healthy heads and brains, and real lesion shapes.

Prepared subjects are cached: tissue labels, T1w (except for label maps) and the registration to the
template.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from nibabel.affines import from_matvec

from bids_stroke.bids.names import is_image
from bids_stroke.errors import UsageError
from bids_stroke.spatial.grid import bounding_box
from bids_stroke.spatial.image import conform, load_supplied
from bids_stroke.spatial.masks import binarize
from bids_stroke.utils.files import PathLike, atomic

from .subject_preparation import FLUID_ON_FLAIR, prepare, prepare_pair


@dataclass(frozen=True)
class Subject:
    """Head or brain on a 1 mm RAS grid.

    Attributes
    ----------
    tissue : array of uint8, (x, y, z)
        Indices into :data:`bids_stroke.training.simulation.subject_preparation.TISSUES`.
    mask : array of bool, (x, y, z)
        Brain mask, including sulci and ventricles.
    t1w : array of uint8, (x, y, z), or None
        Skull-stripped T1w with white matter at
        :data:`bids_stroke.training.simulation.subject_preparation.WHITE`; None for a label map.
    flair : array of uint8, (x, y, z), or None
        Skull-stripped FLAIR of the same head with white matter at
        :data:`bids_stroke.training.simulation.subject_preparation.FLAIR_WHITE`.
    levels : array of 3 floats, or None
        Median T1w intensity of fluid, gray and white matter, relative to white matter.
    affine : array, (4, 4)
        Affine from voxels to coordinates of the subject (mm).
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
    flair: np.ndarray | None = None

    @property
    def fluid_levels(self) -> dict[str, float]:
        """Intensity of fluid by contrast, relative to white matter; empty for a label map."""
        if self.levels is None:
            return {}
        return {"T1w": float(self.levels[0]), "FLAIR": FLUID_ON_FLAIR}

    def center(self) -> np.ndarray:
        """Return the center of the brain's bounding box (voxels)."""
        box = bounding_box(self.mask)
        return np.array([(part.start + part.stop - 1) / 2 for part in box])


@dataclass(frozen=True)
class Lesion:
    """Lesion mask in template space, cropped to its bounding box."""

    name: str
    data: np.ndarray  # (x, y, z) bool
    affine: np.ndarray
    volume: float  # ml


def find_scans(folders: Iterable[PathLike]) -> list[Path]:
    """Return the sorted NIfTI files in folders or of file patterns.

    Raises
    ------
    UsageError
        If no file is found.
    """
    patterns = [Path(folder) for folder in folders]
    paths = sorted(path for pattern in patterns for path in _matching(pattern))
    if not paths:
        names = ", ".join(map(str, patterns))
        raise UsageError(f"No NIfTI file was found in {names}; give the folders of the images.")
    return paths


def _matching(folder: Path) -> Iterable[Path]:
    pattern = folder.parent.glob(folder.name) if "*" in folder.name else folder.glob("*.nii*")
    return (path for path in pattern if is_image(path.name))


def load_subject(path: PathLike, cache: PathLike) -> Subject:
    """Load a head from ``cache``, or prepare it.

    Integer images with values of at least 500 are label maps. A file ``NAME_T1W.nii.gz`` next to
    ``NAME_FLAIR.nii.gz`` is a head with skull whose two contrasts are used. All others are
    skull-stripped T1w images.
    """
    path = Path(path)
    name = path.name.split(".")[0]
    archive = Path(cache) / f"{name}.npz"
    if not archive.exists():
        flair = path.with_name(path.name.replace("_T1W.", "_FLAIR."))
        images = [conform(load_supplied(p)) for p in (path, flair) if p == path or p.is_file()]
        pair = flair != path and len(images) == 2
        arrays: dict[str, Any] = prepare_pair(*images) if pair else prepare(images[0])
        write_arrays(arrays, archive)
    return read_subject(archive)


def write_arrays(arrays: dict[str, Any], path: Path) -> None:
    """Write the arrays of a prepared subject
    (:func:`bids_stroke.training.simulation.subject_preparation.prepare`)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic(path) as partial, partial.open("wb") as stream:
        np.savez_compressed(stream, **arrays)


def read_subject(path: PathLike) -> Subject:
    """Read a prepared subject."""
    with np.load(path) as archive:
        arrays = {key: archive[key] for key in archive.files}
    return Subject(
        name=Path(path).stem,
        tissue=arrays["tissue"],
        mask=arrays["mask"],
        t1w=arrays.get("t1w"),
        levels=arrays.get("levels"),
        affine=arrays["affine"],
        template=arrays["template"],
        flair=arrays.get("flair"),
    )


def load_lesion(path: PathLike) -> Lesion | None:
    """Load a lesion mask in template space and crop it; return None if it is empty."""
    img = binarize(conform(load_supplied(path)))
    data = np.asanyarray(img.dataobj) > 0
    if not data.any():
        return None
    box = bounding_box(data, 1)
    start = from_matvec(np.eye(3), [part.start for part in box])
    volume = data.sum() * abs(np.linalg.det(img.affine[:3, :3])) / 1000
    # The folder is part of the name, because two cohorts may have the same file names.
    name = f"{Path(path).parent.name}/{Path(path).name}"
    return Lesion(name, data[box], img.affine @ start, float(volume))
