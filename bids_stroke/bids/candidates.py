"""The files that a session may use: its own, and those of its participant that name no session."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from . import choice
from .filters import Filter
from .layout import Images
from .names import contrast_of, session_name
from .sessions import Selection, SkippedSession, Unused
from .supplied_masks import SuppliedMask

#: Labels of a participant and a session; None for files that name no session.
Key = tuple[str, str | None]
Masks = Mapping[Key, list[SuppliedMask]]

_OWN = "the session has its own"


@dataclass(frozen=True)
class SessionMasks:
    """The masks of a session, and those of its participant that name none of its several sessions."""

    own: list[SuppliedMask] = field(default_factory=list)
    unassigned: list[SuppliedMask] = field(default_factory=list)


class Candidates:
    """The files that a session may use.

    Parameters
    ----------
    images : Images
    subject : str
    label : str, optional
        Label of the session; None for a participant without sessions.
    participants : Participants
    lesions, brain_masks : mapping
        All masks.
    orientation : {"RAS", "LAS"}, optional
        That which is assumed of files whose headers state none.
    """

    def __init__(
        self,
        images: Images,
        key: Key,
        participants: "Participants",
        lesions: Masks,
        brain_masks: Masks,
        orientation: str | None = None,
    ) -> None:
        self.subject, self.label = key
        self.name = session_name(*key)
        self.selection = Selection()
        self._images = images
        self._orientation = orientation
        self._is_only_session = participants.is_only_session(key)
        self.lesions = self._masks(lesions, participants)
        self.brain_masks = self._masks(brain_masks, participants)
        self.selection.unused += images.others(*key)
        if self._is_only_session:
            self.selection.unused += images.others(self.subject, None)

    def filter_of(self, contrast: str) -> Filter:
        """The filter of a contrast, or of ``lesion``."""
        return self._images.filter_of(contrast)

    def usable(self, contrast: str, template: str | None = None) -> list[Path]:
        """The images of a contrast that may be chosen, in the scanner's space or in a template's."""
        own = self._images.of(contrast, self.subject, self.label)
        paths = own
        if self._is_only_session:
            beside = self._images.of(contrast, self.subject, None)
            paths = own or beside
            self.selection.unused += [Unused(path, _OWN) for path in beside if own]
        return choice.usable(contrast, paths, self.filter_of(contrast), self.selection, template)

    def choose(self, contrast: str, paths: Sequence[Path]) -> Path:
        """Choose one of several images of a contrast, and note where it lies beside the session."""
        values = self.filter_of(contrast)
        chosen = choice.choose(contrast, paths, values, self.selection, self._orientation)
        if self._is_only_session and chosen in self._images.of(contrast, self.subject, None):
            self.selection.note(f"{chosen.name} names no session and is taken for the only one.")
        return chosen

    def choose_each(self, paths: Mapping[str, Sequence[Path]]) -> dict[str, Path]:
        """Choose one image of each contrast that has any."""
        return {c: self.choose(c, several) for c, several in paths.items() if several}

    def files_with_roots(self) -> list[tuple[Path, Path]]:
        """Every file of the session, and the folder below which it was found."""
        images = [(path, self._images.root) for path in self.session_images()]
        masks = self._own_masks()
        return images + [(mask.path, mask.root) for mask in masks if mask.root]

    def _own_masks(self) -> list[SuppliedMask]:
        """Lesion and brain masks of the session, and lesion masks that name none of several."""
        return [*self.lesions.own, *self.lesions.unassigned, *self.brain_masks.own]

    def session_images(self) -> list[Path]:
        """Images of the session, and those beside the only one."""
        keys = [(self.subject, self.label), *([(self.subject, None)] if self._is_only_session else [])]
        return [path for key in keys for path in self._images.sessions.get(key, [])]

    def unused(self) -> tuple[Unused, ...]:
        """All files of a session that is left out, with the reasons of those that were not chosen."""
        images = self.session_images()
        masks = self._own_masks()
        known = {item.path for item in self.selection.unused}
        paths = [*filter(contrast_of, images), *(mask.path for mask in masks)]
        rest = [Unused(path, "the session is left out") for path in paths if path not in known]
        return (*self.selection.unused, *rest)

    def _masks(self, masks: Masks, participants: "Participants") -> SessionMasks:
        own = masks.get((self.subject, self.label), [])
        beside = masks.get((self.subject, None), []) if self.label else []
        if self._is_only_session:
            self.selection.unused += [Unused(mask.path, _OWN) for mask in beside if own]
            return SessionMasks(own or beside)
        at_participant = None in participants.labels[self.subject]
        return SessionMasks(own, [] if at_participant else beside)


class Participants:
    """The sessions of each participant.

    Images of a participant with sessions may lie beside these. They belong to the session of a
    participant with a single one; where none of several sessions has an image or a lesion mask, they
    are those of a participant without sessions; otherwise they are not used.
    """

    def __init__(self, images: Images, lesions: Masks) -> None:
        self._images, self._lesions = images, lesions
        sessions: dict[str, set[str]] = {}
        for subject, label in {*images.sessions, *lesions}:
            sessions.setdefault(subject, set()).update([label] if label else [])
        #: Labels of the sessions of each participant, in order; None is the participant itself.
        self.labels: dict[str, list[str | None]] = {
            subject: self._levels(subject, sorted(labels))
            for subject, labels in sorted(sessions.items())
        }

    def _levels(self, subject: str, sessions: list[str]) -> list[str | None]:
        beside = self._has_content(subject, None)
        in_dataset = [label for label in sessions if (subject, label) in self._images.sessions]
        empty = not any(self._has_content(subject, label) for label in in_dataset)
        if beside and empty and len(in_dataset) != 1:
            return [None, *sessions]
        return list(sessions) or [None]

    def _has_content(self, subject: str, label: str | None) -> bool:
        return self._images.has_images(subject, label) or (subject, label) in self._lesions

    def is_only_session(self, key: Key) -> bool:
        """Whether a session is the only one of its participant."""
        return key[1] is not None and len(self.labels[key[0]]) == 1

    def skipped(self, subjects: Sequence[str]) -> Iterator[SkippedSession]:
        """The participants whose images beside several sessions are not used."""
        for subject in subjects:
            labels = self.labels[subject]
            if len(labels) < 2 or None in labels:
                continue
            paths = [p for p in self._images.sessions.get((subject, None), []) if contrast_of(p)]
            if paths:
                names = ", ".join(path.name for path in paths)
                reason = (
                    f"its images beside {len(labels)} sessions ({names}) name no session; move each "
                    "into its session, or list them in .bidsignore."
                )
                unused = tuple(Unused(path, "it names none of several sessions") for path in paths)
                yield SkippedSession(session_name(subject), reason, True, unused)
