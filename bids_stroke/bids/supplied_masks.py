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

from bids_stroke.utils.files import PathLike

from . import logs
from .bidsignore import BidsIgnore
from .names import REFERENCES, Name, comparable, is_hidden, is_image, is_template

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
#: Entities that a mask has from the image that it was drawn on.
_OF_IMAGE = frozenset(
    {"acq", "ce", "chunk", "dir", "echo", "flip", "inv", "mt", "part", "rec", "run", "stain", "trc"}
)
#: Folders of a dataset whose files are not its own.
_NO_DATA = ("derivatives", "sourcedata")
#: What ``lesion`` is preceded by in a ``desc`` of tissue around or without the lesion.
_NO_LESION = ("non", "peri", "contra")
#: Values of ``desc-`` of a mask of the whole lesion.
_WHOLE = (None, "lesion")


@dataclass(frozen=True)
class SuppliedMask:
    """A lesion or brain mask of a session.

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

    @property
    def is_whole_lesion(self) -> bool:
        """Whether its name is that of a whole lesion: no part, and no special kind of lesion."""
        return self.entities.get("desc") in _WHOLE and "hemi" not in self.entities

    @property
    def image_entities(self) -> dict[str, str]:
        """The entities of its name that it has from its image."""
        return {key: value for key, value in self.entities.items() if key in _OF_IMAGE}

    @property
    def image_description(self) -> str:
        """These entities as its name has them; empty without any."""
        return "_".join(f"{key}-{value}" for key, value in self.image_entities.items())

    def belongs_to(self, path: PathLike) -> bool:
        """Whether the name of an image has the same value for each entity that a mask has from its
        image, compared as BIDS compares them: ``run-1`` is ``run-01``."""
        return _of_image(self.entities).items() <= _of_image(Name.parse(path).entities).items()

    def is_named_after(self, path: PathLike) -> bool:
        """Whether the name of an image has these values and no further entity."""
        return _of_image(self.entities) == _of_image(Name.parse(path).entities)


def _of_image(entities: Mapping[str, str]) -> dict[str, object]:
    """Entities that a mask has from its image, in comparable form."""
    return {key: comparable(key, value) for key, value in entities.items() if key in _OF_IMAGE}


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
        contrast = name.entities.get("mod", "")
        words = [space or "", contrast, *name.words[:-1], desc.removesuffix("lesion")]
        space = next((CONTRASTS[word.lower()] for word in words if word.lower() in CONTRASTS), None)
    return SuppliedMask(path, space, name.entities)


def _is_lesion(desc: str) -> bool:
    """Whether a ``desc`` in lower case names the lesion, and not tissue around or without it."""
    before, word, after = desc.partition("lesion")
    return bool(word) and not before.endswith(_NO_LESION) and not after.startswith(("free", "fill"))


def find_lesion_masks(
    folder: Path, exclude: Container[Path] = ()
) -> dict[tuple[str, str | None], list[SuppliedMask]]:
    """Find the lesion masks below a folder.

    Parameters
    ----------
    folder : Path
    exclude : container of Path
        Folders that are not searched. Hidden folders, those named ``derivatives`` or ``sourcedata``,
        those that ``.bidsignore`` lists, and output folders of bids_stroke below ``folder`` are left
        out too, and so are links to a folder that is searched already. The patterns of files of
        ``.bidsignore`` do not apply to masks, whose names the validator may not know.

    Returns
    -------
    dict
        (subject, session or None) to a list of :class:`bids_stroke.bids.supplied_masks.SuppliedMask`,
        those of a whole lesion first, then by name.
    """
    masks: dict[tuple[str, str | None], list[SuppliedMask]] = {}
    for path in _images(folder, exclude):
        if mask := parse_lesion_mask(path):
            key = mask.entities["sub"], mask.entities.get("ses")
            masks.setdefault(key, []).append(replace(mask, root=folder))
    for of_session in masks.values():
        of_session.sort(key=lambda mask: not mask.is_whole_lesion)
    return masks


def _images(folder: Path, exclude: Container[Path] = ()) -> Iterator[Path]:
    """Images of participants below a folder, in order of name within each folder; of a folder and the
    links to it beside or below it, those of the folder itself."""
    ignore = BidsIgnore(folder)
    searched = set[str]()
    for place, folders, files in os.walk(folder, followlinks=True):
        here = Path(place)
        if os.path.realpath(place) in searched or (here != folder and logs.recorded(place)):
            folders.clear()
            continue
        searched.add(os.path.realpath(place))
        kept = [
            name
            for name in folders
            if name not in _NO_DATA
            and not is_hidden(name)
            and here / name not in exclude
            and not ignore.ignores_folder((here / name).relative_to(folder).as_posix())
        ]
        folders[:] = sorted(kept, key=lambda name: ((here / name).is_symlink(), name))
        for name in sorted(files):
            if name.startswith("sub-") and is_image(name):
                yield here / name


def find_brain_masks(folders: Iterable[Path]) -> dict[tuple[str, str | None], list[SuppliedMask]]:
    """Find the brain masks of derivatives datasets that lie on an image of their session.

    Returns
    -------
    dict
        (subject, session or None) to the masks, those of the first folder first.
    """
    masks: dict[tuple[str, str | None], list[SuppliedMask]] = {}
    for folder in folders:
        for path in _images(folder):
            name, places = Name.parse(path), path.relative_to(folder).parent.parts
            space = name.entities.get("space")
            if (
                (name.suffix, name.entities.get("desc")) == ("mask", "brain")
                and places[-1:] == ("anat",)
                and places[0].startswith("sub-")
                and space in (None, *REFERENCES)
            ):
                mask = SuppliedMask(path, space, name.entities, root=folder)
                key = (name.entities["sub"], name.entities.get("ses"))
                masks.setdefault(key, []).append(mask)
    return masks
