"""Samples from the scans of participants, for a network with or without mirrored channels."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch.utils.data import IterableDataset

from bids_stroke.errors import DatasetError
from bids_stroke.models import frame, mirroring
from bids_stroke.spatial.grid import bounding_box
from bids_stroke.training import parallel
from bids_stroke.training.patients import arrays
from bids_stroke.training.patients.patient import Patient
from bids_stroke.training.recipe_settings import GridData, SimulationRecipe
from bids_stroke.utils.files import atomic

from . import stages
from .augmentation import augment
from .samples import SampleStream, WeightedTensors, append_mirrored

#: Largest distance (voxels) between the centers of the brain and of a random tile. It is larger for
#: a brain that does not fit into a tile.
JITTER = 6


@dataclass(frozen=True)
class Scan:
    """Scan of a participant on the network's grid.

    Attributes
    ----------
    participant : str
        Name of the participant, unique among datasets.
    path : Path
        Archive written by :func:`bids_stroke.training.patients.arrays.arrays`.
    groups : sequence of sequence of str
        Sets of contrasts that are presented together.
    template : array, (4, 4), or None
        Affine from voxels to coordinates of the symmetric template (mm); None for a head that could
        not be aligned.
    """

    participant: str
    path: Path
    groups: Sequence[Sequence[str]]
    template: np.ndarray | None


def prepare(
    parts: Mapping[str, Sequence[Patient]], data: GridData, out: Path, processes: int
) -> dict[str, list[Scan]]:
    """Resample the scans of patients to the grid of a network and align the heads.

    Parameters
    ----------
    parts : dict of str to sequence of Patient
        Patients by part of the split.
    data : GridData
    out : Path
        Output folder.
    processes : int
        Number of processes.

    Returns
    -------
    dict of str to list of Scan
        Scans by part, sorted by name.

    Raises
    ------
    DatasetError
        If a scan cannot be resampled or aligned.
    """
    patients = {patient.name: patient for part in parts.values() for patient in part}
    paths = stages.prepare_arrays(patients.values(), data, out / "arrays", processes)
    scans = {}
    jobs = [(patient, data, out / "arrays") for patient in patients.values()]
    for (patient, *_), path in parallel.map_unordered(align, jobs, processes):
        if isinstance(path, Exception):
            raise DatasetError(
                f"{patient.name} cannot be aligned: {parallel.error_message(path)}"
            ) from path
        groups = [group for group in data.groups if set(group) <= set(patient.contrasts)]
        template = read_alignment(path)
        scans[patient.name] = Scan(patient.participant, paths[patient.name], groups, template)
    return {
        part: [scans[name] for name in sorted(p.name for p in members)]
        for part, members in parts.items()
    }


def align(patient: Patient, data: GridData, folder: Path) -> Path:
    """Write the affine from the voxels of a scan to the symmetric template, unless done before.

    The first available contrast of the network is aligned, as in
    :func:`bids_stroke.models.inference.prepare`. The affine (4, 4) contains NaN if the head could not
    be aligned.

    Returns
    -------
    Path
    """
    path = folder / f"{patient.name}-{patient.key[:12]}.npy"
    if not path.is_file():
        brain = patient.load("brain")
        first = next(contrast for contrast in data.contrasts if contrast in patient.contrasts)
        matrix = mirroring.align(patient.load(first), brain)
        affine = frame.native(brain, data.spacing).mask.affine
        matrix = np.full((4, 4), np.nan) if matrix is None else matrix @ affine
        with atomic(path) as partial, partial.open("wb") as stream:
            np.save(stream, matrix)
    return path


def read_alignment(path: Path) -> np.ndarray | None:
    """Read an affine written by :func:`align`; None for a head that could not be aligned."""
    matrix = np.load(path)
    return None if np.isnan(matrix).any() else matrix


def channels(image: np.ndarray, group: Iterable[str], recipe: SimulationRecipe) -> np.ndarray:
    """Return the channels (channels, x, y, z) as float32, with zeros for contrasts not in ``group``."""
    shown = np.array([contrast in group for contrast in recipe.channels], np.float32)
    return image.astype(np.float32) * shown[:, None, None, None]


class ParticipantSamples:
    """Random samples of the scans of participants.

    Parameters
    ----------
    scans : sequence of Scan
    recipe : SimulationRecipe
        Channels, tile and errors of the mid-sagittal plane.
    """

    def __init__(self, scans: Sequence[Scan], recipe: SimulationRecipe) -> None:
        self.scans, self.recipe = scans, recipe

    def draw(self, rng: np.random.Generator) -> WeightedTensors:
        """Draw a scan, a set of its contrasts, and a tile at the center of the brain, or within a brain
        that is larger than the tile, and transform it at random
        (:func:`bids_stroke.training.engine.augmentation.augment`)."""
        scan = self.scans[int(rng.integers(len(self.scans)))]
        group = scan.groups[int(rng.integers(len(scan.groups)))]
        volumes = arrays.read(scan.path)
        tile = self.recipe.tile
        start = [
            draw_start(part, side, rng)
            for part, side in zip(bounding_box(volumes.mask), tile, strict=True)
        ]
        whole = torch.from_numpy(channels(volumes.image, group, self.recipe))
        if self.recipe.mirror:  # before cropping, because the opposite side may be outside the tile
            whole = append_mirrored(whole, scan.template, self.recipe.mirror, rng)
        image, label, mask = (
            torch.from_numpy(crop(part, start, tile))
            for part in (whole.numpy(), volumes.label[None], volumes.mask[None])
        )
        image, label, mask = augment((image, label, mask), rng)
        weight = torch.ones_like(label, dtype=torch.float16)
        return WeightedTensors(image.half(), label & mask, mask, weight)


class MixedStream(IterableDataset[WeightedTensors]):
    """Endless stream of simulated samples and samples of participants.

    Parameters
    ----------
    simulated : SampleStream
    participants : ParticipantSamples
    share : float
        Share of simulated samples.
    seed : int
    """

    def __init__(
        self, simulated: SampleStream, participants: ParticipantSamples, share: float, seed: int
    ) -> None:
        self.simulated, self.participants = simulated, participants
        self.share, self.seed = share, seed

    def __iter__(self) -> Iterator[WeightedTensors]:
        rng = np.random.default_rng(self.seed)
        simulated = iter(self.simulated)
        while True:
            yield next(simulated) if rng.random() < self.share else self.participants.draw(rng)


def draw_start(brain: slice, side: int, rng: np.random.Generator) -> int:
    """Draw the first voxel of a tile with ``side`` voxels along an axis of the brain."""
    distance = JITTER + max(0, brain.stop - brain.start - side) // 2
    return (brain.start + brain.stop - side) // 2 + int(rng.integers(-distance, distance + 1))


def crop(data: np.ndarray, start: Sequence[int], shape: Sequence[int]) -> np.ndarray:
    """Crop an array (channels, x, y, z) to a box, padded with zeros outside the array.

    Examples
    --------
    >>> crop(np.arange(1, 4).reshape(1, 3, 1, 1), (-1, 0, 0), (3, 1, 1)).ravel().tolist()
    [0, 1, 2]
    """
    result = np.zeros((len(data), *shape), data.dtype)
    source, target = [slice(None)], [slice(None)]
    for first, side, available in zip(start, shape, data.shape[1:], strict=True):
        low, high = max(first, 0), min(first + side, available)
        source.append(slice(low, max(low, high)))
        target.append(slice(low - first, max(low, high) - first))
    result[tuple(target)] = data[tuple(source)]
    return result
