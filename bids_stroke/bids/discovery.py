"""Discovery of the sessions of a dataset that are processed, and of those that are excluded."""

from collections.abc import Container, Iterable, Mapping, Sequence
from pathlib import Path

from bids_stroke.errors import DatasetError

from .layout import Filters, Images
from .names import MAX_SESSION_NAME, REFERENCES, TRACE, is_label, misplacement, session_name
from .record import restrict_to_records
from .selection import BrainMasks, select_images, select_supplied_mask
from .sessions import ContrastSelector, LeftOut, Session
from .supplied_masks import SuppliedMask, find_lesion_masks, supplied_brain_masks

#: Labels of a participant and a session; None for a participant without sessions.
Key = tuple[str, str | None]
Lesions = dict[Key, list[SuppliedMask]]


def find(
    bids_dir: Path,
    *,
    card: ContrastSelector | None = None,
    lesion_derivatives: Path | None = None,
    contrasts: Sequence[str] = REFERENCES,
    participant_label: Sequence[str] = (),
    session_label: Sequence[str] = (),
    filters: Filters | None = None,
    database_dir: Path | None = None,
    derivatives: Sequence[Path] = (),
    leave_out: Container[Path] = (),
) -> tuple[list[Session], list[LeftOut]]:
    """Find the sessions to process, by the images that a model takes or by the lesion masks they have.

    Parameters
    ----------
    bids_dir : Path
    card : ContrastSelector, optional
        The model.
    lesion_derivatives : Path, optional
        Folder of user-supplied lesion masks; needed without a model.
    contrasts : sequence of str
        With lesion masks, the images to find besides that on which the mask was drawn.
    participant_label, session_label : sequence of str
        Labels to process; all by default.
    filters : mapping, optional
        Values of entities by contrast in lower case, and by ``lesion`` for lesion masks.
    database_dir : Path, optional
        Folder of an index of PyBIDS that is reused, or made if there is none.
    derivatives : sequence of Path
        Datasets with brain masks.
    leave_out : container of Path
        Folders in which no lesion mask is looked for.

    Returns
    -------
    tuple of (list of Session, list of LeftOut)

    Raises
    ------
    DatasetError
        If the dataset holds no participant or no usable image, or lacks a participant or session that
        was asked for.
    UsageError
        If a filter names no entity.
    """
    images = Images(bids_dir, filters=filters, database_dir=database_dir)
    lesions: Lesions = {}
    if lesion_derivatives and not card:
        found = find_lesion_masks(lesion_derivatives, leave_out, (filters or {}).get("lesion"))
        lesions = restrict_to_records(lesion_derivatives, found)
    labels = _labels([*images.sessions, *lesions])
    if not labels:
        raise DatasetError(f"{bids_dir} holds no sub-* folder with images; check the path.")
    lesions = _with_only_session(lesions, labels)
    brain_masks = supplied_brain_masks(derivatives)
    selected = [
        _select(*key, images, card or lesions.get(key, []), brain_masks, TRACE in contrasts)
        for key in _wanted(bids_dir, labels, participant_label, session_label)
    ]
    sessions = [item for item in selected if isinstance(item, Session)]
    left_out = [item for item in selected if isinstance(item, LeftOut)]
    if not sessions and not any(item.refused for item in left_out):
        names = _enumerate([item.name for item in left_out])
        raise DatasetError(
            f"{bids_dir} has no T1w, FLAIR or T2w image in an anat folder of "
            f"{names}; check the labels and the filters."
            if card
            else f"{lesion_derivatives} holds no lesion mask of {names}; check the path, and "
            "the names of the masks against docs/usage.md."
        )
    return sessions, left_out


def _labels(keys: Iterable[Key]) -> dict[str, list[str | None]]:
    """Sessions of each participant, in order; None alone for one without sessions."""
    labels: dict[str, set[str | None]] = {}
    for subject, session in keys:
        labels.setdefault(subject, set()).add(session)
    return {
        subject: [*sorted(session for session in sessions if session)] or [None]
        for subject, sessions in sorted(labels.items())
    }


def _with_only_session(lesions: Lesions, labels: Mapping[str, list[str | None]]) -> Lesions:
    """Lesion masks by session; a mask without session is that of a participant's only session."""
    of_session = dict(lesions)
    for subject, sessions in labels.items():
        if len(sessions) == 1:
            of_session.setdefault((subject, sessions[0]), lesions.get((subject, None), []))
    return of_session


def _wanted(
    bids_dir: Path,
    labels: Mapping[str, list[str | None]],
    participant_label: Sequence[str],
    session_label: Sequence[str],
) -> list[Key]:
    """Participants and sessions that were asked for, in order.

    Raises
    ------
    DatasetError
        If a participant, or every session, is not there.
    """
    unknown = [subject for subject in participant_label if subject not in labels]
    if unknown:
        raise DatasetError(
            f"{bids_dir} has no participant {', '.join(unknown)}; it has {_enumerate(list(labels))}."
        )
    subjects = participant_label or list(labels)
    wanted = [
        (subject, session)
        for subject in sorted(set(subjects))
        for session in labels[subject]
        if not session_label or session in session_label
    ]
    if not wanted:
        raise DatasetError(
            f"{bids_dir} has no session {', '.join(session_label)} for "
            f"{_enumerate(subjects)}; check --session-label."
        )
    return wanted


def _select(
    subject: str,
    session: str | None,
    images: Images,
    by: ContrastSelector | Sequence[SuppliedMask],
    brain_masks: BrainMasks,
    trace: bool,
) -> Session | LeftOut:
    """Select the images of a session by a model or by its lesion masks."""
    files = [(path, images.root) for path in images.sessions.get((subject, session), [])]
    if isinstance(by, Sequence):
        files += [(mask.path, mask.root) for mask in by if mask.root]
    if reason := _unusable(subject, session) or _misplaced(files):
        return LeftOut(session_name(subject, session), reason, True)
    if isinstance(by, Sequence):
        return select_supplied_mask(images, by, subject, session, brain_masks, trace)
    return select_images(images, by, subject, session, brain_masks)


def _unusable(subject: str, session: str | None) -> str | None:
    """Why outputs cannot be named by these labels; None if they can."""
    if not is_label(subject + (session or "")):
        return "a label is letters and digits in BIDS; rename its folders and files."
    if len(session_name(subject, session)) > MAX_SESSION_NAME:
        return "its name is too long for the names of outputs; shorten the labels."
    return None


def _misplaced(files: Iterable[tuple[Path, Path]]) -> str | None:
    """How a file contradicts its folders below a root; None if none does."""
    return next(filter(None, (misplacement(path, root) for path, root in files)), None)


def _enumerate(labels: Sequence[str], most: int = 10) -> str:
    more = len(labels) - most
    return ", ".join(labels[:most]) + (f" and {more} more" if more > 0 else "")
