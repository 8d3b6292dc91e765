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
PLACES = 2  # number of ensembles of each method and group that become cards
METHODS = {"stacking": "stack", "agreement": "aw"}
#: Names of the methods in the tables of the paper.
TABLE2 = {"stacking": "Stack", "agreement": "Agreement Window"}
TABLE3 = {"stacking": "Stack", "agreement": "AW"}


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
class Ranking:
    """Networks and ensembles of a group of super-regions, ranked by their mean Dice, the best first.

    Attributes
    ----------
    networks : pandas.Series
        Mean Dice of each network.
    ensembles : dict of str to list of (Trial, float)
        Best ensembles of each method, with their mean Dice.
    scans : int
        Number of validation scans whose lesion is mostly in the group; if 0, all scans are used.
    """

    networks: pd.Series
    ensembles: dict[str, list[tuple[Trial, float]]]
    scans: int


class Selected(NamedTuple):
    """Model that was selected on validation data, for a row of the paper's Tables 2 and 3.

    ``card`` is None if no ensemble of the method is better than a single network in any super-region.
    """

    scope: str
    method: str
    card: str | None
    scans: int
    dice: float | None


class EnsembleSearch:
    """Search for the best ensembles on validation scans.

    ``rows`` lists all evaluated candidates, and ``selected`` the models of the paper's tables.

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
        self.selected: list[Selected] = []
        regions = RegionLocator(next(iter(leaves.values())).spacing)
        self.region = {case: regions.locate(case.array("label")) for case in cases}
        self.single = pd.DataFrame({case.name: self._networks(case) for case in cases})

    def write(self, recipe: RunsRecipe, out: Path) -> list[Path]:
        """Write the cards of the best ensembles; members are written before their ensemble."""
        rankings = {group: self._rank(group) for group in (WHOLE_BRAIN, *GROUPS)}
        cards = [
            self._card(recipe, out, group, trial, place)
            for group, ranking in rankings.items()
            for method in METHODS
            for place, (trial, _) in enumerate(ranking.ensembles[method])
        ]
        self._select_by_group(recipe, rankings)
        self._select_whole_brain(recipe, rankings[WHOLE_BRAIN])
        for method in METHODS:
            names = [_member(recipe, group, rankings[group], method) for group in GROUPS]
            content = self._description(recipe, f"{recipe.name}-regions-{METHODS[method]}") | {
                "members": [f"{name}.yaml" for name in names],
                "fusion": "regions",
                "regions": [list(group) for group in GROUPS],
            }
            cards.append(write_card(content, out))
            card = None if set(names) <= set(self.leaves) else str(content["name"])
            row = Selected("Super-Region-wise", TABLE3[method], card, len(self.cases), None)
            self.selected.append(row)
        return cards

    def _select_by_group(self, recipe: RunsRecipe, rankings: Mapping[Group, Ranking]) -> None:
        """Add the best networks and ensembles of each group of super-regions (Table 2)."""
        for group in GROUPS:
            ranking = rankings[group]
            scope = " & ".join(name.removeprefix("R") for name in group)
            self.selected += [
                Selected(scope, "Individual", str(name), ranking.scans, float(dice))
                for name, dice in ranking.networks[:BEST].items()
            ]
            self.selected += [
                Selected(
                    scope, TABLE2[method], _name(recipe, group, method, place), ranking.scans, dice
                )
                for method in METHODS
                for place, (_, dice) in enumerate(ranking.ensembles[method])
            ]

    def _select_whole_brain(self, recipe: RunsRecipe, ranking: Ranking) -> None:
        """Add the best network of each regime and the best ensembles on the whole brain (Table 3)."""
        tuned = ranking.networks.index.str.endswith("_FT")
        for method, networks in (
            ("Mixed Data", ranking.networks[~tuned]),
            ("ImTT", ranking.networks[tuned]),
        ):
            self.selected += [
                Selected("Whole-Brain", method, str(name), ranking.scans, float(dice))
                for name, dice in networks[:1].items()
            ]
        for method in METHODS:
            card, dice = _name(recipe, WHOLE_BRAIN, method), ranking.ensembles[method][0][1]
            self.selected.append(Selected("Whole-Brain", TABLE3[method], card, ranking.scans, dice))

    def _rank(self, group: Group) -> Ranking:
        """Rank the networks and ensembles of a group of super-regions."""
        cases = within = [case for case in self.cases if self.region[case] in group]
        if not within:
            self.report(f"No validation scan has its lesion in {', '.join(group)}; all scans are used.")
            cases = list(self.cases)
        networks = self.single[[case.name for case in cases]].mean(axis=1)
        networks = networks.sort_values(ascending=False)
        trials = _trials(list(networks.index[:BEST]))
        scores = [self._ensembles(case, trials) for case in cases]
        dice = {trial: float(np.mean([score[trial] for score in scores])) for trial in trials}
        self._add_rows(group, len(cases), networks, dice)
        ranked = sorted(dice.items(), key=lambda item: item[1], reverse=True)
        ensembles = {
            method: [item for item in ranked if item[0].method == method][:PLACES] for method in METHODS
        }
        return Ranking(networks, ensembles, len(within))

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

    def _card(self, recipe: RunsRecipe, out: Path, group: Group, trial: Trial, place: int) -> Path:
        content = self._description(recipe, _name(recipe, group, trial.method, place))
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


def _member(recipe: RunsRecipe, group: Group, ranking: Ranking, method: str) -> str:
    """Return the name of the member for a group: its ensemble, or its best network if not worse."""
    if ranking.ensembles[method][0][1] > ranking.networks.iloc[0]:
        return _name(recipe, group, method)
    return str(ranking.networks.index[0])


def _name(recipe: RunsRecipe, group: Group, method: str, place: int = 0) -> str:
    """Return the name of an ensemble; the second place has the ending ``-2``."""
    regions = [] if group == WHOLE_BRAIN else ["".join(group)]
    ending = [str(place + 1)] if place else []
    return "-".join([recipe.name, *regions, METHODS[method], *ending])
