"""Scores of networks and ensembles on validation scans, and cards of the best ensembles."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import pandas as pd

from bids_stroke.evaluation import metrics
from bids_stroke.models import fusion
from bids_stroke.models.card import Card
from bids_stroke.models.writing import write_card

from .patients.groups import RegionLocator
from .predictions import Case, Predictions
from .recipe_settings import RunsRecipe, Section

#: Names of super-regions.
Group: TypeAlias = tuple[str, ...]
GROUPS: tuple[Group, ...] = (("R1", "R4"), ("R2",), ("R3",))
WHOLE_BRAIN: Group = ("R1", "R2", "R3", "R4")
BEST = 4  # number of networks of each group whose combinations are evaluated
WINDOWS = (2, 3, 4)
OVERLAPS = (0.5, 0.6, 0.7, 0.75, 0.8, 0.9)
METHODS = {"stacking": "stack", "agreement": "aw"}


class Trial(NamedTuple):
    """Candidate ensemble: members and parameters of the agreement window."""

    method: str
    members: tuple[str, ...]
    window: int | None = None
    overlap: float | None = None

    def fuse(self, masks: Sequence[np.ndarray]) -> np.ndarray:
        """Combine the masks of the members."""
        if self.window is None or self.overlap is None:
            return np.logical_and.reduce(masks)
        return fusion.agreement_window(masks, self.window, self.overlap) > 0


@dataclass(frozen=True)
class Best:
    """Best ensemble and best network of a group of super-regions, with their mean Dice."""

    trial: Trial
    dice: float
    network: str
    network_dice: float


class EnsembleSearch:
    """Search for the best ensembles on validation scans; ``rows`` lists all evaluated candidates.

    Parameters
    ----------
    leaves : dict of str to Card
        Networks by name.
    predictions : Predictions
    cases : sequence of Case
        Validation scans.
    report : callable
        Function that receives messages for the user.
    """

    def __init__(
        self,
        leaves: Mapping[str, Card],
        predictions: Predictions,
        cases: Sequence[Case],
        report: Callable[[str], object],
    ) -> None:
        self.leaves, self.predictions, self.cases, self.report = leaves, predictions, cases, report
        self.rows: list[dict[str, Any]] = []
        regions = RegionLocator(next(iter(leaves.values())).spacing)
        self.region = {case: regions.locate(case.array("label")) for case in cases}
        self.single = pd.DataFrame({case.name: self._networks(case) for case in cases})

    def write(self, recipe: RunsRecipe, out: Path) -> list[Path]:
        """Write the cards of the best ensembles; members are written before their ensemble."""
        cards = []
        best = {group: self._best(group) for group in (WHOLE_BRAIN, *GROUPS)}
        for group, methods in best.items():
            for method in METHODS:
                cards.append(self._card(recipe, out, group, methods[method].trial))
        for method in METHODS:
            names = [_member(recipe, group, best[group][method]) for group in GROUPS]
            content = self._description(recipe, f"{recipe.name}-regions-{METHODS[method]}") | {
                "members": [f"{name}.yaml" for name in names],
                "fusion": "regions",
                "regions": [list(group) for group in GROUPS],
            }
            cards.append(write_card(content, out))
        return cards

    def _best(self, group: Group) -> dict[str, Best]:
        """Return the best ensemble of each method for a group of super-regions."""
        cases = [case for case in self.cases if self.region[case] in group]
        if not cases:
            self.report(f"No validation scan has its lesion in {', '.join(group)}; all scans are used.")
            cases = list(self.cases)
        networks = self.single[[case.name for case in cases]].mean(axis=1)
        networks = networks.sort_values(ascending=False)
        trials = _trials(list(networks.index[:BEST]))
        scores = [self._ensembles(case, trials) for case in cases]
        dice = {trial: float(np.mean([score[trial] for score in scores])) for trial in trials}
        self._add_rows(group, len(cases), networks, dice)
        best = {}
        for method in METHODS:
            trial = max((trial for trial in trials if trial.method == method), key=dice.__getitem__)
            network = str(networks.index[0])
            best[method] = Best(trial, dice[trial], network, float(networks.iloc[0]))
        return best

    def _networks(self, case: Case) -> dict[str, float]:
        """Return the Dice of each network on a scan."""
        truth = case.array("label")
        return {name: metrics.dice(self._mask(name, case), truth) for name in self.leaves}

    def _ensembles(self, case: Case, trials: Sequence[Trial]) -> dict[Trial, float]:
        """Return the Dice of each ensemble on a scan."""
        truth = case.array("label")
        names = {name for trial in trials for name in trial.members}
        masks = {name: self._mask(name, case) for name in names}
        return {
            trial: metrics.dice(trial.fuse([masks[name] for name in trial.members]), truth)
            for trial in trials
        }

    def _mask(self, name: str, case: Case) -> np.ndarray:
        leaf = self.leaves[name]
        return self.predictions.probability(leaf, case) >= leaf.threshold

    def _add_rows(
        self, group: Group, scans: int, networks: pd.Series, dice: Mapping[Trial, float]
    ) -> None:
        """Add the evaluated candidates of a group to the rows."""
        shared = {"regions": " ".join(group), "scans": scans}
        for name, score in networks.items():
            row = {"method": "single", "models": name, "dice": round(score, 4)}
            self.rows.append(shared | row)
        for trial, score in dice.items():
            row = {
                "method": trial.method,
                "models": " ".join(trial.members),
                "window": trial.window,
                "overlap": trial.overlap,
                "dice": round(score, 4),
            }
            self.rows.append(shared | row)

    def _card(self, recipe: RunsRecipe, out: Path, group: Group, trial: Trial) -> Path:
        content = self._description(recipe, _name(recipe, group, trial.method))
        members = [f"{name}.yaml" for name in trial.members]
        content |= {"members": members, "fusion": trial.method}
        if trial.window:
            content |= {"window": trial.window, "overlap": trial.overlap}
        return write_card(content, out)

    def _description(self, recipe: RunsRecipe, name: str) -> Section:
        card = recipe.card
        return {
            "name": name,
            "threshold": 0.5,
            "min_component_mm3": card["min_component_mm3"],
            "trained_on": (
                f"Members trained by recipe {recipe.name}; selected on {len(self.cases)} scans."
            ),
            "measured": [],
            "notes": card["notes"],
            "citation": card["citation"],
        }


def _trials(networks: Sequence[str]) -> list[Trial]:
    """Return every combination of networks with stacking and with every agreement window."""
    members = [names for size in range(2, BEST + 1) for names in combinations(networks, size)]
    windows = [(window, overlap) for window in WINDOWS for overlap in OVERLAPS]
    return [
        *(Trial("stacking", names) for names in members),
        *(Trial("agreement", names, *window) for names in members for window in windows),
    ]


def _member(recipe: RunsRecipe, group: Group, best: Best) -> str:
    """Return the name of the member for a group: its ensemble, or its best network if not worse."""
    if best.dice > best.network_dice:
        return _name(recipe, group, best.trial.method)
    return best.network


def _name(recipe: RunsRecipe, group: Group, method: str) -> str:
    regions = [] if group == WHOLE_BRAIN else ["".join(group)]
    return "-".join([recipe.name, *regions, METHODS[method]])
