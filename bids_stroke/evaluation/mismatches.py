"""Likely cause if no predicted mask matches a true mask."""

import re
from collections.abc import Callable, Collection, Mapping
from itertools import combinations

from bids_stroke.bids.names import join_session_name
from bids_stroke.utils.files import PathLike

from .masks import Scan, find_masks

#: Participant and session at the start of a file name; without the prefix sub-, the participant has a
#: digit, and parts other than T1w and T2w have none, since they could distinguish participants.
_NAME = re.compile(
    r"(sub-[0-9A-Za-z]+)(?:_(ses-[0-9A-Za-z]+))?(?:_.*)?"
    r"|([A-Za-z]*\d[0-9A-Za-z]*)(?:_(?:T[12]w|\D)*)?"
)


def explain_mismatch(folder: PathLike, truth: PathLike) -> str | None:
    """Explain in one sentence why no mask of a folder matches a true mask.

    Parameters
    ----------
    folder : path
        Folder of predicted masks.
    truth : path
        Folder of the true masks.

    Returns
    -------
    str or None
        None if masks match, or if there are no true masks.
    """
    true, predicted = find_masks(truth).by_scan, find_masks(folder)
    if not true or not true.keys().isdisjoint({*predicted.by_scan, *predicted.failures}):
        return None
    if not predicted.by_scan:
        return f"{folder} contains no lesion mask; check the path and the names of the masks."
    difference = _difference(list(true), list(predicted.by_scan))
    if difference is None:
        first, other = (join_session_name(*min(scans, key=str)) for scans in (predicted.by_scan, true))
        reason = f"{folder} has masks such as {first}, and {truth} such as {other}; check the folders."
    else:
        causes, first, other = difference
        reason = f"{first} in {folder} and {other} in {truth} differ in {causes}; rename one of them."
    return f"No predicted mask matches a true mask: {reason}"


def _difference(true: Collection[Scan], predicted: Collection[Scan]) -> tuple[str, str, str] | None:
    """Find the smallest set of differences whose removal makes names match.

    Returns
    -------
    tuple of (str, str, str) or None
        Description of the difference, and an example of a predicted and of a true mask.
    """
    for number in range(1, len(_DIFFERENCES) + 1):
        for names in combinations(_DIFFERENCES, number):
            first, other = (_without(scans, names) for scans in (predicted, true))
            if common := first.keys() & other.keys():
                key = min(common, key=str)
                example, true_example = (join_session_name(*scans[key]) for scans in (first, other))
                return " and ".join(names), example, true_example
    return None


def _without(scans: Collection[Scan], names: Collection[str]) -> Mapping[Scan, Scan]:
    """Return scans by their names after some differences are removed."""
    remaining = {}
    for scan in scans:
        reduced = scan
        for name in names:
            reduced = _DIFFERENCES[name](reduced)
        remaining[reduced] = scan
    return remaining


def _without_other_parts(scan: Scan) -> Scan:
    """Reduce the name of a file to participant and session."""
    match = _NAME.fullmatch(scan[0])
    return (match[1] or match[3], match[2] or scan[1]) if match else scan


def _without_zeros(scan: Scan) -> Scan:
    participant, session = (re.sub(r"\d+", lambda digits: str(int(digits[0])), s or "") for s in scan)
    return participant, session or None


#: Differences of names, and the functions that remove them, in order of application.
_DIFFERENCES: Mapping[str, Callable[[Scan], Scan]] = {
    "other parts of the file name": _without_other_parts,
    "the prefix sub-": lambda scan: (scan[0].removeprefix("sub-"), scan[1]),
    "the session": lambda scan: (scan[0], None),
    "leading zeros": _without_zeros,
    "upper and lower case": lambda scan: (scan[0].lower(), scan[1] and scan[1].lower()),
}
