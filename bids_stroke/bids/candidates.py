"""Files that a session may use: those of the session, and those of the participant without ``ses-``."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import chain
from pathlib import Path

from . import choice
from .filters import Filter
from .folders import misplacement, session_folders
from .layout import Images
from .names import contrast_of, session_name
from .sessions import Selection, SkippedSession, Unused
from .supplied_masks import SuppliedMask

#: Labels of a participant and a session; the session is None for files without ``ses-``.
Key = tuple[str, str | None]
Masks = Mapping[Key, list[SuppliedMask]]

_SESSION_HAS_FILES = "the session has files of its own"


@dataclass(frozen=True)
class SessionMasks:
    """Masks of a session, and masks of a participant with several sessions that have no ``ses-``."""

    assigned: list[SuppliedMask] = field(default_factory=list)
    unassigned: list[SuppliedMask] = field(default_factory=list)


class Candidates:
    """Files that a session may use.

    Parameters
    ----------
    images : Images
    key : tuple of (str, str or None)
        Labels of the participant and of the session; the session is None for a participant without
        sessions.
    participants : Participants
    lesions, brain_masks : mapping
        Masks of all sessions.
    orientation : {"RAS", "LAS"}, optional
        Assumed orientation of files whose headers define none.
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
        self.misplaced_mask = participants.misplaced_masks.get(key)
        self.brain_masks = self._masks(brain_masks, participants)
        self.selection.unused += images.unused(*key)
        if self._is_only_session:
            self.selection.unused += images.unused(self.subject, None)

    def filter_of(self, contrast: str) -> Filter:
        """Return the filter of a contrast, or of ``lesion``."""
        return self._images.filter_of(contrast)

    def usable(self, contrast: str, template: str | None = None) -> list[Path]:
        """Return the usable images of a contrast, in scanner space or in a template space."""
        of_session = self._images.of_contrast(contrast, self.subject, self.label)
        paths = of_session
        if self._is_only_session:
            without_session = self._images.of_contrast(contrast, self.subject, None)
            paths = of_session or without_session
            self.selection.unused += [
                Unused(path, _SESSION_HAS_FILES) for path in without_session if of_session
            ]
        return choice.usable(contrast, paths, self.filter_of(contrast), self.selection, template)

    def choose(self, contrast: str, paths: Sequence[Path]) -> Path:
        """Choose one of several images of a contrast; add a note if its name has no ``ses-``."""
        values = self.filter_of(contrast)
        chosen = choice.choose(contrast, paths, values, self.selection, self._orientation)
        if self._is_only_session and chosen in self._images.of_contrast(contrast, self.subject, None):
            self.selection.note(
                f"{chosen.name} has no ses- in its name and is assigned to the only session."
            )
        return chosen

    def choose_each(self, paths: Mapping[str, Sequence[Path]]) -> dict[str, Path]:
        """Choose one image of each contrast that has images."""
        return {c: self.choose(c, several) for c, several in paths.items() if several}

    def files_with_roots(self) -> list[tuple[Path, Path]]:
        """Return every file of the session with the root folder of its dataset."""
        images = [(path, self._images.root) for path in self.session_images()]
        masks = self._session_masks()
        return images + [(mask.path, mask.root) for mask in masks if mask.root]

    def _session_masks(self) -> list[SuppliedMask]:
        """Return the lesion and brain masks of the session, and lesion masks without ``ses-``."""
        return [*self.lesions.assigned, *self.lesions.unassigned, *self.brain_masks.assigned]

    def session_images(self) -> list[Path]:
        """Return the images of the session; for an only session, also the images without ``ses-``."""
        keys = [(self.subject, self.label), *([(self.subject, None)] if self._is_only_session else [])]
        return [path for key in keys for path in self._images.sessions.get(key, [])]

    def unused(self) -> tuple[Unused, ...]:
        """Return all files of a skipped session, with the reasons why they are not used."""
        images = self.session_images()
        masks = self._session_masks()
        listed = {item.path for item in self.selection.unused}
        paths = [*filter(contrast_of, images), *(mask.path for mask in masks)]
        rest = [Unused(path, "the session is not processed") for path in paths if path not in listed]
        return (*self.selection.unused, *rest)

    def _masks(self, masks: Masks, participants: "Participants") -> SessionMasks:
        of_session = masks.get((self.subject, self.label), [])
        without_session = masks.get((self.subject, None), []) if self.label else []
        if self._is_only_session:
            self.selection.unused += [
                Unused(mask.path, _SESSION_HAS_FILES) for mask in without_session if of_session
            ]
            return SessionMasks(of_session or without_session)
        has_participant_level = None in participants.labels[self.subject]
        return SessionMasks(of_session, [] if has_participant_level else without_session)


class Participants:
    """Sessions of each participant.

    A participant with session folders may have images outside of them, without ``ses-``. If there is
    one session, they belong to it. If there are several sessions and none has an image or a lesion
    mask, the images are processed as those of a participant without sessions. Otherwise they are not
    used.
    """

    def __init__(self, images: Images, lesions: Masks) -> None:
        self._images, self._lesions = images, lesions
        sessions: dict[str, set[str]] = {}
        for subject, label in {*images.sessions, *lesions}:
            sessions.setdefault(subject, set()).update([label] if label else [])
        #: Sorted session labels of each participant; None stands for files without ``ses-``.
        self.labels: dict[str, list[str | None]] = {
            subject: self._session_labels(subject, sorted(labels))
            for subject, labels in sorted(sessions.items())
        }

    @cached_property
    def misplaced_masks(self) -> dict[Key, str]:
        """Descriptions of lesion masks that are in the folder of a session, but not named after it."""
        masks = chain.from_iterable(self._lesions.values())
        places = [(mask.path, mask.root) for mask in masks if mask.root]
        problems = ((place, misplacement(*place)) for place in places)
        return {session_folders(*place): text for place, text in problems if text}

    def _session_labels(self, subject: str, sessions: list[str]) -> list[str | None]:
        has_images = self._has_content(subject, None)
        in_dataset = [label for label in sessions if (subject, label) in self._images.sessions]
        empty = not any(self._has_content(subject, label) for label in in_dataset)
        if has_images and empty and len(in_dataset) != 1:
            return [None, *sessions]
        return list(sessions) or [None]

    def _has_content(self, subject: str, label: str | None) -> bool:
        return self._images.has_images(subject, label) or (subject, label) in self._lesions

    def is_only_session(self, key: Key) -> bool:
        """Return whether a session is the only one of its participant."""
        return key[1] is not None and len(self.labels[key[0]]) == 1

    def skipped(self, subjects: Sequence[str]) -> Iterator[SkippedSession]:
        """Yield participants with several sessions whose images without ``ses-`` are not used."""
        for subject in subjects:
            labels = self.labels[subject]
            if len(labels) < 2 or None in labels:
                continue
            paths = [p for p in self._images.sessions.get((subject, None), []) if contrast_of(p)]
            if paths:
                names = ", ".join(path.name for path in paths)
                reason = (
                    f"it has {len(labels)} sessions, but these images have no ses- in their names: "
                    f"{names}; move each into its session, or list them in .bidsignore."
                )
                unused = tuple(Unused(path, "its name has no ses-") for path in paths)
                yield SkippedSession(session_name(subject), reason, True, unused)
