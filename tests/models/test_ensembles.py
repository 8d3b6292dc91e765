"""Cards of ensembles: networks in ensembles in ensembles, and what does not go together."""

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


def wise():
    window = group("agreement", A, B, window=2, overlap=0.5)
    return group("regions", window, group("stacking", A, C), B, regions=REGIONS)


def test_each_network_is_there_once():
    assert [leaf.name for leaf in wise().leaves] == ["a", "b", "c"]
    assert A.leaves == (A,)
    assert wise().channels == A.channels and wise().spacing == A.spacing and wise().licence == "CC0"


def test_each_region_has_the_answer_of_its_own_member():
    grid = regrid(templates.template().brain, (8, 8, 8), order=0)
    full, none = np.ones(grid.shape, np.float32), np.zeros(grid.shape, np.float32)
    labels = ensembles.region_labels(grid)
    assert set(np.unique(labels)) == {1, 2, 3, 4}
    for answers, expected in (
        ((full, full, none), [1, 3, 4]),  # a and c have nothing in common
        ((full, none, full), [2]),
        ((none, full, full), [3]),
        ((full, full, full), [1, 2, 3, 4]),
    ):
        by_name = {one.identity(): found for one, found in zip((A, B, C), answers, strict=True)}
        found = ensembles.combine(wise(), by_name, grid)
        assert np.array_equal(found > 0, np.isin(labels, expected))


def test_members_vote_at_their_own_thresholds():
    keen = replace(A, threshold=0.2)
    answers = {keen.identity(): np.full((2, 2, 2), 0.3), B.identity(): np.full((2, 2, 2), 0.6)}
    grid = nib.Nifti1Image(np.zeros((2, 2, 2)), np.eye(4))
    assert ensembles.combine(group("stacking", keen, B), answers, grid).all()
    answers[A.identity()] = answers[keen.identity()]
    assert not ensembles.combine(group("stacking", A, B), answers, grid).any()


def test_predictions_depend_on_every_part():
    window = group("agreement", A, B, window=2, overlap=0.5)
    others = (
        replace(window, window=3),
        replace(window, overlap=0.75),
        replace(window, members=(B, A)),
        replace(window, threshold=0.4),
    )
    assert len({one.identity() for one in (window, *others)}) == 5


@pytest.mark.parametrize(
    ("made", "words"),
    [
        (group("union", A, B), "fusion is one of mean, majority"),
        (group("agreement", A, B), "window and overlap go with"),
        (group("stacking", A, B, window=2, overlap=0.5), "window and overlap go with"),
        (group("agreement", A, B, window=1, overlap=0.5), "2 to 64 voxels"),
        (group("agreement", A, B, window=3, overlap=1.0), "2 to 64 voxels"),
        (group("mean", A, cards.make("FLAIR")), "the same channels"),
        (group("regions", A, B), "regions go with the fusion"),
        (group("regions", A, B, regions=(("R1", "R2"), ("R3",))), "each of R1, R2, R3, R4 once"),
        (group("regions", A, B, regions=REGIONS), "a group per member"),
        (
            group("agreement", A, network("d", spacing=(1.0, 1.0, 1.0)), window=2, overlap=0.5),
            "needs members on one grid",
        ),
        (
            group("regions", *(network(n, space="native") for n in "abc"), regions=REGIONS),
            "in the template's space",
        ),
    ],
)
def test_what_does_not_go_together(made, words):
    with pytest.raises(ValueError, match=words):
        made.check()


def test_what_goes_together():
    wise().check()
    group("confidence", A, network("d", spacing=(1.0, 1.0, 1.0))).check()
