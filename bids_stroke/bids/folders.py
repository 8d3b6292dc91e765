"""Folders of participants and sessions, and file names that contradict them."""

import re
from pathlib import Path

from .names import Name


def split_folders(path: str) -> tuple[str, str | None] | None:
    """Return the participant and session labels in the folders of a path.

    The path is relative to the dataset. The session is None without a session folder. The result is
    None for a path outside of a participant folder.

    >>> split_folders("sub-01/ses-a/anat/sub-01_ses-a_T1w.nii"), split_folders("sub-01/anat/x.nii")
    (('01', 'a'), ('01', None))
    """
    match = re.match("sub-([^/]+)/(?:ses-([^/]+)/)?", path)
    return (match[1], match[2]) if match else None


def misplacement(path: Path, root: Path) -> str | None:
    """Explain how a file name contradicts its folders below ``root``, or return None.

    A name without the entity of a folder does not contradict the folder.
    """
    entities = Name.parse(path).entities
    for folder in path.relative_to(root).parent.parts:
        key, dash, label = folder.partition("-")
        label_in_name = entities.get(key)
        if dash and key in ("sub", "ses") and label_in_name not in (None, label):
            return (
                f"{path} is in the folder {folder}, but its name has {key}-{label_in_name}; rename or "
                "move it."
            )
    return None
