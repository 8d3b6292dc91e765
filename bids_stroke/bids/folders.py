"""Folders of participants and sessions, and names of files that contradict them."""

import re
from pathlib import Path

from .names import Name


def split_folders(path: str) -> tuple[str, str | None] | None:
    """Labels of participant and session in the folders of a path that is relative to the dataset.

    The session is None where there is none; None for paths outside a participant folder.

    >>> split_folders("sub-01/ses-a/anat/sub-01_ses-a_T1w.nii"), split_folders("sub-01/anat/x.nii")
    (('01', 'a'), ('01', None))
    """
    match = re.match("sub-([^/]+)/(?:ses-([^/]+)/)?", path)
    return (match[1], match[2]) if match else None


def misplacement(path: Path, root: Path) -> str | None:
    """Explain how the name of a file contradicts its folders below ``root``; None if it does not.

    A name without the entity of a folder contradicts none.
    """
    entities = Name.parse(path).entities
    for folder in path.relative_to(root).parent.parts:
        key, dash, label = folder.partition("-")
        named = entities.get(key)
        if dash and key in ("sub", "ses") and named not in (None, label):
            return (
                f"{path} lies in a folder {folder}, but its name has {key}-{named}; rename or move it."
            )
    return None
