"""Samples for the training loop: an endless stream, and a fixed set for validation."""

from collections import deque

import numpy as np
import torch
from torch.utils.data import Dataset, IterableDataset, get_worker_info

from .synthesis import network_input

POOL = 64  # simulated samples that a stream draws from, where it shows each several times


def tensors(sample, channels):
    """Image ``(channels, x, y, z)``, label and mask ``(1, x, y, z)``, all float32.

    The lesion outside the extracted brain cannot be seen, and is left out.
    """
    label = (sample.label & sample.mask).float()[None]
    return network_input(sample, channels), label, sample.mask.float()[None]


class Stream(IterableDataset):
    """Endless samples of one simulator, different in every worker.

    Parameters
    ----------
    simulator : Simulator
    channels : sequence of str
        Contrasts that the network takes, in order.
    inputs : list of dict
        ``contrasts`` that are shown together, and their ``share``.
    reuse : int
        How often a sample is shown on average, mirrored at random. More than once where making a
        sample takes longer than learning from it.
    seed : sequence of int
    """

    def __init__(self, simulator, channels, inputs, reuse, seed):
        self.simulator = simulator
        self.channels = channels
        self.inputs = inputs
        self.reuse = reuse
        self.seed = seed

    def __iter__(self):
        worker = get_worker_info()
        seed = [*self.seed, worker.id if worker else 0]
        rng = np.random.default_rng(seed)
        shares = np.array([entry["share"] for entry in self.inputs])
        pool, count = deque(maxlen=POOL), 0
        while True:
            chosen = self.inputs[rng.choice(len(shares), p=shares / shares.sum())]["contrasts"]
            pool.append(tensors(self.simulator.sample([*seed, count], chosen), self.channels))
            count += 1
            if self.reuse == 1:
                yield pool.pop()
                continue
            for _ in range(self.reuse):
                shown = pool[rng.integers(len(pool))]
                yield tuple(t.flip(1) for t in shown) if rng.integers(2) else shown


class Fixed(Dataset):
    """The same samples every time, each with the next entry of ``inputs``."""

    def __init__(self, simulator, channels, inputs, size, seed):
        self.samples = []
        for index in range(size):
            entry = index % len(inputs)
            sample = simulator.sample([*seed, index], inputs[entry]["contrasts"])
            image, label, mask = (t.cpu() for t in tensors(sample, channels))
            self.samples.append((image.half(), label > 0, mask > 0, entry))

    def __len__(self):
        return len(self.samples)

    def __getitem__(self, index):
        image, label, mask, entry = self.samples[index]
        return image.float(), label.float(), mask.float(), entry


def single_threaded(_):
    """Start of a loader's worker: the cores are shared with the training itself."""
    torch.set_num_threads(1)
