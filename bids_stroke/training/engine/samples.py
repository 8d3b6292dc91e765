"""Samples for the training loop: an endless stream, and a fixed set for validation."""

from collections import deque
from itertools import count

import numpy as np
import torch
from torch.utils.data import Dataset, IterableDataset, get_worker_info

from bids_stroke.training.simulation.synthesis import network_input

POOL = 128  # simulated samples that are kept, to be shown again


def tensors(sample, channels):
    """Image ``(channels, x, y, z)`` in half precision, label and mask ``(1, x, y, z)``, bool.

    The lesion outside the extracted brain cannot be seen, and is left out.
    """
    label = (sample.label & sample.mask)[None]
    return network_input(sample, channels).half(), label, sample.mask[None]


class Stream(IterableDataset):
    """Endless samples of one simulator, different in every worker.

    Parameters
    ----------
    simulator : Simulator
    channels : sequence of str
        Contrasts that the network takes, in order.
    inputs : list of dict
        ``contrasts`` that are shown together, and their ``share``.
    seed : sequence of int
    """

    def __init__(self, simulator, channels, inputs, seed):
        self.simulator = simulator
        self.channels = channels
        self.inputs = inputs
        self.seed = seed

    def __iter__(self):
        worker = get_worker_info()
        seed = [*self.seed, worker.id if worker else 0]
        rng = np.random.default_rng(seed)
        shares = np.array([entry["share"] for entry in self.inputs])
        for number in count():
            chosen = self.inputs[rng.choice(len(shares), p=shares / shares.sum())]["contrasts"]
            yield tensors(self.simulator.sample([*seed, number], chosen), self.channels)


class Pool:
    """The last samples, shown again: making one takes longer than learning from it.

    Parameters
    ----------
    size : int
        Samples that are kept, on the device where they arrive.
    seed : int
    """

    def __init__(self, size, seed):
        self.samples = deque(maxlen=size)
        self.rng = np.random.default_rng(seed)

    def batch(self, fresh, number):
        """Keep the samples of the batch ``fresh``, and show ``number`` of those that are kept, the
        fresh ones first, each mirrored (left-right) or not.

        Returns
        -------
        list of Tensor
            Image, label and mask, float32.
        """
        fresh = list(zip(*fresh, strict=True))
        self.samples.extend(fresh)
        again = self.rng.integers(len(self.samples), size=number - len(fresh))
        shown = [*fresh, *(self.samples[index] for index in again)]
        shown = [[t.flip(1) for t in one] if self.rng.integers(2) else one for one in shown]
        return [torch.stack(parts).float() for parts in zip(*shown, strict=True)]


class Fixed(Dataset):
    """The same samples every time, each with the next entry of ``inputs``."""

    def __init__(self, simulator, channels, inputs, size, seed):
        self.samples = []
        for index in range(size):
            entry = index % len(inputs)
            sample = simulator.sample([*seed, index], inputs[entry]["contrasts"])
            self.samples.append((*(t.cpu() for t in tensors(sample, channels)), entry))

    def __len__(self):
        return len(self.samples)

    def __getitem__(self, index):
        image, label, mask, entry = self.samples[index]
        return image.float(), label.float(), mask.float(), entry


def single_threaded(_):
    """Start of a loader's worker: the cores are shared with the training itself."""
    torch.set_num_threads(1)
