"""Discovery of user-supplied masks, by the file names of labs and public cohorts.

Names of lesion masks:

- BIDS: ``sub-01[_space-T1w]_label-L_mask``, ``_label-lesion_roi``, ``_label-L_dseg``;
- ATLAS v2.0: ``sub-r001s001_ses-1_space-MNI152NLin2009aSym_label-L_desc-T1lesion_mask``;
- ARC: ``sub-M2265_ses-849_acq-spc3p2_run-10_T2w_desc-lesion_mask``;
- SOOP: ``sub-1_space-TRACE_desc-lesion_mask`` (``lesionAcute``, ``lesionChronic``).
"""

import os
from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from bids_stroke.errors import UsageError

from . import logs
from .names import IMAGE_EXTENSIONS, REFERENCES, Name, derivative, is_template

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
#: Folders of a dataset whose files are not its own.
_NO_DATA = ("derivatives", "sourcedata")
#: What ``lesion`` is preceded by in a ``desc`` of tissue around or without the lesion.
_NO_LESION = ("non", "peri", "contra")
_FILTERS = ("acq", "ce", "desc", "label", "rec", "run", "space")
#: Entities by which a mask belongs to one of several images of a contrast.
_OF_IMAGE = {"acq", "ce", "rec", "run"}


@dataclass(frozen=True)
class SuppliedMask:
    """A lesion mask of a session.

    ``space`` is the contrast or the template whose space it is in, None where its name does not
    say; ``entities`` are those of its name; ``root`` is the folder below which it was found.
    """

    path: Path
    space: str | None
    entities: dict[str, str] = field(hash=False)
    root: Path | None = None

    @property
    def in_template(self) -> bool:
        """Whether it lies in a template space."""
        return is_template(self.space)

    def belongs_to(self, name: str) -> bool:
        """Whether the name of an image has no other value for an entity of the mask's name."""
        entities = Name.parse(name).entities
        return all(entities.get(key) == self.entities[key] for key in _OF_IMAGE & self.entities.keys())


def parse_lesion_mask(path: Path) -> SuppliedMask | None:
    """Parse the name of a lesion mask; None for any other file."""
    name = Name.parse(path)
    if name.suffix not in _SUFFIXES or "sub" not in name.entities:
        return None
    desc = name.entities.get("desc", "").lower()
    if name.entities.get("label", "").lower() not in ("l", "lesion") and not _is_lesion(desc):
        return None
    space = name.entities.get("space")
    if not is_template(space):
        words = [space or "", *name.words[:-1], desc.removesuffix("lesion")]
        space = next((CONTRASTS[word.lower()] for word in words if word.lower() in CONTRASTS), None)
    return SuppliedMask(path, space, name.entities)


def _is_lesion(desc: str) -> bool:
    """Whether a ``desc`` in lower case names the lesion, and not tissue around or without it."""
    before, word, after = desc.partition("lesion")
    return bool(word) and not before.endswith(_NO_LESION) and not after.startswith(("free", "fill"))


def find_lesion_masks(
    folder: Path, leave_out: Container[Path] = (), filters: Mapping[str, object] | None = None
) -> dict[tuple[str, str | None], list[SuppliedMask]]:
    """Find the lesion masks below a folder.

    Parameters
    ----------
    folder : Path
    leave_out : container of Path
        Folders that are not searched. Hidden folders, those named ``derivatives`` or ``sourcedata``,
        and output folders of bids_stroke below ``folder`` are left out too.
    filters : mapping, optional
        Values of entities, such as ``{"desc": "lesionAcute"}``.

    Returns
    -------
    dict
        (subject, session or None) to a list of :class:`bids_stroke.bids.supplied_masks.SuppliedMask`,
        the most general first: those without ``desc``, or with ``desc-lesion``, then by name.

    Raises
    ------
    UsageError
        If a filter names no entity of masks.
    """
    values = {key: str(value) for key, value in (filters or {}).items()}
    unknown = values.keys() - set(_FILTERS)
    if unknown:
        raise UsageError(
            f"--bids-filter-file filters lesion masks by {', '.join(sorted(unknown))}; use "
            f"{', '.join(_FILTERS)}."
        )
    masks: dict[tuple[str, str | None], list[SuppliedMask]] = {}
    for path in _images(folder, leave_out):
        mask = parse_lesion_mask(path)
        if mask and values.items() <= mask.entities.items():
            key = mask.entities["sub"], mask.entities.get("ses")
            masks.setdefault(key, []).append(replace(mask, root=folder))
    for of_session in masks.values():
        of_session.sort(key=lambda mask: mask.entities.get("desc", "lesion") != "lesion")
    return masks


def _images(folder: Path, leave_out: Container[Path]) -> Iterator[Path]:
    """Images of participants below a folder, in order of name within each folder."""
    for place, folders, files in os.walk(folder, followlinks=True):
        if Path(place) != folder and logs.recorded(place):
            folders.clear()
            continue
        folders[:] = sorted(
            name
            for name in folders
            if name not in _NO_DATA and name[0] != "." and Path(place, name) not in leave_out
        )
        for name in sorted(files):
            if name.startswith("sub-") and name.endswith(IMAGE_EXTENSIONS):
                yield Path(place, name)


def supplied_brain_masks(folders: Iterable[Path]) -> dict[tuple[str, str], Path]:
    """Find the brain masks of derivatives datasets: (session name, contrast) to path."""
    pattern = "sub-*/**/anat/" + derivative("*", "mask", desc="brain")
    masks: dict[tuple[str, str], Path] = {}
    for folder in folders:
        for path in sorted(folder.glob(pattern)):
            name = Name.parse(path)
            space = name.entities.get("space", "T1w")
            if space in REFERENCES:
                masks.setdefault((name.session_name, space), path)
    return masks
