"""Discovery of the sessions of a dataset that are processed, and of those that are left out."""

import re

from bids_stroke.errors import DatasetError

from .layout import Images
from .names import LONGEST, REFERENCES, TRACE, prefix
from .selection import select_images, select_supplied_mask
from .sessions import LeftOut, Session
from .supplied_masks import supplied_brain_masks, supplied_lesion_masks


def find(settings, card=None, contrasts=REFERENCES):
    """Find the sessions to process.

    Parameters
    ----------
    settings : Settings
    card : Card, optional
        The model, which says what contrasts it takes; without it, the sessions are those that have
        own lesion masks.
    contrasts : sequence of str
        With own lesion masks, the images to find; that of the mask is found besides.

    Returns
    -------
    tuple of (list of Session, list of LeftOut)

    Raises
    ------
    DatasetError
        If the dataset holds no participant or no usable image, or an asked participant is not there.
    UsageError
        If a filter names no entity.
    """
    found = Images(settings)
    lesions = {} if card else supplied_lesion_masks(settings)
    labels = _labels([*found.sessions, *lesions])
    if not labels:
        raise DatasetError(f"{settings.bids_dir} holds no sub-* folder with images; check the path.")
    asked = settings.participant_label or tuple(labels)
    unknown = [label for label in asked if label not in labels]
    if unknown:
        raise DatasetError(
            f"{settings.bids_dir} has no participant {', '.join(unknown)}; "
            f"it has {_some(list(labels))}."
        )
    masks = supplied_brain_masks(settings.derivatives)
    sessions, left_out = [], []
    found_label = False
    for subject in sorted(set(asked)):
        for label in labels[subject]:
            if settings.session_label and label not in settings.session_label:
                continue
            found_label = True
            if reason := _unusable(subject, label):
                left_out.append(LeftOut(prefix(subject, label), reason, True))
                continue
            if card:
                selected = select_images(found, card, subject, label, masks)
            else:
                only = len(labels[subject]) == 1  # then a mask needs no session in its name
                drawn = lesions.get((subject, label)) or (only and lesions.get((subject, None)))
                selected = select_supplied_mask(found, drawn, subject, label, masks, TRACE in contrasts)
            (sessions if isinstance(selected, Session) else left_out).append(selected)
    if not found_label:
        raise DatasetError(
            f"{settings.bids_dir} has no session {', '.join(settings.session_label)} for "
            f"{_some(asked)}; check --session-label."
        )
    if not sessions and not any(one.refused for one in left_out):
        where = _some([one.name for one in left_out])
        if not card:
            raise DatasetError(
                f"{settings.lesion_derivatives} holds no lesion mask of {where}; check the path, and "
                "the names of the masks against docs/usage.md."
            )
        raise DatasetError(
            f"{settings.bids_dir} has no T1w, FLAIR or T2w image in an anat folder of "
            f"{where}; check the labels and the filters."
        )
    return sessions, left_out


def _unusable(subject, label):
    """Why outputs cannot be named by these labels; None if they can."""
    if not re.fullmatch(r"[A-Za-z0-9+]+", subject + (label or "")):
        return "a label is letters and digits in BIDS; rename its folders and files."
    if len(prefix(subject, label)) > LONGEST:
        return "its name is too long for the names of outputs; shorten the labels."
    return None


def _labels(sessions):
    """Sessions of each participant, in order; None alone for one without sessions."""
    labels = {}
    for subject, label in sessions:
        labels.setdefault(subject, set()).add(label)
    return {subject: sorted(found - {None}) or [None] for subject, found in sorted(labels.items())}


def _some(labels, most=10):
    more = len(labels) - most
    return ", ".join(labels[:most]) + (f" and {more} more" if more > 0 else "")
