"""Selection of ensembles on validation scans, with networks whose masks are known."""

import numpy as np
import pytest
import torch

from bids_stroke.models import catalog, ensembles, weights, writing
from bids_stroke.models.card import Network
from bids_stroke.training import ensemble_search, recipes, search
from bids_stroke.training.predictions import Case, template_grid

SPACING = [8.0] * 3
NETWORKS = ("A", "B_FT", "C")


class KnownPredictions:
    """Masks of networks by their name and the case."""

    def __init__(self, masks):
        self.masks = masks

    def probability(self, leaf, case):
        return self.masks[leaf.name, case.name].astype(np.float16)


@pytest.fixture(scope="module")
def leaves(tmp_path_factory):
    """Cards of tiny networks in template space."""
    out = tmp_path_factory.mktemp("cards")
    network = Network("planar", {"network": "unet", "features": 2})
    content = {
        "network": {"family": network.family, "arguments": network.arguments},
        "channels": [{"contrast": "T1w"}],
        "space": "MNI152NLin2009aSym",
        "spacing": SPACING,
        "tile": [25, 30, 1],
        "normalization": "zscore",
        "threshold": 0.5,
        "min_component_mm3": 0.0,
        "trained_on": "",
        "measured": [],
        "notes": [],
        "citation": "",
    }
    leaves = {}
    for seed, name in enumerate(NETWORKS):
        torch.manual_seed(seed)
        state = weights.build(network).state_dict()
        leaves[name] = catalog.load(writing.write({"name": name, **content}, [state], out))
    return out, leaves


@pytest.fixture(scope="module")
def labels():
    return ensembles.region_labels(template_grid(SPACING))


def case(folder, labels, region):
    """A scan whose lesion consists of 12 voxels of a super-region."""
    number = ensembles.region_names().index(region) + 1
    lesion = np.zeros(labels.shape, bool)
    voxels = np.argwhere(labels == number)
    lesion[tuple(voxels[len(voxels) // 2 :][:12].T)] = True
    np.savez(folder / f"{region}.npz", label=lesion)
    return Case(region, "validation", folder / f"{region}.npz"), lesion


def select(folder, out, leaves, labels, exact):
    """Search with lesions in R1, R2 and R3; ``exact`` are the super-regions in which A is perfect.

    Elsewhere, A and B have false positives in different places, so that their stack is perfect.
    """
    cases, masks = [], {}
    for region in ("R1", "R2", "R3"):
        scan, lesion = case(folder, labels, region)
        cases.append(scan)
        for place, name in enumerate(NETWORKS):
            mask = lesion.copy()
            mask[place, :2] |= not (name == "A" and region in exact)
            masks[name, region] = mask if name != "C" else np.zeros_like(lesion)
    search_result = ensemble_search.EnsembleSearch(leaves, KnownPredictions(masks), cases, print)
    cards = search_result.write(recipes.read_recipe("s1"), out)
    names = {path.stem: search.title(catalog.load(path)) for path in cards}
    rows = {}
    for row in search_result.selected:
        rows.setdefault((row.scope, row.method), []).append(names.get(row.card, row.card))
    return rows, {row.scope: row.scans for row in search_result.selected}


def test_models_of_each_scope_are_selected_there(tmp_path, leaves, labels):
    out, cards = leaves
    rows, scans = select(tmp_path, out, cards, labels, exact={"R2"})
    assert rows["Whole-Brain", "Mixed Data"] == ["A"] and rows["Whole-Brain", "ImTT"] == ["B_FT"]
    assert rows["Whole-Brain", "Stack"] == ["stack: A, B_FT"]
    assert rows["2", "Individual"] == ["A", "B_FT", "C"] and len(rows["2", "Stack"]) == 2
    assert rows["Super-Region-wise", "Stack"] == ["stack: [R1, R4]: A, B_FT; [R2]: A; [R3]: A, B_FT"]
    assert scans == {"1 & 4": 1, "2": 1, "3": 1, "Whole-Brain": 3, "Super-Region-wise": 3}


def test_single_networks_by_super_region_are_no_ensemble(tmp_path, leaves, labels):
    out, cards = leaves
    rows, _ = select(tmp_path, out, cards, labels, exact={"R1", "R2", "R3"})
    assert rows["Super-Region-wise", "Stack"] == rows["Super-Region-wise", "AW"] == [None]
    by_region = catalog.load(out / "s1-regions-aw.yaml")
    assert search.title(by_region) == "individual: [R1, R4]: A; [R2]: A; [R3]: A"
