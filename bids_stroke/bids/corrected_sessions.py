"""Assign corrected lesion masks to the sessions of a run."""

from collections.abc import Iterable, Mapping
from dataclasses import replace

from bids_stroke.errors import ImageError
from bids_stroke.spatial.image import check_header

from .candidates import Key
from .corrections import Correction, names_image
from .selection import shares_grid
from .sessions import Session, SkippedSession


def apply_corrections(
    sessions: Iterable[Session], corrections: Mapping[Key, Correction]
) -> tuple[list[Session], list[SkippedSession]]:
    """Use the corrected masks instead of those of the model.

    Parameters
    ----------
    sessions : iterable of Session
    corrections : mapping of (str, str or None) to Correction
        Corrected masks by participant and session.

    Returns
    -------
    tuple of (list of Session, list of SkippedSession)
        The sessions, and those whose corrected mask cannot be used, which are not processed.
    """
    usable, refused = [], []
    for session in sessions:
        correction = corrections.get((session.subject, session.session))
        reason = _mismatch(session, correction) if correction else None
        if reason:
            refused.append(SkippedSession(session.name, reason, True))
        else:
            usable.append(_corrected(session, correction) if correction else session)
    return usable, refused


def _mismatch(session: Session, correction: Correction) -> str | None:
    """Return why a corrected mask does not belong to a session, or None if it does."""
    mask, image = correction.mask, session.images[session.reference]
    try:
        check_header(mask.path)
    except ImageError as error:
        return str(error)
    drawn_on = correction.reference or f"the {mask.space}"
    if mask.space != session.reference or (
        correction.reference and not names_image(correction.reference, image)
    ):
        return (
            f"{mask.path} was drawn on {drawn_on}, but the reference image is {image.name}; correct "
            "the mask on this image, or remove the file."
        )
    if not shares_grid(mask, image):
        return (
            f"the grid of {mask.path} is not that of {image}; correct the mask on this image, or "
            "remove the file."
        )
    return None


def _corrected(session: Session, correction: Correction) -> Session:
    sentence = correction.describe()
    ambiguous = (sentence,) if correction.of_other_raters else ()
    return replace(
        session,
        lesion=correction.mask,
        correction=correction,
        notes=(*session.notes, sentence),
        ambiguous=(*session.ambiguous, *ambiguous),
    )
