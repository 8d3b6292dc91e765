"""BIDS file names: entities parsed and formatted."""

import re
from pathlib import Path

import pandas as pd

from bids_stroke.errors import ResourceError
from bids_stroke.settings import SPACES


def space_of(path):
    """Tell the template space of a map by the ``space-`` in its name.

    Raises
    ------
    ResourceError
        If there is none.
    """
    found = re.search(r"(?:^|_)space-([0-9A-Za-z]+)", Path(path).name)
    if not found:
        raise ResourceError(
            f"{path} does not tell its template space; put space-{SPACES[0]} or another space into its "
            "name."
        )
    return found[1]


def label_of(path):
    """The value of the ``atlas-`` entity for a map: its own, or its name without the space."""
    stem = Path(path).name.partition(".nii")[0]
    found = re.search(r"(?:^|_)atlas-([0-9A-Za-z]+)", stem)
    if found:
        return found[1]
    return re.sub("[^0-9A-Za-z]", "", re.sub("space-[0-9A-Za-z]+", "", stem)) or "map"


def split_name(name):
    """Split a file's name into its entities and the parts that are none.

    >>> split_name("sub-1_run-2_T2w_desc-lesion_mask.nii.gz")
    ({'sub': '1', 'run': '2', 'desc': 'lesion'}, ['T2w', 'mask'])
    """
    parts = name.partition(".")[0].split("_")
    entities = dict(part.split("-", 1) for part in parts if "-" in part)
    return entities, [part for part in parts if "-" not in part]


#: The order in which a contrast serves as the reference image of a session.
REFERENCES = ("T1w", "FLAIR", "T2w")
#: What own lesion masks may be drawn on besides; a reference where there is nothing else.
TRACE = "TRACE"
#: Of a session's name, in characters: names of files have up to 255, ours up to 100 more than that.
LONGEST = 150
ENTITIES = ("space", "atlas", "seg", "res", "label", "desc")


def prefix(subject, session):
    """Start of a file's name."""
    return f"sub-{subject}" + (f"_ses-{session}" if session else "")


def derivative(session_name, suffix, extension=".nii.gz", **entities):
    """Name of a derivative with its entities in BIDS order.

    >>> derivative("sub-01", "mask", space="T1w", label="L", desc="T1lesion")
    'sub-01_space-T1w_label-L_desc-T1lesion_mask.nii.gz'
    """
    unknown = set(entities) - set(ENTITIES)
    if unknown:
        raise ValueError(f"unknown entities {sorted(unknown)}")
    middle = [f"{key}-{entities[key]}" for key in ENTITIES if entities.get(key)]
    return "_".join([session_name, *middle, suffix]) + extension


def description_of(contrasts):
    """``desc`` of a lesion after the contrasts that the model used: T1FLAIRlesion, ...; of an own
    mask (no contrasts): ownlesion."""
    if not contrasts:
        return "ownlesion"
    return "".join(contrast.removesuffix("w") for contrast in contrasts) + "lesion"


def natural_key(path):
    """Sort key that puts run-10 after run-2."""
    return [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", path.name)]


def split_session_name(known):
    """Participant and session of a record; the session is empty where there are none."""
    participant, _, session = known.name.partition("_ses-")
    return participant, f"ses-{session}" if session else ""


def natural(name):
    """Sort key that puts ``sub-2`` before ``sub-10``."""
    return re.sub(r"\d+", lambda digits: digits[0].zfill(12), "" if pd.isna(name) else str(name))
