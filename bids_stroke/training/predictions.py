"""What trained networks predict on the scans of their training's grid: each predicts once."""

from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd

from bids_stroke.bids.derivatives import write_tsv
from bids_stroke.compute import devices
from bids_stroke.lesion import postprocessing
from bids_stroke.models import ensembles, inference
from bids_stroke.spatial import image, templates
from bids_stroke.spatial.grid import regrid, voxel_volume
from bids_stroke.utils import files

TABLE = "arrays.tsv"
SPACE = f"space-{templates.TEMPLATE}"


@dataclass(frozen=True)
class Case:
    """A scan on the network's grid: ``part`` of the split, and the archive of
    :func:`bids_stroke.training.patients.preparation.arrays`."""

    name: str
    part: str
    path: Path

    def array(self, key):
        """``image``, ``label`` or ``mask``."""
        with np.load(self.path) as kept:
            return kept[key]


def write_table(parts, paths, out):
    """Write which archive is whose; ``parts`` of patients, ``paths`` by their names."""
    rows = [(one.name, part, paths[one.name].name) for part, found in parts.items() for one in found]
    table = pd.DataFrame(rows, columns=["case", "part", "file"]).drop_duplicates("case")
    return write_tsv(table, out / TABLE)


def cases(run, part):
    """Scans of a part of a training with several runs."""
    table = pd.read_csv(run / TABLE, sep="\t", dtype=str)
    rows = table[table["part"] == part].itertuples()
    return [Case(row.case, row.part, run / "arrays" / row.file) for row in rows]


class Predictions:
    """Probabilities of networks, kept in ``folder`` by the checksum of the weights."""

    def __init__(self, folder, device="cpu"):
        self.folder, self.device = Path(folder), devices.resolve(device)

    def of(self, leaf, case):
        """Probability of a network's card; float16, (x, y, z)."""
        path = self.folder / leaf.sha256[:16] / f"{case.name}-{case.path.stem[-12:]}.npy"
        if not path.is_file():
            channels = case.array("image").astype(np.float32)
            found = inference.predict_network(leaf, channels, self.device) * case.array("mask")
            with files.atomic(path) as partial, partial.open("wb") as stream:
                np.save(stream, found.astype(np.float16))
        return np.load(path)

    def mask(self, model, case):
        """Mask of a card or an ensemble after its post-processing; bool, (x, y, z)."""
        answers = {leaf.identity(): self.of(leaf, case) for leaf in model.leaves}
        grid = template_grid(model.spacing)
        found = ensembles.combine(model, answers, grid)
        volume = voxel_volume(grid)
        return postprocessing.threshold(found, model.threshold, model.min_component_mm3, volume) > 0


def template_grid(spacing):
    """The whole of the template at ``spacing`` (mm), as networks see it."""
    return regrid(templates.template().brain, spacing, order=0)


def write_masks(predictions, models, cases, out):
    """Write the masks of models, and the true ones, under names that ``bids_stroke-evaluate`` knows.

    Parameters
    ----------
    predictions : Predictions
    models : dict of str to Card or Ensemble
        By the name that tables show.
    cases : sequence of Case
    out : Path
        Receives ``truth`` and ``models/NUMBER``.

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


def _write(mask, grid, case, folder):
    participant = "sub-" + "".join(letter for letter in case.name if letter.isalnum())
    path = folder / participant / "anat" / f"{participant}_{SPACE}_label-L_mask.nii.gz"
    image.save(nib.Nifti1Image(mask.astype(np.uint8), grid.affine), path)
