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


def session_folders(path: Path, root: Path) -> tuple[str, str | None]:
    """Return the participant and session labels in the folders of a path below ``root``.

    >>> session_folders(Path("/data/masks/sub-01/ses-a/anat/x.nii"), Path("/data"))
    ('01', 'a')
    """
    labels = dict(folder.split("-", 1) for folder in _labeled_folders(path, root))
    return labels.get("sub", ""), labels.get("ses")


def _labeled_folders(path: Path, root: Path) -> list[str]:
    """Return the folders of participants and sessions in a path below ``root``."""
    folders = path.relative_to(root).parent.parts
    return [folder for folder in folders if folder.startswith(("sub-", "ses-"))]


def misplacement(path: Path, root: Path) -> str | None:
    """Explain how a file name contradicts its folders below ``root``, or return None.

    A name without the entity of a folder does not contradict the folder.
    """
    entities = Name.parse(path).entities
    for folder in _labeled_folders(path, root):
        key, label = folder.split("-", 1)
        label_in_name = entities.get(key)
        if label_in_name not in (None, label):
            return (
                f"{path} is in the folder {folder}, but its name has {key}-{label_in_name}; rename or "
                "move it."
            )
    return None
