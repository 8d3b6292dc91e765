"""Which networks together? Stacking and agreement windows, searched on validation scans, on the whole
brain and by super-region (Mohapatra et al. 2023)."""

from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd
import yaml

from bids_stroke.bids.derivatives import write_tsv
from bids_stroke.errors import ModelError
from bids_stroke.evaluation import evaluation, metrics, published_tables
from bids_stroke.models import catalog, fusion
from bids_stroke.models.writing import UNCHOSEN, write_card
from bids_stroke.training.patients.groups import Regions
from bids_stroke.utils.files import atomic

from . import export
from .predictions import TABLE, Predictions, cases, write_masks

GROUPS = (("R1", "R4"), ("R2",), ("R3",))
WHOLE = ("R1", "R2", "R3", "R4")
BEST = 4  # networks of each group whose combinations are tried
WINDOWS = (2, 3, 4)
OVERLAPS = (0.5, 0.6, 0.7, 0.75, 0.8, 0.9)
METHODS = {"stacking": "stack", "agreement": "aw"}


def search(run, out, licence=UNCHOSEN, device="cpu", tell=print):
    """Export the networks of a training, find their best ensembles, and write these as cards.

    Combinations of the best four networks of each group of super-regions are tried on the scans whose
    lesion lies mostly there, by their mean Dice; a group without scans takes all. What is found is
    measured on the test part.

    Parameters
    ----------
    run : Path
        Folder of a training with several runs in the template's space.
    out : Path
        Receives the cards, ``search.tsv`` and, if there is a test part, ``tables``.
    licence : str
        Of the weights.
    device : str
    tell : callable
        Takes a line for the user.

    Returns
    -------
    list of Path
        Cards of the ensembles.

    Raises
    ------
    ModelError
        If the training is not complete, or not one of that kind.
    """
    run, out = Path(run), Path(out)
    if not (run / TABLE).is_file():
        raise ModelError(f"{run} is no training with several runs (as by the recipe s1).")
    recipe = yaml.safe_load((run / "recipe.yaml").read_text())
    if recipe["data"]["space"] == "native":
        raise ModelError(f"The networks in {run} work in native space, without super-regions.")
    written = [catalog.load(path) for path in export.export(run, out, licence=licence)]
    leaves = {one.name: one for one in written if one.leaves == (one,)}
    predictions = Predictions(run / "predictions", device)
    table = _Search(leaves, predictions, cases(run, "validation"), tell)
    made = table.write(recipe, out)
    write_tsv(pd.DataFrame(table.rows), out / "search.tsv")
    held_out = cases(run, "test")
    if held_out:
        models = {title(one): one for one in (*leaves.values(), *map(catalog.load, made))}
        measure(models, predictions, held_out, out, tell)
    return made


def measure(models, predictions, cases, out, tell=print):
    """Compare models on some scans: rows of the evaluation, and tables as the paper's.

    Parameters
    ----------
    models : dict of str to Card or Ensemble
        By :func:`title`.
    predictions : Predictions
    cases : sequence of Case
    out : Path
        Receives ``masks``, and ``tables/S1_table1.md`` and so on.

    Returns
    -------
    pandas.DataFrame
        Of :func:`evaluation.evaluate`.
    """
    tell(f"{len(models)} models are compared on {len(cases)} scans.")
    folders = write_masks(predictions, models, cases, out / "masks")
    rows, _ = evaluation.evaluate(folders, out / "masks" / "truth")
    for name, table in published_tables.all_tables(rows).items():
        if name.startswith("S1"):
            with atomic(out / "tables" / f"{name}.md") as partial:
                partial.write_text(table.to_markdown(index=False, disable_numparse=True) + "\n")
    return rows


def title(model):
    """Name of a model as the paper's tables have it."""
    parts = _parts(model)
    kind = {"stacking": "stack", "agreement": "AW", "regions": "regions"}.get(
        getattr(model, "fusion", None)
    )
    if kind == "regions":
        fusions = {getattr(one, "fusion", None) for one in model.members}
        kind = "stack" if "stacking" in fusions else "AW"
    return f"{kind}: {parts}" if kind else parts


def _parts(model):
    match getattr(model, "fusion", None):
        case None:
            return model.name
        case "regions":
            pairs = zip(model.regions, model.members, strict=True)
            return "; ".join(f"[{', '.join(group)}]: {_parts(one)}" for group, one in pairs)
        case "agreement":
            return f"{_names(model)} ({model.window}, {model.overlap:g})"
        case _:
            return _names(model)


def _names(model):
    return ", ".join(one.name for one in model.members)


class _Search:
    """Scores of networks and ensembles on validation scans; ``rows`` tell what was tried."""

    def __init__(self, leaves, predictions, cases, tell):
        self.leaves, self.predictions, self.cases, self.tell = leaves, predictions, cases, tell
        self.rows = []
        regions = Regions(next(iter(leaves.values())).spacing)
        self.region = {case: regions.of(case.array("label")) for case in cases}
        self.single = pd.DataFrame(
            {case.name: self._each(case, {name: (name,) for name in leaves}) for case in cases}
        )

    def write(self, recipe, out):
        """Write the cards of the best ensembles; the parts of one before itself."""
        made, best = [], {}
        for group in (WHOLE, *GROUPS):
            best[group] = self._best(group)
            for method, found in best[group].items():
                made.append(self._card(recipe, out, group, method, found))
        for method in METHODS:
            content = self._described(recipe, f"{recipe['name']}-regions-{METHODS[method]}") | {
                "members": [f"{self._member(recipe, group, method, best)}.yaml" for group in GROUPS],
                "fusion": "regions",
                "regions": [list(group) for group in GROUPS],
            }
            made.append(write_card(content, out))
        return made

    def _best(self, group):
        """The best ensemble of each method for a group of super-regions: members and parameters."""
        cases = [case for case in self.cases if self.region[case] in group]
        if not cases:
            self.tell(f"No validation scan has its lesion in {', '.join(group)}: all are taken.")
            cases = self.cases
        means = self.single[[case.name for case in cases]].mean(1).sort_values(ascending=False)
        chosen = [
            names for size in range(2, BEST + 1) for names in combinations(means.index[:BEST], size)
        ]
        tried = {("stacking", names, None, None): names for names in chosen}
        for names in chosen:
            for window in WINDOWS:
                for overlap in OVERLAPS:
                    tried["agreement", names, window, overlap] = names
        found = pd.DataFrame({case.name: self._each(case, tried) for case in cases}).mean(1)
        self._note(group, len(cases), means, found)
        of = {method: [key for key in tried if key[0] == method] for method in METHODS}
        return {method: (max(keys, key=found.get), found, means) for method, keys in of.items()}

    def _each(self, case, tried):
        """Dice of each network or ensemble on a scan."""
        truth = case.array("label")
        names = {name for members in tried.values() for name in members}
        masks = {
            name: self.predictions.of(self.leaves[name], case) >= self.leaves[name].threshold
            for name in names
        }
        return {
            key: metrics.dice(_fused(key, [masks[name] for name in members]), truth)
            for key, members in tried.items()
        }

    def _note(self, group, number, means, found):
        shared = {"regions": " ".join(group), "scans": number}
        for name, dice in means.items():
            self.rows.append(shared | {"method": "single", "models": name, "dice": round(dice, 4)})
        for (method, names, window, overlap), dice in found.items():
            tried = {"method": method, "models": " ".join(names), "window": window, "overlap": overlap}
            self.rows.append(shared | tried | {"dice": round(dice, 4)})

    def _member(self, recipe, group, method, best):
        """Who answers for a group: its ensemble, or its best network where that is no worse."""
        key, found, means = best[group][method]
        return _name(recipe, group, method) if found[key] > means.iloc[0] else means.index[0]

    def _card(self, recipe, out, group, method, best):
        (_, names, window, overlap), *_ = best
        content = self._described(recipe, _name(recipe, group, method))
        content |= {"members": [f"{name}.yaml" for name in names], "fusion": method}
        content |= {"window": window, "overlap": overlap} if window else {}
        return write_card(content, out)

    def _described(self, recipe, name):
        card = recipe["card"]
        return {
            "name": name,
            "threshold": 0.5,
            "min_component_mm3": card["min_component_mm3"],
            "trained_on": f"Members by the recipe {recipe['name']}; found on {len(self.cases)} scans.",
            "measured": [],
            "notes": card["notes"],
            "citation": card["citation"],
        }


def _name(recipe, group, method):
    where = [] if group == WHOLE else ["".join(group)]
    return "-".join([recipe["name"], *where, METHODS[method]])


def _fused(key, masks):
    if len(masks) == 1:
        return masks[0]
    method, _, window, overlap = key
    if method == "stacking":
        return np.logical_and.reduce(masks)
    return fusion.agreement_window(masks, window, overlap) > 0
