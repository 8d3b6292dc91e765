"""Sessions of participants: their images, and the reasons for the choice of images."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, Protocol

from .corrections import Correction
from .names import folder_of, session_name
from .supplied_masks import SuppliedMask


class Channel(Protocol):
    """Input channel of a model."""

    @property
    def contrast(self) -> str:
        """Contrast of the channel."""


class ContrastSelector(Protocol):
    """Interface of a model that decides which images of a session are used."""

    @property
    def name(self) -> str:
        """Name of the model."""

    @property
    def channels(self) -> Sequence[Channel]:
        """Input channels of the model."""

    @property
    def reference(self) -> str | None:
        """Contrast that is the reference image if available; None for the T1w."""

    def select(self, available: tuple[str, ...]) -> tuple[str, ...]:
        """Return the contrasts that the model uses, from those that a session has.

        Raises
        ------
        ModelError
            If the model does not support these contrasts.
        """

    def takes(self, contrast: str) -> bool:
        """Return whether the model supports ``contrast`` alone."""


class Unused(NamedTuple):
    """A file of a session that is not used, and the reason.

    ``excluded`` marks images of a supported contrast that cannot be used.
    """

    path: Path
    reason: str
    excluded: bool = False

    def __str__(self) -> str:
        return f"{self.path.name} ({self.reason})"


@dataclass
class Selection:
    """Decisions during the selection of the files of a session.

    ``notes`` are sentences for the log and the report. ``ambiguous`` contains the notes on choices that
    the names and headers of the files do not determine. ``unused`` are the files that were not chosen.
    """

    notes: list[str] = field(default_factory=list)
    ambiguous: list[str] = field(default_factory=list)
    unused: list[Unused] = field(default_factory=list)

    def note(self, sentence: str, ambiguous: bool = False) -> None:
        """Add a note, unless it is already present."""
        if sentence in self.notes:
            return
        self.notes.append(sentence)
        if ambiguous:
            self.ambiguous.append(sentence)


@dataclass(frozen=True)
class Session:
    """Session of a participant: its images, and the reasons for their choice.

    ``images`` maps contrasts to raw files. ``reference`` is the contrast whose grid is the native
    space. ``notes`` are sentences for the log and the report. ``ambiguous`` contains the notes on
    choices that the names and headers of the files do not determine. ``unused`` are the files that
    were not chosen. With a user-supplied ``lesion`` mask in a template space, that space is the
    reference, and all images are in that space. With a ``correction``, ``lesion`` is the corrected
    mask, which is used instead of that of the model.
    """

    subject: str
    session: str | None
    images: dict[str, Path]
    reference: str
    notes: tuple[str, ...] = field(default=())
    brain_mask: Path | None = None
    lesion: SuppliedMask | None = None
    ambiguous: tuple[str, ...] = field(default=())
    unused: tuple[Unused, ...] = field(default=())
    correction: Correction | None = None

    @property
    def name(self) -> str:
        """Session name, ``sub-01`` or ``sub-01_ses-1``, with which all file names start."""
        return session_name(self.subject, self.session)

    @property
    def in_template(self) -> bool:
        """Whether the lesion mask is supplied in a template space; no registration is needed then."""
        return self.lesion is not None and self.lesion.in_template

    @property
    def participant(self) -> str:
        """Participant, such as ``sub-01``."""
        return session_name(self.subject)

    @property
    def drawn_on(self) -> str:
        """Contrast or template space on whose grid the lesion is drawn or segmented."""
        return (self.lesion and self.lesion.space) or self.reference

    def processed(self, card: ContrastSelector | None) -> tuple[str, ...]:
        """Return the contrasts that are processed.

        These are the reference, the contrasts that the model uses (``card``; None for user-supplied
        masks), the contrast of the lesion, and FLAIR. In a template space, only the first is used.
        """
        if self.in_template:
            return tuple(self.images)[:1]
        used = card.select(tuple(self.images)) if card else ()
        others = {*used, "FLAIR", self.drawn_on} - {self.reference}
        return (self.reference, *(contrast for contrast in self.images if contrast in others))

    def files(self, card: ContrastSelector | None) -> list[Path]:
        """Return the input files; ``card`` is as for
        :meth:`bids_stroke.bids.sessions.Session.processed`."""
        images = [self.images[contrast] for contrast in self.processed(card)]
        return [*images, *self.masks]

    @property
    def masks(self) -> list[Path]:
        """User-supplied masks and corrected mask."""
        supplied = (self.brain_mask, self.lesion and self.lesion.path)
        return [path for path in supplied if path]

    @property
    def folder(self) -> Path:
        """Folder of the derivatives, relative to the output folder."""
        return folder_of(self.name)


class SkippedSession(NamedTuple):
    """A session that is not processed.

    ``reason`` is a sentence. ``refused`` is True for a session with files that cannot be used, and
    False for a session without files to process. ``unused`` are its files.
    """

    name: str
    reason: str
    refused: bool
    unused: tuple[Unused, ...] = ()

    @property
    def status(self) -> str:
        """Status in the log, the dry run and the summary: ``refused`` or ``skipped``."""
        return "refused" if self.refused else "skipped"


class UnusableSessionError(Exception):
    """The files of a session cannot be used; see :class:`bids_stroke.bids.sessions.SkippedSession`."""

    def __init__(self, reason: str, refused: bool = True) -> None:
        super().__init__(reason)
        self.reason, self.refused = reason, refused
