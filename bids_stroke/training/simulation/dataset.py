"""Simulated patients as a BIDS dataset, with true masks in a derivatives folder."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import nibabel as nib
import numpy as np
import pandas as pd

from bids_stroke import __version__
from bids_stroke.bids.derivatives import write_json, write_tsv
from bids_stroke.bids.names import derivative, folder_of, session_name, sidecar_of
from bids_stroke.spatial.grid import voxel_volume
from bids_stroke.spatial.image import save

from .synthesis import PlannedLesions, Sample, Simulator

#: Head of a participant (an index), and its lesions; None for what is drawn.
PlannedParticipant: TypeAlias = tuple[int | None, PlannedLesions | None]
Images: TypeAlias = dict[str, nib.Nifti1Image]

MASKS = {"lesion": {"label": "L", "desc": "truth"}, "brain": {"desc": "brain"}}
UNIT = 1000  # stored intensity of white matter
SIDECARS: dict[str, dict[str, Any]] = {
    "T1w": {
        "MagneticFieldStrength": 3,
        "PulseSequenceType": "MPRAGE",
        "EchoTime": 0.003,
        "InversionTime": 0.9,
        "FlipAngle": 9,
        "MRAcquisitionType": "3D",
    },
    "FLAIR": {
        "MagneticFieldStrength": 3,
        "PulseSequenceType": "Inversion recovery fast spin echo",
        "EchoTime": 0.09,
        "RepetitionTime": 9.0,
        "InversionTime": 2.5,
        "FlipAngle": 150,
        "MRAcquisitionType": "2D",
    },
    "T2w": {
        "MagneticFieldStrength": 3,
        "PulseSequenceType": "Fast spin echo",
        "EchoTime": 0.1,
        "RepetitionTime": 5.0,
        "FlipAngle": 150,
        "MRAcquisitionType": "2D",
    },
}
PARTICIPANTS: dict[str, dict[str, Any]] = {
    "head": {"Description": "Head or brain that the lesion was simulated on"},
    "stage": {
        "Description": "Stage of the lesion",
        "Levels": {"chronic": "cavity and gliosis", "subacute": "swelling"},
    },
    "lesion_volume": {"Description": "Volume of the true lesion", "Units": "mL"},
}
README = """\
Simulated strokes: real lesion shapes painted on other people's brains by bids_stroke-simulate.

The true masks of lesion and brain are in derivatives/truth. The images carry the licence of the
brains that they were made from.
"""


def write(
    folder: Path,
    simulator: Simulator,
    plan: Sequence[PlannedParticipant],
    seed: int,
    contrasts: Sequence[str],
) -> Iterator[tuple[str, float]]:
    """Write a dataset of simulated samples.

    Parameters
    ----------
    folder : Path
        An empty folder.
    simulator : Simulator
    plan : list of (int or None, list or None)
        Head and lesions of each participant, as
        :meth:`bids_stroke.training.simulation.synthesis.Simulator.sample` takes them.
    seed : int
        Participant ``i`` (from 1) is sample ``[seed, i]``.
    contrasts : sequence of str

    Yields
    ------
    tuple of (str, float)
        Name of a participant that was written, and the volume of its lesion (ml).
    """
    truth = folder / "derivatives" / "truth"
    describe(folder, truth, seed, README, "Simulated strokes")
    rows = []
    for number, (head, lesions) in enumerate(plan, 1):
        name = session_name(f"{number:03d}")
        sample = simulator.sample([seed, number], contrasts, head, lesions)
        scans, masks = images(sample)
        ml = write_participant(folder, truth, name, scans, masks, SIDECARS)
        rows.append((name, sample.head, "+".join(sample.stages) or None, ml))
        yield name, ml
    write_tsv(
        pd.DataFrame(rows, columns=["participant_id", *PARTICIPANTS]), folder / "participants.tsv"
    )
    write_json(PARTICIPANTS, folder / "participants.json")


def write_participant(
    folder: Path,
    truth: Path,
    name: str,
    scans: Images,
    masks: Images,
    sidecars: Mapping[str, Mapping[str, Any]],
) -> float:
    """Write the images and true masks of one participant.

    Parameters
    ----------
    folder, truth : Path
        The dataset, and its derivatives with the truth.
    scans : dict of str to nib.Nifti1Image
        Contrast to image; the first one is the reference.
    masks : dict of str to nib.Nifti1Image
        ``lesion`` and ``brain`` on the grid of the reference.
    sidecars : dict of str to dict
        Acquisition parameters by contrast.

    Returns
    -------
    float
        Volume of the lesion (ml).
    """
    for contrast, img in scans.items():
        path = save(img, folder / folder_of(name) / derivative(name, contrast))
        write_json(sidecars[contrast], sidecar_of(path))
    reference = next(iter(scans))
    uri = f"bids:raw:{(folder_of(name) / derivative(name, reference)).as_posix()}"
    for kind, entities in MASKS.items():
        path = truth / folder_of(name) / derivative(name, "mask", space=reference, **entities)
        save(masks[kind], path)
        sidecar = {"Type": kind.title(), "Sources": [uri], "SpatialReference": uri}
        write_json(sidecar, sidecar_of(path))
    lesion = masks["lesion"]
    return float(np.asanyarray(lesion.dataobj).sum() * voxel_volume(lesion) / 1000)


def images(sample: Sample) -> tuple[Images, Images]:
    """Scans and masks of a :class:`bids_stroke.training.simulation.synthesis.Sample` as NIfTI images.

    Of what is outside the brain a stripped T1w tells nothing; it is zero.
    """
    keep = sample.brain if sample.stripped else 1
    scans = {
        contrast: _store((image * keep * UNIT).round().short().cpu().numpy(), sample.affine)
        for contrast, image in sample.images.items()
    }
    masks = {
        "lesion": _store(sample.label.byte().cpu().numpy(), sample.affine),
        "brain": _store(sample.brain.byte().cpu().numpy(), sample.affine),
    }
    return scans, masks


def _store(data: np.ndarray, affine: np.ndarray) -> nib.Nifti1Image:
    img = nib.Nifti1Image(data, affine)
    img.set_sform(affine, 1)
    img.set_qform(affine, 1)
    img.header.set_xyzt_units("mm")
    return img


def describe(
    folder: Path, truth: Path, seed: int, readme: str, name: str, licence: str | None = None
) -> None:
    """Write the descriptions of the dataset ``folder`` and its derivatives ``truth``."""
    shared: dict[str, Any] = {
        "BIDSVersion": "1.10.0",
        "Authors": ["bids_stroke"],
        "GeneratedBy": [
            {
                "Name": "bids_stroke-simulate",
                "Version": __version__,
                "Description": f"Simulation with seed {seed}",
            }
        ],
    }
    if licence:
        shared["License"] = licence
    raw = {"Name": name, "DatasetType": "raw", **shared}
    write_json(raw, folder / "dataset_description.json")
    (folder / "README").write_text(readme)
    links = {"SourceDatasets": [{"URL": "../.."}], "DatasetLinks": {"raw": "../.."}}
    masks = {"Name": f"{name}: true masks", "DatasetType": "derivative"}
    write_json(masks | shared | links, truth / "dataset_description.json")
    (truth / "README").write_text(readme)
    (truth / "descriptions.tsv").write_text(
        "desc_id\tdescription\n"
        "desc-truth\tLesion, voxels of at least half lesion.\n"
        "desc-brain\tBrain, voxels of at least half brain.\n"
    )
