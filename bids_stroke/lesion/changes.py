"""Changes of the components of a lesion between two sessions in the same space."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

#: Smallest share of the smaller of two components that the other covers if they are the same lesion.
#: It exceeds the overlap of adjacent lesions by errors of the registration.
MIN_OVERLAP = 0.1
#: Classes of a lesion and their meanings.
CLASSES = {
    "stable": "Two overlapping components, one of each session; the volume may change",
    "new": "A component of the later session only",
    "gone": "A component of the earlier session only",
    "merged": "Several components of the earlier session overlap with one of the later session",
    "split": "One component of the earlier session overlaps with several of the later session",
    "merged_split": "Several components of both sessions overlap in a chain",
}


class LesionChange(NamedTuple):
    """Components of a lesion in two sessions, which overlap directly or in a chain.

    Attributes
    ----------
    before, after : tuple of int
        Numbers of the components in the earlier and in the later session.
    shared : int
        Number of voxels that belong to the lesion in both sessions.
    """

    before: tuple[int, ...]
    after: tuple[int, ...]
    shared: int

    @property
    def kind(self) -> str:
        """Class of the change, a key of :data:`bids_stroke.lesion.changes.CLASSES`."""
        if not self.before:
            return "new"
        if not self.after:
            return "gone"
        if len(self.before) == len(self.after) == 1:
            return "stable"
        if len(self.after) == 1:
            return "merged"
        return "split" if len(self.before) == 1 else "merged_split"


def match_components(
    before: NDArray[np.integer], after: NDArray[np.integer], counts: tuple[int, int]
) -> list[LesionChange]:
    """Match the components of a lesion in two sessions by their overlap.

    Two components match if they share at least :data:`bids_stroke.lesion.changes.MIN_OVERLAP` of the
    smaller one.

    Parameters
    ----------
    before, after : ndarray of int, (x, y, z)
        Number of the component in each voxel, 0 outside of the lesion, in the same space.
    counts : tuple of (int, int)
        Number of components in each session. A component without a voxel matches no other.

    Returns
    -------
    list of LesionChange
        Each component is in one item. Items are in the order of the first component of the earlier
        session; new components follow.

    Examples
    --------
    >>> before, after = np.array([1, 1, 0, 2, 2, 0]), np.array([1, 1, 1, 1, 0, 2])
    >>> [change.kind for change in match_components(before, after, (2, 2))]
    ['merged', 'new']
    """
    number = sum(counts)
    if not number:
        return []
    sizes = [
        np.bincount(labels.ravel(), minlength=count + 1)[1:]
        for labels, count in zip((before, after), counts, strict=True)
    ]
    first, second, shared = _overlaps(before, after, counts[1])
    is_match = shared >= MIN_OVERLAP * np.minimum(sizes[0][first], sizes[1][second])
    links = first[is_match], counts[0] + second[is_match]
    graph = coo_array((np.ones(len(links[0])), links), shape=(number, number))
    _, group = connected_components(graph, directed=False)
    is_inside = group[first] == group[counts[0] + second]
    volumes = np.bincount(group[first[is_inside]], shared[is_inside], minlength=number)
    order = np.argsort(group, kind="stable")
    lesions = np.split(order, np.flatnonzero(np.diff(group[order])) + 1)
    return [
        LesionChange(
            _numbers(members[members < counts[0]]),
            _numbers(members[members >= counts[0]] - counts[0]),
            int(volumes[group[members[0]]]),
        )
        for members in sorted(lesions, key=lambda members: int(members[0]))
    ]


def _numbers(positions: NDArray[np.integer]) -> tuple[int, ...]:
    """Return the numbers of components, which start at 1, from their positions."""
    return tuple((positions + 1).tolist())


def _overlaps(
    before: NDArray[np.integer], after: NDArray[np.integer], count: int
) -> tuple[NDArray[np.integer], NDArray[np.integer], NDArray[np.integer]]:
    """Return the positions of the pairs of components that overlap, and the number of shared voxels.

    ``count`` is the number of components of the later session.
    """
    both = (before > 0) & (after > 0)
    codes = (before[both].astype(np.int64) - 1) * count + after[both] - 1
    pairs, shared = np.unique(codes, return_counts=True)
    return pairs // max(count, 1), pairs % max(count, 1), shared
