"""Cards of ensembles: nested ensembles and incompatible settings."""

from dataclasses import replace

import cards
import nibabel as nib
import numpy as np
import pytest

from bids_stroke.models import ensembles
from bids_stroke.models.card import Weights
from bids_stroke.models.ensembles import Ensemble
from bids_stroke.spatial import templates
from bids_stroke.spatial.grid import regrid

TEMPLATE = {"space": "MNI152NLin2009aSym"}


def network(name, **changes):
    weights = Weights(sha256=name * 4, bytes=0, licence="CC0", file=name)
    return replace(cards.make("T1w", **{"weights": weights, **TEMPLATE, **changes}), name=name)


def group(fusion, *members, **more):
    more |= {"trained_on": "", "measured": [], "notes": [], "citation": "", "path": None}
    return Ensemble("tested", members, fusion, 0.5, 0, **more)


A, B, C = (network(name) for name in "abc")
REGIONS = (("R1", "R4"), ("R2",), ("R3",))


def nested():
    window = group("agreement", A, B, window=2, overlap=0.5)
    return group("regions", window, group("stacking", A, C), B, regions=REGIONS)


def test_each_network_is_listed_once():
    assert [leaf.name for leaf in nested().leaves] == ["a", "b", "c"]
    assert A.leaves == (A,)
    assert nested().channels == A.channels and nested().spacing == A.spacing
    assert nested().licence == "CC0"


def test_each_region_has_the_prediction_of_its_member():
    grid = regrid(templates.template().brain, (8, 8, 8), order=0)
    full, empty = np.ones(grid.shape, np.float32), np.zeros(grid.shape, np.float32)
    labels = ensembles.region_labels(grid)
    assert set(np.unique(labels)) == {1, 2, 3, 4}
    for predictions, expected in (
        ((full, full, empty), [1, 3, 4]),  # a and c do not overlap
        ((full, empty, full), [2]),
        ((empty, full, full), [3]),
        ((full, full, full), [1, 2, 3, 4]),
    ):
        by_identity = dict(zip((card.identity() for card in (A, B, C)), predictions, strict=True))
        combined = ensembles.combine(nested(), by_identity, grid)
        assert np.array_equal(combined > 0, np.isin(labels, expected))


def test_each_member_votes_by_its_own_threshold():
    low = replace(A, threshold=0.2)
    predictions = {low.identity(): np.full((2, 2, 2), 0.3), B.identity(): np.full((2, 2, 2), 0.6)}
    grid = nib.Nifti1Image(np.zeros((2, 2, 2)), np.eye(4))
    assert ensembles.combine(group("stacking", low, B), predictions, grid).all()
    predictions[A.identity()] = predictions[low.identity()]
    assert not ensembles.combine(group("stacking", A, B), predictions, grid).any()


def test_the_identity_depends_on_every_setting():
    window = group("agreement", A, B, window=2, overlap=0.5)
    others = (
        replace(window, window=3),
        replace(window, overlap=0.75),
        replace(window, members=(B, A)),
        replace(window, threshold=0.4),
    )
    assert len({ensemble.identity() for ensemble in (window, *others)}) == 5


@pytest.mark.parametrize(
    ("ensemble", "words"),
    [
        (group("union", A, B), "fusion must be one of mean, majority"),
        (group("agreement", A, B), "window and overlap must be set"),
        (group("stacking", A, B, window=2, overlap=0.5), "window and overlap must be set"),
        (group("agreement", A, B, window=1, overlap=0.5), "2 to 64 voxels"),
        (group("agreement", A, B, window=3, overlap=1.0), "2 to 64 voxels"),
        (group("mean", A, cards.make("FLAIR")), "the same channels"),
        (group("regions", A, B), "regions must be set for the fusion"),
        (group("regions", A, B, regions=(("R1", "R2"), ("R3",))), "each of R1, R2, R3, R4 once"),
        (group("regions", A, B, regions=REGIONS), "one group per member"),
        (
            group("agreement", A, network("d", spacing=(1.0, 1.0, 1.0)), window=2, overlap=0.5),
            "requires all members on one grid",
        ),
        (
            group("regions", *(network(n, space="native") for n in "abc"), regions=REGIONS),
            "in template space",
        ),
    ],
)
def test_incompatible_settings(ensemble, words):
    with pytest.raises(ValueError, match=words):
        ensemble.check()


def test_compatible_settings():
    nested().check()
    group("confidence", A, network("d", spacing=(1.0, 1.0, 1.0))).check()
