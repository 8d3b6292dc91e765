"""Samples for the training loop: an endless stream, and a fixed set for validation."""

from collections import deque
from collections.abc import Iterator, Sequence
from itertools import count
from typing import TypeAlias

import numpy as np
import torch
from torch.utils.data import Dataset, IterableDataset, get_worker_info

from bids_stroke.training.recipe_settings import Input
from bids_stroke.training.simulation.synthesis import Sample, Simulator, network_input

POOL = 128  # simulated samples that are kept, to be shown again
#: Image (channels, x, y, z), label and brain mask (1, x, y, z).
Tensors: TypeAlias = tuple[torch.Tensor, torch.Tensor, torch.Tensor]


def tensors(sample: Sample, channels: Sequence[str]) -> Tensors:
    """Image ``(channels, x, y, z)`` in half precision, label and mask ``(1, x, y, z)``, bool.

    The lesion outside the extracted brain cannot be seen, and is left out.
    """
    label = (sample.label & sample.mask)[None]
    return network_input(sample, channels).half(), label, sample.mask[None]


class Stream(IterableDataset[Tensors]):
    """Endless samples of one simulator, different in every worker.

    Parameters
    ----------
    simulator : Simulator
    channels : sequence of str
        Contrasts that the network takes, in order.
    inputs : sequence of Input
        Contrasts that are shown together.
    seed : sequence of int
    """

    def __init__(
        self,
        simulator: Simulator,
        channels: Sequence[str],
        inputs: Sequence[Input],
        seed: Sequence[int],
    ) -> None:
        self.simulator = simulator
        self.channels = channels
        self.inputs = inputs
        self.seed = seed

    def __iter__(self) -> Iterator[Tensors]:
        worker = get_worker_info()
        seed = [*self.seed, worker.id if worker else 0]
        rng = np.random.default_rng(seed)
        shares = np.array([entry.share for entry in self.inputs])
        for number in count():
            chosen = self.inputs[rng.choice(len(shares), p=shares / shares.sum())].contrasts
            yield tensors(self.simulator.sample([*seed, number], chosen), self.channels)


class Pool:
    """The last samples, shown again: making one takes longer than learning from it.

    Parameters
    ----------
    size : int
        Samples that are kept, on the device where they arrive.
    seed : int
    """

    def __init__(self, size: int, seed: int) -> None:
        self.samples: deque[tuple[torch.Tensor, ...]] = deque(maxlen=size)
        self.rng = np.random.default_rng(seed)

    def batch(self, fresh: Sequence[torch.Tensor], number: int) -> list[torch.Tensor]:
        """Keep the samples of the batch ``fresh``, and show ``number`` of those that are kept, the
        fresh ones first, each mirrored (left-right) or not.

        Returns
        -------
        list of Tensor
            Image, label and mask, float32.
        """
        new = list(zip(*fresh, strict=True))
        self.samples.extend(new)
        again = self.rng.integers(len(self.samples), size=number - len(new))
        shown = [*new, *(self.samples[index] for index in again)]
        turned = [
            [part.flip(1) for part in sample] if self.rng.integers(2) else sample for sample in shown
        ]
        return [torch.stack(parts).float() for parts in zip(*turned, strict=True)]


class Fixed(Dataset[tuple[torch.Tensor, torch.Tensor, torch.Tensor, int]]):
    """The same samples every time, each with the next entry of ``inputs``."""

    def __init__(
        self,
        simulator: Simulator,
        channels: Sequence[str],
        inputs: Sequence[Input],
        size: int,
        seed: Sequence[int],
    ) -> None:
        self.samples = []
        for index in range(size):
            entry = index % len(inputs)
            sample = simulator.sample([*seed, index], inputs[entry].contrasts)
            image, label, mask = (part.cpu() for part in tensors(sample, channels))
            self.samples.append((image, label, mask, entry))

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, int]:
        image, label, mask, entry = self.samples[index]
        return image.float(), label.float(), mask.float(), entry


def single_threaded(_: int) -> None:
    """Start of a loader's worker: the cores are shared with the training itself."""
    torch.set_num_threads(1)
