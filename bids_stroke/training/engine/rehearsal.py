"""Heads and lesion shapes of participants as sources of the simulator.

A lesion is filled with mirrored tissue of the opposite hemisphere, so that the simulator can paste
other lesions into the head.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from nibabel.affines import from_matvec

from bids_stroke.errors import DatasetError
from bids_stroke.spatial import grid, image, lesion_filling, linear_registration
from bids_stroke.training import parallel
from bids_stroke.training.finetuning_recipe import SOURCE, FinetuningRecipe
from bids_stroke.training.patients import arrays
from bids_stroke.training.patients.patient import Patient
from bids_stroke.training.simulation import subject_preparation, subjects
from bids_stroke.training.simulation.subjects import Lesion
from bids_stroke.training.simulation.synthesis import Simulator

from . import sources
from .participants import Scan


def build(
    recipe: FinetuningRecipe,
    patients: Sequence[Patient],
    scans: Sequence[Scan],
    out: Path,
    data: Path | None = None,
    processes: int = 1,
    report: Callable[[str], object] = print,
) -> Simulator:
    """Build a simulator from the heads and lesions of patients.

    Heads that could not be aligned with the template are not used.

    Parameters
    ----------
    recipe : FinetuningRecipe
    patients, scans : sequences of Patient and Scan
        The patients for training, and the scan of each.
    out : Path
        Output folder for prepared heads.
    data : Path, optional
        Folder with the training files of the simulation recipe, which are used in addition.
    processes : int
        Number of processes for the preparation.
    report : callable
        Function that receives messages for the user.

    Raises
    ------
    DatasetError
        If no head or no lesion is available.
    """
    usable = _usable(patients, scans, report)
    step = max(1, len(usable) // recipe.finetuning.heads)
    jobs = [(patient, out / "heads") for patient in usable[::step][: recipe.finetuning.heads]]
    heads = []
    for (patient, _), path in parallel.map_unordered(prepare_head, jobs, processes):
        if isinstance(path, Exception):
            message = parallel.error_message(path)
            report(f"{patient.name} is not used for the simulation: {message}")
        else:
            heads.append(subjects.read_subject(path))
    lesions = [shape for scan in scans if (shape := lesion_shape(scan, recipe.simulation.spacing))]
    if data:
        files = sources.find_files(recipe.simulation, data)["training"]
        more_heads, more_lesions = sources.load_files(files, out / "heads")
        heads, lesions = [*heads, *more_heads], [*lesions, *more_lesions]
    if not heads or not lesions:
        raise DatasetError(
            f"Strokes cannot be simulated, because no participant for training has a "
            f"{SOURCE if not heads else 'lesion'} in a head that is aligned with the template; add "
            "participants, or give heads and lesions with --data."
        )
    heads.sort(key=lambda head: head.name)
    return sources.build_simulator((heads, lesions), recipe.simulation)


def _usable(
    patients: Sequence[Patient], scans: Sequence[Scan], report: Callable[[str], object]
) -> list[Patient]:
    """Return the patients with a T1w and an aligned head, and report heads that are not aligned."""
    usable = []
    for patient, scan in zip(patients, scans, strict=True):
        if SOURCE in patient.contrasts and scan.template is not None:
            usable.append(patient)
        elif SOURCE in patient.contrasts:
            report(f"{patient.name} is not used for the simulation: the head could not be aligned.")
    return usable


def prepare_head(patient: Patient, folder: Path) -> Path:
    """Prepare the T1w of a patient, with a filled lesion, for the simulator, unless done before.

    Returns
    -------
    Path
        Archive for :func:`bids_stroke.training.simulation.subjects.read_subject`.
    """
    path = folder / f"{patient.name}-{patient.key[:12]}.npz"
    if not path.is_file():
        t1w, brain = patient.load(SOURCE), patient.load("brain")
        with TemporaryDirectory() as transforms:
            forward, backward = linear_registration.affine(t1w, brain, transforms)
            lesion = patient.load("lesion")
            filled = lesion_filling.fill_lesion(t1w, brain, lesion, forward, backward).img
        data = np.clip(filled.get_fdata(dtype=np.float32), 0, None) * (np.asanyarray(brain.dataobj) > 0)
        subjects.write_arrays(subject_preparation.prepare(image.like(data, filled)), path)
    return path


def lesion_shape(scan: Scan, spacing: float) -> Lesion | None:
    """Return the lesion of a scan with voxels of ``spacing`` mm as a shape for the simulator.

    Returns None without a lesion, or for a head that could not be aligned with the template.
    """
    label = arrays.read_array(scan.path, "label")
    if scan.template is None or not label.any():
        return None
    box = grid.bounding_box(label, 1)
    affine = scan.template @ from_matvec(np.eye(3), [part.start for part in box])
    volume = np.count_nonzero(label) * spacing**3 / 1000
    return Lesion(scan.path.stem, label[box].copy(), affine, volume)  # does not hold the whole label
