"""Cached predictions of trained networks on scans resampled to the training grid."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import nibabel as nib
import numpy as np
import pandas as pd

from bids_stroke.bids.derivatives import write_tsv
from bids_stroke.bids.names import derivative, folder_of, session_name
from bids_stroke.compute import devices
from bids_stroke.lesion import postprocessing
from bids_stroke.models import ensembles, inference
from bids_stroke.models.card import Card
from bids_stroke.models.ensembles import Ensemble
from bids_stroke.spatial import image, templates
from bids_stroke.spatial.grid import regrid, voxel_volume
from bids_stroke.utils import files
from bids_stroke.utils.files import PathLike

from .patients.arrays import read_array
from .patients.patient import Parts

TABLE = "arrays.tsv"


@dataclass(frozen=True)
class Case:
    """Scan on the network's grid: name, part of the split, and path of the archive
    (:func:`bids_stroke.training.patients.arrays.arrays`)."""

    name: str
    part: str
    path: Path

    def array(self, name: Literal["image", "label", "mask"]) -> np.ndarray:
        """Read one array of the archive."""
        return read_array(self.path, name)


def write_table(parts: Parts, paths: Mapping[str, Path], out: Path) -> Path:
    """Write a table of the part and the archive of each patient; ``paths`` are by patient name."""
    rows = [
        (patient.name, part, paths[patient.name].name)
        for part, patients in parts.items()
        for patient in patients
    ]
    table = pd.DataFrame(rows, columns=["case", "part", "file"]).drop_duplicates("case")
    return write_tsv(table, out / TABLE)


def read_cases(run: Path, part: str) -> list[Case]:
    """Return the scans of a part of a training with several runs."""
    table = pd.read_csv(run / TABLE, sep="\t", dtype=str)
    rows = table.loc[table["part"] == part, ["case", "file"]].itertuples(index=False, name=None)
    return [Case(name, part, run / "arrays" / file) for name, file in rows]


class Predictions:
    """Predictions of networks, cached in ``folder`` by the checksum of the weights."""

    def __init__(self, folder: PathLike, device: str = "cpu") -> None:
        self.folder, self.device = Path(folder), devices.resolve(device)

    def probability(self, leaf: Card, case: Case) -> np.ndarray:
        """Return the lesion probability of a network, float16 (x, y, z)."""
        path = self.folder / leaf.sha256[:16] / f"{case.name}-{case.path.stem[-12:]}.npy"
        if not path.is_file():
            channels = case.array("image").astype(np.float32)
            predicted = inference.predict_network(leaf, channels, self.device) * case.array("mask")
            with files.atomic(path) as partial, partial.open("wb") as stream:
                np.save(stream, predicted.astype(np.float16))
        return np.load(path)

    def mask(self, model: Card | Ensemble, case: Case) -> np.ndarray:
        """Return the post-processed mask of a network or an ensemble, bool (x, y, z)."""
        predictions = {leaf.identity(): self.probability(leaf, case) for leaf in model.leaves}
        grid = template_grid(model.spacing)
        combined = ensembles.combine(model, predictions, grid)
        volume = voxel_volume(grid)
        return postprocessing.threshold(combined, model.threshold, model.min_component_mm3, volume) > 0


def template_grid(spacing: Sequence[float]) -> nib.Nifti1Image:
    """Return the grid of the whole template at ``spacing`` (mm)."""
    return regrid(templates.template().brain, spacing, order=0)


def write_masks(
    predictions: Predictions,
    models: Mapping[str, Card | Ensemble],
    cases: Sequence[Case],
    out: Path,
) -> dict[str, Path]:
    """Write predicted and true masks with file names for ``bids_stroke-evaluate``.

    Parameters
    ----------
    predictions : Predictions
    models : dict of str to Card or Ensemble
        Models by their name in tables.
    cases : sequence of Case
    out : Path
        Output folder for ``truth`` and ``models/NUMBER``.

    Returns
    -------
    dict of str to Path
        Folder of each model.
    """
    folders = {name: out / "models" / f"{n:02d}" for n, name in enumerate(models)}
    for case in cases:
        grid = template_grid(next(iter(models.values())).spacing)
        _write(case.array("label"), grid, case, out / "truth")
        for name, model in models.items():
            _write(predictions.mask(model, case), grid, case, folders[name])
    return folders


def _write(mask: np.ndarray, grid: nib.Nifti1Image, case: Case, folder: Path) -> None:
    name = session_name("".join(letter for letter in case.name if letter.isalnum()))
    path = folder / folder_of(name) / derivative(name, "mask", space=templates.TEMPLATE, label="L")
    image.save(nib.Nifti1Image(mask.astype(np.uint8), grid.affine), path)
