"""Selection of the images of a session by a model, and of its brain mask."""

from collections.abc import Sequence
from pathlib import Path

from bids_stroke.errors import ModelError
from bids_stroke.spatial import grid, image

from .candidates import Candidates
from .names import REFERENCES, TRACE, contrast_of
from .sessions import ContrastSelector, Session, UnusableSessionError, Unused
from .supplied_masks import SuppliedMask


def select_images(files: Candidates, card: ContrastSelector) -> Session:
    """Select the images of a session that a model can use.

    Raises
    ------
    UnusableSessionError
        If the session has no image, or the model does not take those it has.
    """
    channels = {channel.contrast for channel in card.channels}
    paths = {contrast: files.usable(contrast) for contrast in (*REFERENCES, TRACE)}
    if TRACE not in channels:
        unused = [Unused(path, f"the model {card.name} takes no TRACE") for path in paths.pop(TRACE)]
        files.selection.unused += unused
    chosen = files.choose_each(paths)
    if not chosen:
        raise _no_image(files)
    if refusal := _refusal(files.name, card, tuple(chosen)):
        raise UnusableSessionError(refusal)
    reference = next(c for c in REFERENCES if c in chosen and (c == "T1w" or card.takes(c)))
    return build_session(files, chosen, reference)


def _no_image(files: Candidates) -> UnusableSessionError:
    """A session without any image that can be chosen: refused if its images never count."""
    refused = any(item.excluded for item in files.selection.unused)
    reason = "there is no T1w, FLAIR or T2w image in its anat folder"
    return UnusableSessionError(reason + format_unused(files.selection.unused), refused)


def format_unused(unused: Sequence[Unused]) -> str:
    """Files that are not used, for the end of a sentence."""
    return f"; not used: {', '.join(map(str, unused[:4]))}" if unused else ""


def _refusal(name: str, card: ContrastSelector, contrasts: tuple[str, ...]) -> str | None:
    """Why a model does not take the contrasts of a session; None if it does."""
    if "T1w" in contrasts:
        try:
            card.select(contrasts)
        except ModelError as error:
            return str(error)
        return None
    if any(card.takes(contrast) for contrast in REFERENCES if contrast in contrasts):
        return None
    return (
        f"{name} has {' and '.join(contrasts)} but no T1w, and the model {card.name} does not "
        f"take {' or '.join(contrasts)} alone; choose another with --model, or give lesion "
        "masks with --lesion-derivatives."
    )


def build_session(
    files: Candidates, chosen: dict[str, Path], reference: str, lesion: SuppliedMask | None = None
) -> Session:
    """The session of the images that were chosen, with its brain mask.

    Raises
    ------
    UnusableSessionError
        If a brain mask belongs to no image of the session.
    """
    selection = files.selection
    brain_mask = None
    if not (lesion and lesion.in_template):
        if reference != "T1w":
            excluded = [i for i in selection.unused if i.excluded and contrast_of(i.path) == "T1w"]
            sentence = f"There is no T1w image: {reference} is the reference{format_unused(excluded)}."
            selection.note(sentence, ambiguous=bool(excluded))
        brain_mask = _brain_mask(files, reference, chosen[reference])
    used = {brain_mask, lesion.path if lesion else None}
    return Session(
        files.subject,
        files.label,
        chosen,
        reference,
        tuple(selection.notes),
        brain_mask,
        lesion,
        tuple(selection.ambiguous),
        tuple(item for item in selection.unused if item.path not in used),
    )


def _brain_mask(files: Candidates, reference: str, path: Path) -> Path | None:
    """Choose the brain mask of the reference image; None without one.

    Raises
    ------
    UnusableSessionError
        If a brain mask belongs to no image of the session.
    """
    selection = files.selection
    others = [item.path for item in selection.unused if contrast_of(item.path) == reference]
    reasons = {mask: _reason_against(mask, reference, path, others) for mask in files.brain_masks.own}
    for mask in reasons:
        _require_image(files, mask, [path, *others], reference)
    reasons |= dict.fromkeys(files.brain_masks.unassigned, "it names none of several sessions")
    not_used = [Unused(mask.path, reason) for mask, reason in reasons.items() if reason]
    belonging = [mask for mask, reason in reasons.items() if reason is None]
    selection.unused += not_used
    if not belonging:
        for item in not_used:
            selection.note(f"The brain mask {item.path} is not used: {item.reason}.", ambiguous=True)
        return None
    chosen = max(belonging, key=lambda mask: (len(mask.image_entities), shares_grid(mask, path)))
    rest = [mask for mask in belonging if mask != chosen]
    selection.unused += [Unused(mask.path, f"{chosen.path} comes first") for mask in rest]
    selection.note(f"The brain mask is {chosen.path}.")
    return chosen.path


def _require_image(
    files: Candidates, mask: SuppliedMask, images: Sequence[Path], reference: str
) -> None:
    """Refuse the session if a brain mask belongs to none of its images."""
    if mask.space in (None, reference) and not any(map(mask.belongs_to, images)):
        raise UnusableSessionError(
            f"{mask.path} is a brain mask of {mask.image_description}, which no {reference} image of "
            f"{files.name} is; name it after its image, or remove it."
        )


def _reason_against(
    mask: SuppliedMask, reference: str, path: Path, others: Sequence[Path]
) -> str | None:
    """Why a brain mask is not of the reference image; None if it may be.

    A mask whose name has no space is of the T1w; of another contrast, if it has its grid.
    """
    if mask.space not in (None, reference):
        return f"it is in the space of the {mask.space}"
    if mask.space is None and reference != "T1w" and not shares_grid(mask, path):
        return f"it has another grid than {path.name}"
    named_after_other = not mask.is_named_after(path) and any(map(mask.is_named_after, others))
    if named_after_other or not mask.belongs_to(path):
        return f"it belongs to another image than {path.name}"
    return None


def shares_grid(mask: SuppliedMask, path: Path) -> bool:
    """Whether a mask has the grid of an image, by their headers; not if one of them is unreadable.

    The grid of a file without orientation is the same for either orientation that may be assumed.
    """
    try:
        one, other = (
            image.conform(grid.blank(img.shape[:3], img.affine))
            for img in map(image.open_image, (mask.path, path))
        )
        return grid.same_grid(one, other, grid.FITTED_VOXELS)
    except Exception:  # the process of the session reports what is wrong with the file
        return False
