"""Discovery of the sessions of a dataset that are processed, and of those that are excluded."""

from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from bids_stroke.errors import DatasetError
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
    TRACE,
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
    exclude : container of Path
        Folders in which no lesion mask is looked for.
    orientation : {"RAS", "LAS"}, optional
        That which is assumed of files whose headers state none.

    Returns
    -------
    tuple of (list of Session, list of SkippedSession)

    Raises
    ------
    DatasetError
        If the dataset holds no participant or no usable image, or lacks a participant or session that
        was asked for, or if a folder of ``derivatives`` holds no brain mask of any participant.
    UsageError
        If a filter names no entity.
    """
    filters = filters or {}
    check_mask_filter(filters.get("lesion", {}))
    images = Images(bids_dir, filters=filters, database_dir=database_dir)
    lesions = {} if card else _lesion_masks(images, lesion_derivatives, exclude)
    participants = Participants(images, lesions)
    if not participants.labels:
        raise DatasetError(f"{bids_dir} holds no sub-* folder with images; check the path.")
    brain_masks = find_brain_masks(derivatives)
    _check_derivatives(bids_dir, derivatives, brain_masks, participants)
    wanted = _wanted(bids_dir, participants.labels, participant_label, session_label)
    candidates = (
        Candidates(images, key, participants, lesions, brain_masks, orientation) for key in wanted
    )
    sessions, skipped = _select_all(candidates, card, TRACE in contrasts)
    skipped += _without_files(images, participants, participant_label, session_label)
    if not session_label:
        skipped += participants.skipped(list(dict.fromkeys(subject for subject, _ in wanted)))
    if not sessions and not any(item.refused for item in skipped):
        raise _nothing_to_process(bids_dir if card else lesion_derivatives, bool(card), skipped)
    return sessions, skipped


def _check_derivatives(
    bids_dir: Path, folders: Iterable[Path], brain_masks: Masks, participants: Participants
) -> None:
    """Refuse folders of derivatives that have no effect."""
    of_participants = {
        mask.root
        for (subject, _), masks in brain_masks.items()
        for mask in masks
        if subject in participants.labels
    }
    for folder in folders:
        if folder not in of_participants:
            raise DatasetError(
                f"{folder} holds no brain mask (sub-*/**/anat/*_desc-brain_mask.nii.gz) of a "
                f"participant of {bids_dir}; check --derivatives."
            )


def _without_files(
    images: Images,
    participants: Participants,
    participant_label: Sequence[str],
    session_label: Sequence[str],
) -> Iterator[SkippedSession]:
    """The participants and sessions whose folders hold no file, as those that DataLad has not
    installed; with files that may be there elsewhere, they are refused."""
    for subject, session in images.empty_folders():
        known = session in participants.labels.get(subject, [])
        asked = (not participant_label or subject in participant_label) and (
            not session_label or session in session_label
        )
        if asked and not known:
            reason = "its folder holds no file; get it, with datalad get -n, or remove the folder."
            yield SkippedSession(session_name(subject, session), reason, True)


def _nothing_to_process(
    folder: Path | None, images: bool, skipped: Sequence[SkippedSession]
) -> DatasetError:
    """The error where no session has an image, or a lesion mask."""
    names = enumeration([item.name for item in skipped])
    if images:
        return DatasetError(
            f"{folder} has no T1w, FLAIR or T2w image in an anat folder of {names}"
            f"{format_unused(skipped[0].unused)}; check the labels and the filters."
        )
    return DatasetError(
        f"{folder} holds no lesion mask of {names} ({skipped[0].reason}); check the path, the "
        "filters, and the names of the masks against docs/files.md."
    )


def _lesion_masks(images: Images, folder: Path | None, exclude: Container[Path]) -> Masks:
    """The lesion masks of a folder, but those of sessions that the dataset ignores."""
    if folder is None:
        return {}
    masks = restrict_to_records(folder, find_lesion_masks(folder, exclude))
    return {key: of_session for key, of_session in masks.items() if not _is_ignored(images, key)}


def _is_ignored(images: Images, key: Key) -> bool:
    """Whether the ``.bidsignore`` of the dataset lists the folder of a session."""
    return images.ignores_folder(str(folder_of(session_name(*key)).parent))


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
            f"{bids_dir} has no participant {', '.join(unknown)}; it has {enumeration(list(labels))}."
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
            f"{enumeration(subjects)}; check --session-label."
        )
    return wanted


def _select_all(
    candidates: Iterable[Candidates], card: ContrastSelector | None, trace: bool
) -> tuple[list[Session], list[SkippedSession]]:
    """Select the images of each session; the sessions, and those that are left out."""
    selected = [_select(files, card, trace) for files in candidates]
    sessions = [item for item in selected if isinstance(item, Session)]
    return sessions, [item for item in selected if isinstance(item, SkippedSession)]


def _select(files: Candidates, card: ContrastSelector | None, trace: bool) -> Session | SkippedSession:
    """Select the images of a session by a model or by its lesion masks."""
    try:
        reason = _unusable(files.subject, files.label) or _misplaced(files.files_with_roots())
        if reason := reason or _of_other_session(files.label, files.session_images()):
            raise UnusableSessionError(reason)
        session = select_images(files, card) if card else select_lesion_mask(files, trace)
        for path in session.files(card):
            if reason := missing_content_reason(path):
                raise UnusableSessionError(reason)
    except UnusableSessionError as error:
        return SkippedSession(files.name, error.reason, error.refused, files.unused())
    return session


def _unusable(subject: str, session: str | None) -> str | None:
    """Why outputs cannot be named by these labels; None if they can."""
    if not is_label(subject + (session or "")):
        return "a label is letters and digits in BIDS; rename its folders and files."
    if len(session_name(subject, session)) > MAX_SESSION_NAME:
        return "its name is too long for the names of outputs; shorten the labels."
    return None


def _of_other_session(label: str | None, images: Sequence[Path]) -> str | None:
    """Which images of a session name another session, or different ones; None if none does."""
    named = {path.name: entity(path, "ses") for path in images if entity(path, "ses")}
    if set(named.values()) <= {label} or (label is None and len(set(named.values())) == 1):
        return None
    names = ", ".join(name for name, of in named.items() if label is None or of != label)
    return (
        f"its images name sessions in whose folders they do not lie ({names}); move each into the "
        "folder of its session."
    )


def _misplaced(files: Iterable[tuple[Path, Path]]) -> str | None:
    """How a file contradicts its folders below a root; None if none does."""
    return next(filter(None, (misplacement(path, root) for path, root in files)), None)
