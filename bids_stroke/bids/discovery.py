"""Find the sessions of a dataset to process, and the sessions to skip."""

from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from bids_stroke.errors import DatasetError, UsageError
from bids_stroke.utils.files import missing_content_reason
from bids_stroke.utils.text import enumeration

from .candidates import Candidates, Key, Masks, Participants
from .filters import Filters, check_mask_filter
from .folders import misplacement
from .layout import Images
from .mask_selection import select_lesion_mask
from .names import (
    MAX_SESSION_NAME,
    REFERENCES,
    entity,
    folder_of,
    is_label,
    session_name,
)
from .record import restrict_to_records
from .selection import format_unused, select_images
from .sessions import ContrastSelector, Session, SkippedSession, UnusableSessionError
from .supplied_masks import find_brain_masks, find_lesion_masks


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
    exclude: Container[Path] = (),
    orientation: str | None = None,
) -> tuple[list[Session], list[SkippedSession]]:
    """Find the sessions to process, by the images that a model uses or by user-supplied lesion masks.

    Parameters
    ----------
    bids_dir : Path
    card : ContrastSelector, optional
        The model.
    lesion_derivatives : Path, optional
        Folder of user-supplied lesion masks; needed without a model.
    contrasts : sequence of str
        Contrasts to use with lesion masks, in addition to the image that the mask was drawn on.
    participant_label, session_label : sequence of str
        Labels of participants and sessions to process; all by default.
    filters : mapping, optional
        Values of entities by contrast in lower case, and by ``lesion`` for lesion masks.
    database_dir : Path, optional
        Folder of a PyBIDS index that is reused, or created if it does not exist.
    derivatives : sequence of Path
        Datasets with brain masks.
    exclude : container of Path
        Folders that are not searched for lesion masks.
    orientation : {"RAS", "LAS"}, optional
        Assumed orientation of files whose headers define none.

    Returns
    -------
    tuple of (list of Session, list of SkippedSession)

    Raises
    ------
    DatasetError
        If the dataset contains no participant or no usable image, if a requested participant or
        session is missing, or if a folder of ``derivatives`` contains no brain mask of a participant.
    UsageError
        If a filter is invalid.
    """
    filters = filters or {}
    check_mask_filter(filters.get("lesion", {}))
    images = Images(bids_dir, filters=filters, database_dir=database_dir)
    lesions = {} if card else _lesion_masks(images, lesion_derivatives, exclude)
    participants = Participants(images, lesions)
    if not participants.labels:
        raise DatasetError(f"{bids_dir} contains no sub-* folder with images; check the path.")
    brain_masks = find_brain_masks(derivatives)
    _check_derivatives(bids_dir, derivatives, brain_masks, participants)
    keys = _requested_keys(bids_dir, participants.labels, participant_label, session_label)
    candidates = (
        Candidates(images, key, participants, lesions, brain_masks, orientation) for key in keys
    )
    sessions, skipped = _select_all(candidates, card, contrasts)
    skipped += _empty_sessions(images, participants, participant_label, session_label)
    if not session_label:
        skipped += participants.skipped(list(dict.fromkeys(subject for subject, _ in keys)))
    if not sessions and not any(item.refused for item in skipped):
        raise _nothing_to_process(bids_dir if card else lesion_derivatives, bool(card), skipped)
    return sessions, skipped


def _check_derivatives(
    bids_dir: Path, folders: Iterable[Path], brain_masks: Masks, participants: Participants
) -> None:
    """Raise an error for a derivatives folder without a brain mask of any participant."""
    of_participants = {
        mask.root
        for (subject, _), masks in brain_masks.items()
        for mask in masks
        if subject in participants.labels
    }
    for folder in folders:
        if folder not in of_participants:
            raise DatasetError(
                f"{folder} contains no brain mask (sub-*/**/anat/*_desc-brain_mask.nii.gz) of a "
                f"participant of {bids_dir}; check --derivatives."
            )


def _empty_sessions(
    images: Images,
    participants: Participants,
    participant_label: Sequence[str],
    session_label: Sequence[str],
) -> Iterator[SkippedSession]:
    """Yield the participants and sessions whose folders are empty, such as subdatasets that DataLad has
    not installed. They are refused, since their files may not be downloaded yet."""
    for subject, session in images.empty_folders(participant_label):
        has_files = session in participants.labels.get(subject, [])
        is_requested = not session_label or session in session_label
        if is_requested and not has_files:
            reason = "its folder is empty; install it with datalad get -n, or remove the folder."
            yield SkippedSession(session_name(subject, session), reason, True)


def _nothing_to_process(
    folder: Path | None, images: bool, skipped: Sequence[SkippedSession]
) -> DatasetError:
    """Create the error for a dataset in which no session has an image, or a lesion mask."""
    names = enumeration([item.name for item in skipped])
    if images:
        return DatasetError(
            f"{folder} has no T1w, FLAIR or T2w image in an anat folder of {names}"
            f"{format_unused(skipped[0].unused)}; check the labels and the filters."
        )
    reason = skipped[0].reason.removesuffix(".")
    return DatasetError(
        f"{folder} contains no lesion mask of {names} ({reason}); check the path, the filters, and the "
        "names of the masks against docs/files.md."
    )


def _lesion_masks(images: Images, folder: Path | None, exclude: Container[Path]) -> Masks:
    """Find the lesion masks of a folder, except those of sessions that the dataset ignores."""
    if folder is None:
        return {}
    masks = restrict_to_records(folder, find_lesion_masks(folder, exclude))
    return {key: of_session for key, of_session in masks.items() if not _is_ignored(images, key)}


def _is_ignored(images: Images, key: Key) -> bool:
    """Return whether the ``.bidsignore`` of the dataset lists the folder of a session."""
    return images.ignores_folder(str(folder_of(session_name(*key)).parent))


def _requested_keys(
    bids_dir: Path,
    labels: Mapping[str, list[str | None]],
    participant_label: Sequence[str],
    session_label: Sequence[str],
) -> list[Key]:
    """Return the requested participants and sessions, in order.

    Raises
    ------
    UsageError
        If a participant, or every requested session, is missing.
    """
    unknown = [subject for subject in participant_label if subject not in labels]
    if unknown:
        raise UsageError(
            f"{bids_dir} has no participant {', '.join(unknown)}; it has {enumeration(list(labels))}."
        )
    subjects = participant_label or list(labels)
    keys = [
        (subject, session)
        for subject in sorted(set(subjects))
        for session in labels[subject]
        if not session_label or session in session_label
    ]
    if not keys:
        raise UsageError(
            f"{bids_dir} has no session {', '.join(session_label)} for "
            f"{enumeration(subjects)}; check --session-label."
        )
    return keys


def _select_all(
    candidates: Iterable[Candidates], card: ContrastSelector | None, contrasts: Sequence[str]
) -> tuple[list[Session], list[SkippedSession]]:
    """Select the images of each session; return the sessions to process and the skipped ones."""
    selected = [_select(files, card, contrasts) for files in candidates]
    sessions = [item for item in selected if isinstance(item, Session)]
    return sessions, [item for item in selected if isinstance(item, SkippedSession)]


def _select(
    files: Candidates, card: ContrastSelector | None, contrasts: Sequence[str]
) -> Session | SkippedSession:
    """Select the images of a session by a model or by its lesion masks."""
    try:
        reason = _unusable(files.subject, files.label) or _misplaced(files.files_with_roots())
        if reason := reason or _of_other_session(files.label, files.session_images()):
            raise UnusableSessionError(reason)
        session = select_images(files, card) if card else select_lesion_mask(files, contrasts)
        for path in session.files(card):
            if reason := missing_content_reason(path):
                raise UnusableSessionError(reason)
    except UnusableSessionError as error:
        return SkippedSession(files.name, error.reason, error.refused, files.unused())
    return session


def _unusable(subject: str, session: str | None) -> str | None:
    """Return why these labels cannot name outputs, or None if they can."""
    if not is_label(subject + (session or "")):
        return "its label has characters other than letters and digits; rename its folders and files."
    if len(session_name(subject, session)) > MAX_SESSION_NAME:
        return "its labels are too long for the names of the outputs; shorten them."
    return None


def _of_other_session(label: str | None, images: Sequence[Path]) -> str | None:
    """Return which images of a session have the label of another session, or None if none does."""
    labels = {path.name: entity(path, "ses") for path in images if entity(path, "ses")}
    if set(labels.values()) <= {label} or (label is None and len(set(labels.values())) == 1):
        return None
    names = ", ".join(name for name, other in labels.items() if label is None or other != label)
    return (
        f"these images are outside the folder of the session in their names: {names}; move each into "
        "the folder of its session."
    )


def _misplaced(files: Iterable[tuple[Path, Path]]) -> str | None:
    """Return how the name of a file contradicts its folders, or None if none does."""
    return next(filter(None, (misplacement(path, root) for path, root in files)), None)
