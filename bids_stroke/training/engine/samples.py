"""Samples for the training loop: an endless stream and a fixed validation set."""

from collections import deque
from collections.abc import Iterator, Sequence
from itertools import count
from typing import NamedTuple, TypeAlias

import numpy as np
import torch
from scipy import ndimage
from scipy.spatial.transform import Rotation
from torch.utils.data import Dataset, IterableDataset, get_worker_info

from bids_stroke.models import mirroring
from bids_stroke.training.recipe_settings import (
    LesionWeights,
    MirrorError,
    SimulationRecipe,
)
from bids_stroke.training.simulation.synthesis import Sample, Simulator, network_input

POOL_SIZE = 128  # simulated samples stored for reuse
#: Lesion volume (ml) with a weight of 1 if the loss is weighted by volume.
REFERENCE_ML = 10.0
#: Ratio of the errors of failed and usual alignments.
FAILED_ALIGNMENT = 10.0


#: Image (channels, x, y, z), label and brain mask (1, x, y, z).
Tensors: TypeAlias = tuple[torch.Tensor, torch.Tensor, torch.Tensor]


class WeightedTensors(NamedTuple):
    """Sample as presented to the network.

    ``image``: (channels, x, y, z), half precision; ``label`` and ``mask``: (1, x, y, z), bool;
    ``weight``: (1, x, y, z), half precision, weight of each voxel in the loss.
    """

    image: torch.Tensor
    label: torch.Tensor
    mask: torch.Tensor
    weight: torch.Tensor


#: Batched fields of :class:`WeightedTensors`.
Batch: TypeAlias = Sequence[torch.Tensor]


def tensors(sample: Sample, recipe: SimulationRecipe, rng: np.random.Generator) -> WeightedTensors:
    """Return the input, label and weights of a sample.

    Lesion voxels outside the extracted brain are excluded. With ``mirror`` in the recipe, channels
    reflected about a randomly inaccurate mid-sagittal plane are added.
    """
    image = network_input(sample, recipe.channels)
    if recipe.mirror:
        image = append_mirrored(image, sample.template, recipe.mirror, rng)
    label = sample.label & sample.mask
    weight = voxel_weights(label, sample.visibility, recipe.training.lesion_weights, recipe.spacing)
    return WeightedTensors(image.half(), label[None], sample.mask[None], weight.half()[None])


def append_mirrored(
    image: torch.Tensor, template: np.ndarray | None, error: MirrorError, rng: np.random.Generator
) -> torch.Tensor:
    """Append channels (channels, x, y, z) reflected about a randomly inaccurate mid-sagittal plane.

    ``template`` is the affine (4, 4) from voxels to template coordinates (mm). The channels are zero
    without it, and for the missing alignments of ``error``.
    """
    across = None if template is None else draw_reflection(template, error, rng)
    mirrored = torch.zeros_like(image) if across is None else mirroring.reflect(image, across)
    return torch.cat([image, mirrored])


def draw_reflection(
    template: np.ndarray, error: MirrorError, rng: np.random.Generator
) -> np.ndarray | None:
    """Draw a voxel-to-voxel reflection (4, 4) about an inaccurate mid-sagittal plane, or None for a
    missing alignment. ``template`` is the affine from voxels to template coordinates (mm)."""
    if rng.random() < error.missing:
        return None
    factor = FAILED_ALIGNMENT if rng.random() < error.wrong else 1.0
    inaccurate = np.eye(4)
    angles = rng.normal(0, factor * error.rotation, 3)
    inaccurate[:3, :3] = Rotation.from_euler("xyz", angles, degrees=True).as_matrix()
    inaccurate[:3, 3] = rng.normal(0, factor * error.shift, 3)
    return mirroring.reflection(inaccurate @ template)


def voxel_weights(
    label: torch.Tensor, visibility: torch.Tensor, settings: LesionWeights, spacing: float
) -> torch.Tensor:
    """Return the weight of each voxel in the loss.

    It is 1 outside lesions and, inside, the visibility times a factor for the volume of the lesion
    (:class:`bids_stroke.training.recipe_settings.LesionWeights`).
    """
    weight = torch.where(label, visibility.clamp(min=settings.floor), 1.0)
    if settings.power and label.any():
        numbers, _ = ndimage.label(label.cpu().numpy())
        volumes = np.bincount(numbers.ravel()) * spacing**3 / 1000
        factors = (REFERENCE_ML / volumes) ** settings.power
        factors = np.clip(factors, 1 / settings.limit, settings.limit).astype(np.float32)
        factors[0] = 1
        weight = weight * torch.from_numpy(factors[numbers]).to(weight.device)
    return weight


class SampleStream(IterableDataset[WeightedTensors]):
    """Endless stream of simulated samples, different in every worker.

    Parameters
    ----------
    simulator : Simulator
    recipe : SimulationRecipe
    seed : sequence of int
    """

    def __init__(self, simulator: Simulator, recipe: SimulationRecipe, seed: Sequence[int]) -> None:
        self.simulator = simulator
        self.recipe = recipe
        self.seed = seed

    def __iter__(self) -> Iterator[WeightedTensors]:
        worker = get_worker_info()
        seed = [*self.seed, worker.id if worker else 0]
        rng = np.random.default_rng(seed)
        shares = np.array([entry.share for entry in self.recipe.inputs])
        for number in count():
            contrasts = self.recipe.inputs[rng.choice(len(shares), p=shares / shares.sum())].contrasts
            yield tensors(self.simulator.sample([*seed, number], contrasts), self.recipe, rng)


class SamplePool:
    """Pool of recent samples for reuse, because simulating a sample takes longer than a training step.

    Parameters
    ----------
    size : int
        Number of stored samples. They stay on the device on which they arrive.
    seed : int
    """

    def __init__(self, size: int, seed: int) -> None:
        self.samples: deque[tuple[torch.Tensor, ...]] = deque(maxlen=size)
        self.rng = np.random.default_rng(seed)

    def batch(self, fresh: Batch, number: int) -> list[torch.Tensor]:
        """Store the samples of the batch ``fresh`` and return ``number`` stored samples.

        The fresh samples come first. Each sample is mirrored left-right at random.

        Returns
        -------
        list of Tensor
            Fields of :class:`WeightedTensors`, float32.
        """
        new = list(zip(*fresh, strict=True))
        self.samples.extend(new)
        indices = self.rng.integers(len(self.samples), size=number - len(new))
        selected = [*new, *(self.samples[index] for index in indices)]
        flipped = [
            [part.flip(1) for part in sample] if self.rng.integers(2) else sample for sample in selected
        ]
        return [torch.stack(parts).float() for parts in zip(*flipped, strict=True)]


class ValidationSamples(Dataset[tuple[torch.Tensor, torch.Tensor, torch.Tensor, int]]):
    """Fixed set of samples that cycle through the entries of the recipe's inputs."""

    def __init__(self, simulator: Simulator, recipe: SimulationRecipe, seed: Sequence[int]) -> None:
        self.samples: list[tuple[Tensors, int]] = []
        rng = np.random.default_rng(seed)
        for index in range(recipe.training.validation_samples):
            entry = index % len(recipe.inputs)
            sample = simulator.sample([*seed, index], recipe.inputs[entry].contrasts)
            image, label, mask, _ = (part.cpu() for part in tensors(sample, recipe, rng))
            self.samples.append(((image, label, mask), entry))

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, int]:
        (image, label, mask), entry = self.samples[index]
        return image.float(), label.float(), mask.float(), entry


def single_threaded(_: int) -> None:
    """Limit a loader's worker to one thread, because the training process uses the same cores."""
    torch.set_num_threads(1)
