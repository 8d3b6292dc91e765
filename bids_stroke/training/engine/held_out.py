"""Scores of a network on held-out scans and simulated heads."""

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from torch import nn
from torch.utils.data import Dataset

from bids_stroke.lesion.postprocessing import threshold
from bids_stroke.models import calibration, inference, mirroring
from bids_stroke.models.card import Card
from bids_stroke.training.patients import arrays
from bids_stroke.training.recipe_settings import SimulationRecipe
from bids_stroke.training.simulation.synthesis import Simulator

from . import participants, samples, scores
from .participants import Scan


class Case(NamedTuple):
    """Held-out head: input of the network (channels, x, y, z), float32, lesion and brain mask
    (x, y, z), bool."""

    participant: str
    contrasts: str
    image: np.ndarray
    label: np.ndarray
    mask: np.ndarray


class Score(NamedTuple):
    """Score of a network on a case; volumes in ml."""

    participant: str
    input: str
    true_ml: float
    predicted_ml: float
    dice: float


class Cases(Dataset[Case]):
    """Held-out scans with each set of their contrasts.

    Parameters
    ----------
    scans : sequence of Scan
    recipe : SimulationRecipe
        Channels of the network.
    """

    def __init__(self, scans: Sequence[Scan], recipe: SimulationRecipe) -> None:
        self.items = [(scan, group) for scan in scans for group in scan.groups]
        self.recipe = recipe

    def __len__(self) -> int:
        return len(self.items)

    def __iter__(self) -> Iterator[Case]:
        return (self[index] for index in range(len(self)))

    def __getitem__(self, index: int) -> Case:
        scan, group = self.items[index]
        volumes = arrays.read(scan.path)
        image = participants.channels(volumes.image, group, self.recipe)
        if self.recipe.mirror:
            image = mirroring.append_mirrored(image, scan.template)
        return Case(scan.participant, "+".join(group), image, volumes.label, volumes.mask)


def simulated_cases(
    simulator: Simulator, recipe: SimulationRecipe, number: int, seed: int
) -> Iterator[Case]:
    """Simulate heads whose inputs cycle through those of the recipe."""
    rng = np.random.default_rng([seed, number])
    for index in range(number):
        group = recipe.inputs[index % len(recipe.inputs)].contrasts
        sample = simulator.sample([seed, number, index], group)
        tensors = samples.tensors(sample, recipe, rng)
        image = tensors.image.float().cpu().numpy()
        label, mask = (part[0].cpu().numpy() for part in (tensors.label, tensors.mask))
        yield Case(f"simulated {index}", "+".join(group), image, label, mask)


def measure(network: nn.Module, cases: Iterable[Case], card: Card, device: str) -> pd.DataFrame:
    """Return the :class:`Score` of a network on each case, with the post-processing of its card."""
    network = network.eval()
    rows = [score(network, case, card, device) for case in cases]
    return pd.DataFrame(rows, columns=list(Score._fields))


def score(network: nn.Module, case: Case, card: Card, device: str) -> Score:
    """Score a network on a case, with the post-processing of its card."""
    temperature = card.calibration_for(case.contrasts.split("+")).temperature
    probability = inference.infer(network, case.image, card.tile, device) * case.mask
    probability = calibration.scale(probability, temperature)
    volume = float(np.prod(card.spacing))
    mask = threshold(probability, card.threshold, card.min_component_mm3, volume) > 0
    return Score(
        case.participant,
        case.contrasts,
        np.count_nonzero(case.label) * volume / 1000,
        np.count_nonzero(mask) * volume / 1000,
        scores.dice(torch.from_numpy(mask), torch.from_numpy(case.label)),
    )


def mean_dice(table: pd.DataFrame) -> float:
    """Return the mean Dice over participants of a table of scores, each the mean over its inputs."""
    return float(table.groupby("participant")["dice"].mean().mean())
