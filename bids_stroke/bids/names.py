"""BIDS names: parsing and formatting of the names of sessions, images and derivatives."""

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import pandas as pd

from bids_stroke.errors import ResourceError
from bids_stroke.settings import SPACES
from bids_stroke.utils.files import PathLike

#: The order in which a contrast serves as the reference image of a session.
REFERENCES = ("T1w", "FLAIR", "T2w")
#: The contrast that user-supplied lesion masks may be drawn on besides; the reference of a session
#: without any of :data:`bids_stroke.bids.names.REFERENCES`.
TRACE = "TRACE"
#: Longest name of a session, in characters: names of files have up to 255, and those of derivatives up
#: to 100 more than the session's.
MAX_SESSION_NAME = 150
#: Entities of derivatives after those of the session, in BIDS order.
ENTITIES = ("space", "atlas", "seg", "res", "label", "desc")
#: Folders with images, and what their names hold: of diffusion, maps are of use, not series.
FOLDERS = {"anat": "", "dwi": "_rec-"}
#: Extensions of images.
IMAGE_EXTENSIONS = (".nii", ".nii.gz")
#: Entities whose values are numbers: ``run-1`` and ``run-01`` are the same run.
NUMBERED = frozenset({"run", "echo", "inv", "flip", "chunk", "split"})
#: Values of ``space-`` that stand for the grid of the scanner.
_SCANNER_SPACES = frozenset({"orig", "native", "scanner", "individual"})

_SUBJECT, _SESSION = "sub-", "ses-"


@dataclass(frozen=True)
class Name:
    """Parts of the name of a file.

    ``words`` are the parts that are not entities; the last of them is the suffix.
    """

    entities: dict[str, str]
    words: tuple[str, ...]

    @classmethod
    def parse(cls, path: PathLike) -> Self:
        """Parse the name of a file.

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
        """The suffix, such as ``mask``; empty without one."""
        return self.words[-1] if self.words else ""

    @property
    def session_name(self) -> str:
        """The name of the session, as :func:`bids_stroke.bids.names.session_name`; empty in a name
        without participant."""
        subject = self.entities.get("sub")
        return session_name(subject, self.entities.get("ses")) if subject else ""


def is_image(name: str) -> bool:
    """Whether the name of a file is that of an image; hidden files do not count.

    >>> is_image("sub-01_T1w.nii.gz"), is_image("._sub-01_T1w.nii.gz"), is_image("sub-01_T1w.json")
    (True, False, False)
    """
    return name.endswith(IMAGE_EXTENSIONS) and not is_hidden(name)


def is_dotted(path: PathLike) -> bool:
    """Whether the name of an image has a dot before its extension, so that its parts are unknown.

    >>> is_dotted("sub-01_acq-0.8mm_T1w.nii.gz"), is_dotted("sub-01_T1w.nii.gz")
    (True, False)
    """
    return "." in Path(path).name.removesuffix(".gz").removesuffix(".nii")


def is_hidden(name: str) -> bool:
    """Whether the name of a file or folder is hidden, as those that macOS leaves beside others."""
    return name.startswith(".")


def comparable(key: str, value: object) -> object:
    """Value of an entity as BIDS compares it: a number for those that are numbered, else text.

    >>> comparable("run", "01"), comparable("run", 1), comparable("acq", "01")
    (1, 1, '01')
    """
    text = str(value)
    return int(text) if key in NUMBERED and text.isdecimal() else text


def entity(path: PathLike, key: str) -> str | None:
    """Value of an entity in the name of a file; None without it.

    >>> entity("sub-01_acq-a_ce-gadolinium_T1w.nii.gz", "ce")
    'gadolinium'
    """
    return Name.parse(path).entities.get(key)


def contrast_of(path: PathLike) -> str | None:
    """The contrast of a raw image by its name; None for another file.

    >>> contrast_of("sub-01_rec-TRACE_dwi.nii"), contrast_of("sub-01_UNIT1.nii")
    ('TRACE', None)
    """
    name = Name.parse(path)
    if name.suffix in REFERENCES:
        return name.suffix
    return TRACE if name.suffix == "dwi" and name.entities.get("rec") == TRACE else None


def session_name(subject: str, session: str | None = None) -> str:
    """Name of a session, from labels without ``sub-`` and ``ses-``; its files start with it.

    >>> session_name("01"), session_name("01", "a")
    ('sub-01', 'sub-01_ses-a')
    """
    return f"{_SUBJECT}{subject}" + (f"_{_SESSION}{session}" if session else "")


def split_session_name(session_name: str) -> tuple[str, str]:
    """Participant and session of the name of a session; the session is empty where there is none.

    >>> split_session_name("sub-01_ses-a"), split_session_name("sub-01")
    (('sub-01', 'ses-a'), ('sub-01', ''))
    """
    participant, _, session = session_name.partition("_")
    return participant, session


def join_session_name(participant: str, session: str | None) -> str:
    """Name of a session from ``sub-XX`` and ``ses-YY``, the inverse of
    :func:`bids_stroke.bids.names.split_session_name`."""
    return f"{participant}_{session}" if session else participant


def has_labels(
    session_name: str, participants: Collection[str] = (), sessions: Collection[str] = ()
) -> bool:
    """Whether a session has one of the labels of participants and of sessions; empty labels take all.

    >>> has_labels("sub-01_ses-a", ["01"]), has_labels("sub-01_ses-a", ["01"], ["b"])
    (True, False)
    """
    participant, session = split_session_name(session_name)
    return (not participants or participant.removeprefix(_SUBJECT) in participants) and (
        not sessions or session.removeprefix(_SESSION) in sessions
    )


def with_prefix(text: str, prefix: str) -> str:
    """A label of a table with its prefix and without blanks around; empty if the label is.

    >>> with_prefix(" 01 ", "sub-"), with_prefix("sub-01", "sub-"), with_prefix(" ", "sub-")
    ('sub-01', 'sub-01', '')
    """
    label = text.strip().removeprefix(prefix)
    return prefix + label if label else ""


def is_participant(name: str) -> bool:
    """Whether a name is that of a participant, ``sub-`` and a label."""
    return re.fullmatch(f"{_SUBJECT}[a-zA-Z0-9]+", name) is not None


def is_label(text: str) -> bool:
    """Whether a text can be the label of a participant or of a session."""
    return re.fullmatch(r"[A-Za-z0-9+]+", text) is not None


def folder_of(session_name: str) -> Path:
    """Folder of the anatomical files of a session, relative to the dataset.

    >>> folder_of("sub-01_ses-a").as_posix()
    'sub-01/ses-a/anat'
    """
    return Path(*session_name.split("_"), "anat")


def derivative(
    session_name: str, suffix: str, extension: str = ".nii.gz", **entities: str | None
) -> str:
    """Name of a file of a session with its entities in BIDS order, as derivatives have them.

    >>> derivative("sub-01", "mask", space="T1w", label="L", desc="T1lesion")
    'sub-01_space-T1w_label-L_desc-T1lesion_mask.nii.gz'
    """
    unknown = set(entities) - set(ENTITIES)
    if unknown:
        raise ValueError(f"unknown entities {sorted(unknown)}")
    middle = [f"{key}-{entities[key]}" for key in ENTITIES if entities.get(key)]
    return "_".join([session_name, *middle, suffix]) + extension


def transform(session_name: str, source: str, target: str, extension: str) -> str:
    """Name of a transform from one space to another.

    >>> transform("sub-01", "FLAIR", "T1w", ".mat")
    'sub-01_from-FLAIR_to-T1w_mode-image_xfm.mat'
    """
    return f"{session_name}_from-{source}_to-{target}_mode-image_xfm{extension}"


def with_suffix(path: Path, suffix: str) -> Path:
    """Path of the file beside another whose name differs in the suffix alone."""
    stem, dot, extension = path.name.partition(".")
    return path.with_name("_".join([*stem.split("_")[:-1], suffix]) + dot + extension)


def sidecar_of(path: Path) -> Path:
    """Path of the JSON sidecar of a file."""
    return path.with_name(path.name.partition(".")[0] + ".json")


def description_of(contrasts: Iterable[str]) -> str:
    """``desc`` of a lesion after the contrasts that the model used.

    Without contrasts, a user-supplied mask gets ``ownlesion``.

    >>> description_of(["T1w", "FLAIR"]), description_of([])
    ('T1FLAIRlesion', 'ownlesion')
    """
    return ("".join(contrast.removesuffix("w") for contrast in contrasts) or "own") + "lesion"


def is_template(space: str | None) -> bool:
    """Whether the value of a ``space-`` entity is a template, and not a contrast."""
    return space is not None and space.startswith("MNI")


def in_scanner_space(space: str | None, contrast: str) -> bool:
    """Whether an image of a contrast lies where it was acquired, by the value of its ``space-``.

    >>> in_scanner_space(None, "T1w"), in_scanner_space("orig", "T1w"), in_scanner_space("T1w", "FLAIR")
    (True, True, False)
    """
    return space is None or space in _SCANNER_SPACES or space == contrast


def space_of(path: PathLike) -> str:
    """Template space of a map by the ``space-`` in its name.

    Raises
    ------
    ResourceError
        If there is none.
    """
    space = _entity_of_map(path, "space")
    if not space:
        raise ResourceError(
            f"{path} does not tell its template space; put space-{SPACES[0]} or another space into its "
            "name."
        )
    return space


def label_of(path: PathLike) -> str:
    """Label of a map: its ``atlas-`` entity, else the name without ``space-``."""
    stem = Path(path).name.partition(".nii")[0]
    without_space = re.sub("space-[0-9A-Za-z]+", "", stem)
    return _entity_of_map(path, "atlas") or re.sub("[^0-9A-Za-z]", "", without_space) or "map"


def _entity_of_map(path: PathLike, key: str) -> str | None:
    """Value of an entity of a map, whose name need not be a BIDS name otherwise."""
    match = re.search(f"(?:^|_){key}-([0-9A-Za-z]+)", Path(path).name)
    return match[1] if match else None


def natural_key(name: str | float | None) -> str:
    """Sort key that puts ``run-10`` after ``run-2``; missing values (NaN) come first."""
    return re.sub(r"\d+", lambda digits: digits[0].zfill(12), "" if pd.isna(name) else str(name))
