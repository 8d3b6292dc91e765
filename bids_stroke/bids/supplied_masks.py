"""The user's own lesion masks: found by the names that labs and public cohorts give them.

- BIDS: ``sub-01[_space-T1w]_label-L_mask``, ``_label-lesion_roi``, ``_label-L_dseg``;
- ATLAS v2.0: ``sub-r001s001_ses-1_space-MNI152NLin2009aSym_label-L_desc-T1lesion_mask``;
- ARC: ``sub-M2265_ses-849_acq-spc3p2_run-10_T2w_desc-lesion_mask``;
- SOOP: ``sub-1_space-TRACE_desc-lesion_mask`` (``lesionAcute``, ``lesionChronic``).
"""

import os
from dataclasses import dataclass, field
from pathlib import Path

from bids_stroke.errors import UsageError

from . import names
from .names import REFERENCES, prefix, split_name

#: Contrasts that a mask can be drawn on, by what names call them.
CONTRASTS = {
    "t1": "T1w",
    "t1w": "T1w",
    "t2": "T2w",
    "t2w": "T2w",
    "flair": "FLAIR",
    "trace": "TRACE",
    "dwi": "TRACE",
}
_SUFFIXES = ("mask", "roi", "dseg")
_FILTERS = ("acq", "ce", "desc", "label", "rec", "run", "space")


@dataclass(frozen=True)
class SuppliedMask:
    """A lesion mask of a session.

    ``space`` is the contrast or the template whose space it is in, None where its name does not
    tell; ``entities`` are those of its name.
    """

    path: Path
    space: str | None
    entities: dict = field(hash=False)

    @property
    def in_template(self):
        """Whether it lies in a template space."""
        return self.space is not None and self.space.startswith("MNI")

    def belongs_to(self, name):
        """Tell whether an image's name has no other value for an entity of the mask's name."""
        entities, _ = split_name(name)
        kept = {"acq", "ce", "rec", "run"} & self.entities.keys()
        return all(entities.get(key) == self.entities[key] for key in kept)


def parse_lesion_mask(path):
    """Read the name of a file: an :class:`SuppliedMask`, or None where it is none."""
    entities, parts = split_name(path.name)
    if not parts or parts[-1] not in _SUFFIXES or "sub" not in entities:
        return None
    desc = entities.get("desc", "").lower()
    if entities.get("label", "").lower() not in ("l", "lesion") and "lesion" not in desc:
        return None
    space = entities.get("space")
    if space is None or not space.startswith("MNI"):
        named = [space or "", *parts[:-1], desc.removesuffix("lesion")]
        space = next((CONTRASTS[key.lower()] for key in named if key.lower() in CONTRASTS), None)
    return SuppliedMask(path, space, entities)


def find_lesion_masks(folder, leave_out, filters):
    """Find the lesion masks below a folder.

    Parameters
    ----------
    folder : Path
    leave_out : sequence of Path
        Folders not to look into. Hidden folders and those named ``derivatives`` are left out too.
    filters : dict
        Values of entities, such as ``{"desc": "lesionAcute"}``.

    Returns
    -------
    dict
        (subject, session or None) to a list of :class:`SuppliedMask`, the most general first: those
        without ``desc``, or with ``desc-lesion``, then by name.

    Raises
    ------
    UsageError
        If a filter names no entity of masks.
    """
    unknown = set(filters) - set(_FILTERS)
    if unknown:
        raise UsageError(
            f"--bids-filter-file filters lesion masks by {', '.join(sorted(unknown))}; use "
            f"{', '.join(_FILTERS)}."
        )
    found = {}
    for place, folders, files in os.walk(folder, followlinks=True):
        folders[:] = sorted(
            name
            for name in folders
            if name != "derivatives" and name[0] != "." and Path(place, name) not in leave_out
        )
        for name in sorted(files):
            if not name.startswith("sub-") or not name.endswith((".nii", ".nii.gz")):
                continue
            mask = parse_lesion_mask(Path(place, name))
            if mask and all(mask.entities.get(key) == str(value) for key, value in filters.items()):
                key = mask.entities["sub"], mask.entities.get("ses")
                found.setdefault(key, []).append(mask)
    for masks in found.values():
        masks.sort(key=lambda mask: mask.entities.get("desc", "lesion") != "lesion")
    return found


def supplied_lesion_masks(settings):
    leave_out = (settings.output_dir, settings.work_dir)
    filters = settings.bids_filters.get("lesion", {})
    return find_lesion_masks(settings.lesion_derivatives, leave_out, filters)


def supplied_brain_masks(folders):
    """Brain masks of derivatives datasets: (session name, contrast) to path."""
    found = {}
    for folder in folders:
        for path in sorted(folder.glob("sub-*/**/anat/*_desc-brain_mask.nii.gz")):
            entities, _ = names.split_name(path.name)
            space = entities.get("space", "T1w")
            key = prefix(entities.get("sub"), entities.get("ses")), space
            if space in REFERENCES:
                found.setdefault(key, path)
    return found
