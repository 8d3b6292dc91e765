"""A session of a participant: its images and why they were chosen."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, Protocol

from .names import folder_of, session_name
from .supplied_masks import SuppliedMask


class Channel(Protocol):
    """An input channel of a model."""

    @property
    def contrast(self) -> str:
        """Contrast of the channel."""


class ContrastSelector(Protocol):
    """A model, as far as it decides which images of a session are used."""

    @property
    def name(self) -> str:
        """Name of the model."""

    @property
    def channels(self) -> Sequence[Channel]:
        """Input channels of the model."""

    def select(self, available: tuple[str, ...]) -> tuple[str, ...]:
        """Choose the contrasts that the model uses of those that a session has.

        Raises
        ------
        ModelError
            If the model cannot use these contrasts.
        """

    def takes(self, contrast: str) -> bool:
        """Whether the model works on ``contrast`` alone."""


class Unused(NamedTuple):
    """A file of a session that is not used, and why.

    ``excluded`` are images of a contrast in use that are never chosen.
    """

    path: Path
    reason: str
    excluded: bool = False

    def __str__(self) -> str:
        return f"{self.path.name} ({self.reason})"


@dataclass
class Selection:
    """What the selection of a session has decided so far.

    ``notes`` are sentences for the log and the report; ``ambiguous`` are those of them on a choice that
    the names and the headers of the files leave open; ``unused`` are the files that were not chosen.
    """

    notes: list[str] = field(default_factory=list)
    ambiguous: list[str] = field(default_factory=list)
    unused: list[Unused] = field(default_factory=list)

    def note(self, sentence: str, ambiguous: bool = False) -> None:
        """Add a note, once."""
        if sentence in self.notes:
            return
        self.notes.append(sentence)
        if ambiguous:
            self.ambiguous.append(sentence)


@dataclass(frozen=True)
class Session:
    """One session of one participant: its images, and why they were chosen.

    ``images`` maps contrasts to raw files; ``reference`` is the contrast whose grid is the native
    space; ``notes`` are sentences for the log and the report, ``ambiguous`` are those of them on a
    choice that the files leave open; ``unused`` are the files that were not chosen. With a
    user-supplied ``lesion`` mask in a template space, that space is the reference, and there are only
    images in that space.
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

    @property
    def name(self) -> str:
        """``sub-01`` or ``sub-01_ses-1``: the start of every file's name."""
        return session_name(self.subject, self.session)

    @property
    def in_template(self) -> bool:
        """Whether the lesion mask is supplied in a template space: there is nothing to register."""
        return self.lesion is not None and self.lesion.in_template

    @property
    def participant(self) -> str:
        """``sub-01``."""
        return session_name(self.subject)

    @property
    def drawn_on(self) -> str:
        """The contrast or template space on whose grid the lesion is drawn or segmented."""
        return (self.lesion and self.lesion.space) or self.reference

    def processed(self, card: ContrastSelector | None) -> tuple[str, ...]:
        """Contrasts that are processed.

        These are the reference, those that the model uses (``card``; None for user-supplied masks),
        that of the lesion, and FLAIR. Of images in a template space, one is shown.
        """
        if self.in_template:
            return tuple(self.images)[:1]
        used = card.select(tuple(self.images)) if card else ()
        wanted = {*used, "FLAIR", self.drawn_on} - {self.reference}
        return (self.reference, *(contrast for contrast in self.images if contrast in wanted))

    def files(self, card: ContrastSelector | None) -> list[Path]:
        """The files that are read; ``card`` as for
        :meth:`bids_stroke.bids.sessions.Session.processed`."""
        supplied = (self.brain_mask, self.lesion and self.lesion.path)
        images = [self.images[contrast] for contrast in self.processed(card)]
        return [*images, *(path for path in supplied if path)]

    @property
    def folder(self) -> Path:
        """Folder of the derivatives, relative to the output folder."""
        return folder_of(self.name)


class SkippedSession(NamedTuple):
    """A session that is not processed: its name, the reason in a sentence, whether it was ``refused``
    (it has files that cannot be used) or has nothing to process, and its files."""

    name: str
    reason: str
    refused: bool
    unused: tuple[Unused, ...] = ()


class UnusableSessionError(Exception):
    """A session whose files cannot be used, as in :class:`bids_stroke.bids.sessions.SkippedSession`."""

    def __init__(self, reason: str, refused: bool = True) -> None:
        super().__init__(reason)
        self.reason, self.refused = reason, refused
