"""Parse and format the BIDS names of sessions, images and derivatives."""

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import pandas as pd

from bids_stroke.errors import UsageError
from bids_stroke.settings import SPACES
from bids_stroke.utils.files import PathLike

from .diffusion import DIFFUSION, contrast_of_suffix

#: Contrasts that can be the reference image of a session, in order of preference.
REFERENCES = ("T1w", "FLAIR", "T2w")
#: All contrasts, in order of preference.
CONTRASTS = (*REFERENCES, *DIFFUSION)
#: Maximum length of a session name. A file name has up to 255 characters, and that of a derivative
#: up to 100 more than the session name.
MAX_SESSION_NAME = 150
#: Entities of derivatives that follow those of the session, in BIDS order.
ENTITIES = ("space", "atlas", "seg", "res", "label", "desc", "stat")
#: Folders with images.
FOLDERS = ("anat", "dwi")
#: Extensions of images.
IMAGE_EXTENSIONS = (".nii", ".nii.gz")
#: Entities with numeric values: ``run-1`` and ``run-01`` are the same run.
NUMBERED = frozenset({"run", "echo", "inv", "flip", "chunk", "split"})
#: Values of ``space-`` that denote scanner space.
_SCANNER_SPACES = frozenset({"orig", "native", "scanner", "individual"})

_SUBJECT, _SESSION = "sub-", "ses-"


@dataclass(frozen=True)
class Name:
    """Parts of a file name.

    ``words`` are the parts that are not entities; the last word is the suffix.
    """

    entities: dict[str, str]
    words: tuple[str, ...]

    @classmethod
    def parse(cls, path: PathLike) -> Self:
        """Parse a file name.

        >>> name = Name.parse("sub-1_run-2_T2w_desc-lesion_mask.nii.gz")
        >>> name.entities, name.words
        ({'sub': '1', 'run': '2', 'desc': 'lesion'}, ('T2w', 'mask'))
        """
        parts = Path(path).name.partition(".")[0].split("_")
        entities = dict(part.split("-", 1) for part in parts if "-" in part)
        words = tuple(part for part in parts if "-" not in part)
        return cls(entities, words)

    @property
    def suffix(self) -> str:
        """Suffix, such as ``mask``; empty without one."""
        return self.words[-1] if self.words else ""

    @property
    def session_name(self) -> str:
        """Session name, as from :func:`bids_stroke.bids.names.session_name`; empty without ``sub-``."""
        subject = self.entities.get("sub")
        return session_name(subject, self.entities.get("ses")) if subject else ""


def is_image(name: str) -> bool:
    """Return whether a file name is that of an image; hidden files are not images.

    >>> is_image("sub-01_T1w.nii.gz"), is_image("._sub-01_T1w.nii.gz"), is_image("sub-01_T1w.json")
    (True, False, False)
    """
    return name.endswith(IMAGE_EXTENSIONS) and not is_hidden(name)


def is_dotted(path: PathLike) -> bool:
    """Return whether the name of an image has a dot before its extension, which BIDS forbids.

    >>> is_dotted("sub-01_acq-0.8mm_T1w.nii.gz"), is_dotted("sub-01_T1w.nii.gz")
    (True, False)
    """
    return "." in Path(path).name.removesuffix(".gz").removesuffix(".nii")


def is_hidden(name: str) -> bool:
    """Return whether a file or folder is hidden, such as the ``._`` files of macOS."""
    return name.startswith(".")


def comparable(key: str, value: object) -> object:
    """Convert the value of an entity for comparison: a number if it is numbered, otherwise text.

    >>> comparable("run", "01"), comparable("run", 1), comparable("acq", "01")
    (1, 1, '01')
    """
    text = str(value)
    return int(text) if key in NUMBERED and text.isdecimal() else text


def entity(path: PathLike, key: str) -> str | None:
    """Return the value of an entity in a file name, or None without it.

    >>> entity("sub-01_acq-a_ce-gadolinium_T1w.nii.gz", "ce")
    'gadolinium'
    """
    return Name.parse(path).entities.get(key)


def contrast_of(path: PathLike) -> str | None:
    """Return the contrast of a raw image by its name, or None for another file.

    >>> contrast_of("sub-01_rec-TRACE_dwi.nii"), contrast_of("sub-01_UNIT1.nii")
    ('TRACE', None)
    """
    name = Name.parse(path)
    if name.suffix in REFERENCES:
        return name.suffix
    return contrast_of_suffix(name.suffix, name.entities.get("rec"), path)


def session_name(subject: str, session: str | None = None) -> str:
    """Return the name of a session, with which its file names start.

    The labels have no ``sub-`` and ``ses-``.

    >>> session_name("01"), session_name("01", "a")
    ('sub-01', 'sub-01_ses-a')
    """
    return f"{_SUBJECT}{subject}" + (f"_{_SESSION}{session}" if session else "")


def split_session_name(session_name: str) -> tuple[str, str]:
    """Split a session name into participant and session, which is empty without ``ses-``.

    >>> split_session_name("sub-01_ses-a"), split_session_name("sub-01")
    (('sub-01', 'ses-a'), ('sub-01', ''))
    """
    participant, _, session = session_name.partition("_")
    return participant, session


def join_session_name(participant: str, session: str | None) -> str:
    """Join ``sub-XX`` and ``ses-YY`` to a session name: the inverse of
    :func:`bids_stroke.bids.names.split_session_name`."""
    return f"{participant}_{session}" if session else participant


def has_labels(
    session_name: str, participants: Collection[str] = (), sessions: Collection[str] = ()
) -> bool:
    """Return whether a session has one of the given labels; empty labels match all sessions.

    >>> has_labels("sub-01_ses-a", ["01"]), has_labels("sub-01_ses-a", ["01"], ["b"])
    (True, False)
    """
    participant, session = split_session_name(session_name)
    return (not participants or participant.removeprefix(_SUBJECT) in participants) and (
        not sessions or session.removeprefix(_SESSION) in sessions
    )


def with_prefix(text: str, prefix: str) -> str:
    """Strip a label of a table and add its prefix; an empty label stays empty.

    >>> with_prefix(" 01 ", "sub-"), with_prefix("sub-01", "sub-"), with_prefix(" ", "sub-")
    ('sub-01', 'sub-01', '')
    """
    label = text.strip().removeprefix(prefix)
    return prefix + label if label else ""


def is_participant(name: str) -> bool:
    """Return whether a name is ``sub-`` and a label."""
    return re.fullmatch(f"{_SUBJECT}[a-zA-Z0-9]+", name) is not None


def is_label(text: str) -> bool:
    """Return whether a text is a valid label of a participant or session."""
    return re.fullmatch(r"[A-Za-z0-9+]+", text) is not None


def folder_of(session_name: str) -> Path:
    """Return the folder of the anatomical files of a session, relative to the dataset.

    >>> folder_of("sub-01_ses-a").as_posix()
    'sub-01/ses-a/anat'
    """
    return Path(*session_name.split("_"), "anat")


def derivative(
    session_name: str, suffix: str, extension: str = ".nii.gz", **entities: str | None
) -> str:
    """Return the file name of a derivative, with its entities in BIDS order.

    >>> derivative("sub-01", "mask", space="T1w", label="L", desc="T1lesion")
    'sub-01_space-T1w_label-L_desc-T1lesion_mask.nii.gz'
    """
    unknown = set(entities) - set(ENTITIES)
    if unknown:
        raise ValueError(f"unknown entities {sorted(unknown)}")
    parts = [f"{key}-{entities[key]}" for key in ENTITIES if entities.get(key)]
    return "_".join([session_name, *parts, suffix]) + extension


def transform(session_name: str, source: str, target: str, extension: str) -> str:
    """Return the file name of a transform from one space to another.

    >>> transform("sub-01", "FLAIR", "T1w", ".mat")
    'sub-01_from-FLAIR_to-T1w_mode-image_xfm.mat'
    """
    return f"{session_name}_from-{source}_to-{target}_mode-image_xfm{extension}"


def with_suffix(path: Path, suffix: str) -> Path:
    """Return a path in the same folder whose file name differs only in the suffix.

    >>> with_suffix(Path("sub-01_desc-T1lesion_mask.nii.gz"), "probseg").name
    'sub-01_desc-T1lesion_probseg.nii.gz'
    """
    stem, dot, extension = path.name.partition(".")
    return path.with_name("_".join([*stem.split("_")[:-1], suffix]) + dot + extension)


def sidecar_of(path: Path) -> Path:
    """Return the path of the JSON sidecar of a file."""
    return path.with_name(path.name.partition(".")[0] + ".json")


def description_of(contrasts: Iterable[str]) -> str:
    """Return the ``desc`` of a lesion, formed from the contrasts that the model used.

    Without contrasts, the result is ``ownlesion``, for a user-supplied mask.

    >>> description_of(["T1w", "FLAIR"]), description_of([])
    ('T1FLAIRlesion', 'ownlesion')
    """
    return ("".join(contrast.removesuffix("w") for contrast in contrasts) or "own") + "lesion"


def is_template(space: str | None) -> bool:
    """Return whether a value of ``space-`` is a template, not a contrast."""
    return space is not None and space.startswith("MNI")


def in_scanner_space(space: str | None, contrast: str) -> bool:
    """Return whether an image of a contrast is in scanner space, by the value of its ``space-``.

    >>> in_scanner_space(None, "T1w"), in_scanner_space("orig", "T1w"), in_scanner_space("T1w", "FLAIR")
    (True, True, False)
    """
    return space is None or space in _SCANNER_SPACES or space == contrast


def space_of(path: PathLike) -> str:
    """Return the template space of a map from the ``space-`` in its name.

    Raises
    ------
    UsageError
        If the name has no ``space-``.
    """
    space = _entity_of_map(path, "space")
    if not space:
        raise UsageError(
            f"{path} has no space- in its name; add the template space, such as space-{SPACES[0]}."
        )
    return space


def label_of(path: PathLike) -> str:
    """Return the label of a map: its ``atlas-`` entity, else the name without ``space-``."""
    stem = Path(path).name.partition(".nii")[0]
    without_space = re.sub("space-[0-9A-Za-z]+", "", stem)
    return _entity_of_map(path, "atlas") or re.sub("[^0-9A-Za-z]", "", without_space) or "map"


def _entity_of_map(path: PathLike, key: str) -> str | None:
    """Return the value of an entity of a map, whose name need not follow BIDS otherwise."""
    match = re.search(f"(?:^|_){key}-([0-9A-Za-z]+)", Path(path).name)
    return match[1] if match else None


def natural_key(name: str | float | None) -> str:
    """Return a sort key that puts ``run-10`` after ``run-2``, and missing values (NaN) first.

    >>> sorted(["run-10", "run-2"], key=natural_key)
    ['run-2', 'run-10']
    """
    return re.sub(r"\d+", lambda digits: digits[0].zfill(12), "" if pd.isna(name) else str(name))
