"""Chains of transforms between the spaces of a session, from their file names."""

from collections.abc import Iterable, Mapping
from pathlib import Path

from .names import Name

#: File extensions of transforms that ANTs can apply.
EXTENSIONS = (".h5", ".mat", ".txt", ".nii", ".nii.gz")


def chains_to(target: str, paths: Iterable[Path]) -> dict[str, tuple[Path, ...]]:
    """Find the chain of transforms from each space to a target, such as FLAIR to T1w to the template.

    Parameters
    ----------
    target : str
        Space, as in file names.
    paths : iterable of Path
        Files of one session. Files that are not transforms are ignored. Several transforms between the
        same two spaces are ambiguous and also ignored.

    Returns
    -------
    dict of str to tuple of Path
        Shortest chain of image transforms from each space, in order of application; empty for the
        target itself.

    Examples
    --------
    >>> paths = [Path("sub-1_from-FLAIR_to-T1w_xfm.mat"), Path("sub-1_from-T1w_to-MNI_xfm.h5")]
    >>> {space: len(chain) for space, chain in chains_to("MNI", paths).items()}
    {'MNI': 0, 'T1w': 1, 'FLAIR': 2}
    """
    steps = _single_steps(paths)
    chains: dict[str, tuple[Path, ...]] = {target: ()}
    reached = [target]
    for end in reached:  # breadth-first search: the list grows during the iteration
        for (source, to), path in steps.items():
            if to == end and source not in chains:
                chains[source] = (path, *chains[end])
                reached.append(source)
    return chains


def _single_steps(paths: Iterable[Path]) -> Mapping[tuple[str, str], Path]:
    """Return the unambiguous transforms by source and target space."""
    steps: dict[tuple[str, str], list[Path]] = {}
    for path in sorted(paths):
        if ends := _ends(path):
            steps.setdefault(ends, []).append(path)
    return {ends: several[0] for ends, several in steps.items() if len(several) == 1}


def _ends(path: Path) -> tuple[str, str] | None:
    """Return the source and target space of an image transform, or None for another file."""
    name = Name.parse(path)
    source, to, mode = (name.entities.get(key) for key in ("from", "to", "mode"))
    if name.suffix != "xfm" or mode not in (None, "image") or not path.name.endswith(EXTENSIONS):
        return None
    return (source, to) if source and to else None
