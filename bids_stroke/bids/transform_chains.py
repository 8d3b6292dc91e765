"""Chains of transforms between the spaces of a session, by the names of their files."""

from collections.abc import Iterable, Mapping
from pathlib import Path

from .names import Name

#: Files of transforms that ANTs applies.
EXTENSIONS = (".h5", ".mat", ".txt", ".nii", ".nii.gz")


def chains_to(target: str, paths: Iterable[Path]) -> dict[str, tuple[Path, ...]]:
    """Find the way from each space to a target, such as FLAIR to T1w to the template.

    Parameters
    ----------
    target : str
        A space as names have it.
    paths : iterable of Path
        Files of one session; those that are no transforms are left out, as are several transforms
        between the same two spaces, of which none can be chosen.

    Returns
    -------
    dict of str to tuple of Path
        Transforms of images in the order of application, the fewest that lead there; empty from the
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
    for end in reached:  # grows while it is read: the nearest spaces come first
        for (source, to), path in steps.items():
            if to == end and source not in chains:
                chains[source] = (path, *chains[end])
                reached.append(source)
    return chains


def _single_steps(paths: Iterable[Path]) -> Mapping[tuple[str, str], Path]:
    """Transforms by the spaces that they lead from and to."""
    steps: dict[tuple[str, str], list[Path]] = {}
    for path in sorted(paths):
        if ends := _ends(path):
            steps.setdefault(ends, []).append(path)
    return {ends: several[0] for ends, several in steps.items() if len(several) == 1}


def _ends(path: Path) -> tuple[str, str] | None:
    """Spaces that a transform of images leads from and to; None for another file."""
    name = Name.parse(path)
    source, to, mode = (name.entities.get(key) for key in ("from", "to", "mode"))
    if name.suffix != "xfm" or mode not in (None, "image") or not path.name.endswith(EXTENSIONS):
        return None
    return (source, to) if source and to else None
