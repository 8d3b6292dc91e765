"""Classes of lesions from the overlap of their components."""

import numpy as np
import pytest

from bids_stroke.lesion.changes import match_components
from bids_stroke.lesion.components import components


def boxes(*parts):
    """Return the numbers of the components of boxes along the first axis, given by start and stop."""
    mask = np.zeros((60, 6, 6), bool)
    for start, stop in parts:
        mask[start:stop] = True
    return components(mask)


def match(before, after):
    """Match boxes; return the class, the components and the shared planes of each lesion."""
    (first, first_count), (second, second_count) = boxes(*before), boxes(*after)
    changes = match_components(first, second, (first_count, second_count))
    return [(item.kind, item.before, item.after, item.shared // 36) for item in changes]


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ([(5, 15)], [(3, 17)], [("stable", (1,), (1,), 10)]),
        ([(5, 15)], [(9, 12)], [("stable", (1,), (1,), 3)]),
        ([], [(3, 17)], [("new", (), (1,), 0)]),
        ([(3, 17)], [], [("gone", (1,), (), 0)]),
        ([], [], []),
        ([(2, 10), (14, 20)], [(2, 20)], [("merged", (1, 2), (1,), 14)]),
        ([(2, 20)], [(2, 10), (14, 20)], [("split", (1,), (1, 2), 14)]),
        ([(2, 12), (16, 26)], [(2, 5), (9, 19), (23, 26)], [("merged_split", (1, 2), (1, 2, 3), 12)]),
    ],
)
def test_class(before, after, expected):
    assert match(before, after) == expected


def test_every_component_is_in_a_single_lesion():
    before, after = [(0, 9), (12, 18), (30, 35)], [(0, 8), (14, 19), (40, 44), (50, 53)]
    changes = match(before, after)
    assert [kind for kind, *_ in changes] == ["stable", "stable", "gone", "new", "new"]
    for place, count in ((1, 3), (2, 4)):
        numbers = [number for change in changes for number in change[place]]
        assert sorted(numbers) == list(range(1, count + 1))


def test_adjacent_lesions_that_overlap_by_a_registration_error_do_not_match():
    """A new lesion of 20 planes shares one plane with an earlier one."""
    assert [kind for kind, *_ in match([(0, 21)], [(20, 40)])] == ["gone", "new"]
    assert [kind for kind, *_ in match([(0, 22)], [(20, 40)])] == ["stable"]


def test_a_component_that_lost_all_voxels_matches_nothing():
    """Nearest-neighbor interpolation can lose the single voxel of a component."""
    before, _ = boxes((0, 9))
    after, _ = boxes((0, 9))
    assert [item.kind for item in match_components(before, after, (2, 1))] == ["stable", "gone"]
