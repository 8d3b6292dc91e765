"""Find user-supplied masks by the naming schemes of BIDS and of public cohorts.

Names of lesion masks:

- BIDS: ``sub-01[_space-T1w]_label-L_mask``, ``_label-lesion_roi``, ``_label-L_dseg``;
- ATLAS v2.0: ``sub-r001s001_ses-1_space-MNI152NLin2009aSym_label-L_desc-T1lesion_mask``;
- ARC: ``sub-M2265_ses-849_acq-spc3p2_run-10_T2w_desc-lesion_mask``;
- SOOP: ``sub-1_space-TRACE_desc-lesion_mask`` (``lesionAcute``, ``lesionChronic``);
- ISLES 2022: ``sub-strokecase0001_ses-0001_msk``, drawn on the diffusion-weighted image.
"""

import os
from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from bids_stroke.utils.files import PathLike

from . import logs
from .bidsignore import BidsIgnore
from .names import REFERENCES, Name, comparable, is_hidden, is_image, is_template

#: Contrasts that a mask can be drawn on, by their spellings in file names.
CONTRASTS = {
    "t1": "T1w",
    "t1w": "T1w",
    "t2": "T2w",
    "t2w": "T2w",
    "flair": "FLAIR",
    "trace": "TRACE",
    "dwi": "TRACE",
    "adc": "ADC",
}
_SUFFIXES = ("mask", "roi", "dseg")
_ISLES = "msk"
#: Entities that a mask shares with the image that it was drawn on.
_IMAGE_ENTITIES = frozenset(
    {"acq", "ce", "chunk", "dir", "echo", "flip", "inv", "mt", "part", "rec", "run", "stain", "trc"}
)
#: Folders of a dataset with files of other datasets.
_NESTED_DATASETS = ("derivatives", "sourcedata")
#: Prefixes of ``lesion`` in a ``desc`` of tissue around or without the lesion.
_NO_LESION = ("non", "peri", "contra")
#: Values of ``desc-`` of a whole-lesion mask.
_WHOLE_LESION = (None, "lesion")


@dataclass(frozen=True)
class SuppliedMask:
    """Lesion or brain mask of a session.

    ``space`` is the contrast or the template in whose space the mask is, or None if the name does not
    contain it. ``entities`` are the entities of the name. ``root`` is the folder that was searched.
    """

    path: Path
    space: str | None
    entities: dict[str, str] = field(hash=False)
    root: Path | None = None

    @property
    def in_template(self) -> bool:
        """Whether the mask is in a template space."""
        return is_template(self.space)

    @property
    def is_whole_lesion(self) -> bool:
        """Whether the name is that of a whole lesion, not of a part or a special kind of lesion."""
        return self.entities.get("desc") in _WHOLE_LESION and "hemi" not in self.entities

    @property
    def image_entities(self) -> dict[str, str]:
        """Entities of the name that refer to the image of the mask."""
        return {key: value for key, value in self.entities.items() if key in _IMAGE_ENTITIES}

    @property
    def image_description(self) -> str:
        """Entities that refer to the image, as in the name; empty without any."""
        return "_".join(f"{key}-{value}" for key, value in self.image_entities.items())

    def belongs_to(self, path: PathLike) -> bool:
        """Return whether the image entities of the mask match those of an image.

        Values are compared by the rules of BIDS: ``run-1`` matches ``run-01``.
        """
        return (
            _comparable_entities(self.entities).items()
            <= _comparable_entities(Name.parse(path).entities).items()
        )

    def is_named_after(self, path: PathLike) -> bool:
        """Return whether an image has the same image entities as the mask, and no others."""
        return _comparable_entities(self.entities) == _comparable_entities(Name.parse(path).entities)


def _comparable_entities(entities: Mapping[str, str]) -> dict[str, object]:
    """Return the image entities of a name in comparable form."""
    return {key: comparable(key, value) for key, value in entities.items() if key in _IMAGE_ENTITIES}


def parse_lesion_mask(path: Path) -> SuppliedMask | None:
    """Parse the name of a lesion mask; return None for any other file."""
    name = Name.parse(path)
    if "sub" not in name.entities:
        return None
    if name.suffix == _ISLES:
        return SuppliedMask(path, "TRACE", name.entities)
    if name.suffix not in _SUFFIXES:
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
    """Return whether a ``desc`` in lower case denotes the lesion, not tissue around or without it."""
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
        Folders that are not searched. These folders are not searched either: hidden folders, folders
        named ``derivatives`` or ``sourcedata``, folders listed in ``.bidsignore``, output folders of
        bids_stroke below ``folder``, and links to folders that are already searched. File patterns of
        ``.bidsignore`` do not apply to masks, since the BIDS validator may not know their names.

    Returns
    -------
    dict
        (subject, session or None) to a list of :class:`bids_stroke.bids.supplied_masks.SuppliedMask`:
        whole-lesion masks first, then sorted by name.
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
    """Yield the images of participants below a folder, sorted by name within each folder.

    A folder is searched once; links to it in the same folder or below are not followed.
    """
    ignore = BidsIgnore(folder)
    searched = set[str]()
    for root, folders, files in os.walk(folder, followlinks=True):
        parent = Path(root)
        if os.path.realpath(root) in searched or (parent != folder and logs.recorded(root)):
            folders.clear()
            continue
        searched.add(os.path.realpath(root))
        subfolders = [
            name
            for name in folders
            if name not in _NESTED_DATASETS
            and not is_hidden(name)
            and parent / name not in exclude
            and not ignore.ignores_folder((parent / name).relative_to(folder).as_posix())
        ]
        folders[:] = sorted(subfolders, key=lambda name: ((parent / name).is_symlink(), name))
        for name in sorted(files):
            if name.startswith("sub-") and is_image(name):
                yield parent / name


def find_brain_masks(folders: Iterable[Path]) -> dict[tuple[str, str | None], list[SuppliedMask]]:
    """Find the brain masks of derivatives datasets that are on the grid of an image of their session.

    Returns
    -------
    dict
        (subject, session or None) to the masks, in the order of the folders.
    """
    masks: dict[tuple[str, str | None], list[SuppliedMask]] = {}
    for folder in folders:
        for path in _images(folder):
            name, parents = Name.parse(path), path.relative_to(folder).parent.parts
            space = name.entities.get("space")
            if (
                (name.suffix, name.entities.get("desc")) == ("mask", "brain")
                and parents[-1:] == ("anat",)
                and parents[0].startswith("sub-")
                and space in (None, *REFERENCES)
            ):
                mask = SuppliedMask(path, space, name.entities, root=folder)
                key = (name.entities["sub"], name.entities.get("ses"))
                masks.setdefault(key, []).append(mask)
    return masks
