"""Select the images of a session that a model uses, and its brain mask."""

from collections.abc import Sequence
from pathlib import Path

from bids_stroke.errors import ModelError
from bids_stroke.spatial import grid, image

from .candidates import Candidates
from .diffusion import DIFFUSION
from .names import CONTRASTS, REFERENCES, contrast_of
from .sessions import ContrastSelector, Session, UnusableSessionError, Unused
from .supplied_masks import SuppliedMask


def select_images(files: Candidates, card: ContrastSelector) -> Session:
    """Select the images of a session that a model can use.

    Raises
    ------
    UnusableSessionError
        If the session has no image, or the model does not support its contrasts.
    """
    channels = {channel.contrast for channel in card.channels}
    paths = {contrast: files.usable(contrast) for contrast in CONTRASTS}
    for contrast in (name for name in DIFFUSION if name not in channels):
        reason = f"the model {card.name} does not use {contrast}"
        files.selection.unused += [Unused(path, reason) for path in paths.pop(contrast)]
    chosen = files.choose_each(paths)
    if not chosen:
        raise _no_image(files)
    used = _used(files.name, card, tuple(chosen))
    reference = choose_reference(card, used, tuple(chosen))
    if reference == card.reference:
        files.selection.note(f"The {reference} is the reference, as in the training of {card.name}.")
    return build_session(files, chosen, reference)


def choose_reference(card: ContrastSelector, used: Sequence[str], available: Sequence[str]) -> str:
    """Choose the contrast of the reference image of a session.

    Parameters
    ----------
    card : ContrastSelector
    used : sequence of str
        Contrasts that the model uses, one of which can be the reference.
    available : sequence of str
        Contrasts of the session.
    """
    if card.reference and card.reference in used:
        return card.reference
    return next(c for c in REFERENCES if c in used or (c == "T1w" and c in available))


def _no_image(files: Candidates) -> UnusableSessionError:
    """Create the error of a session without usable image; it is refused if images were excluded."""
    refused = any(item.excluded for item in files.selection.unused)
    reason = "it has no usable T1w, FLAIR or T2w image in its anat folder"
    return UnusableSessionError(reason + format_unused(files.selection.unused), refused)


def format_unused(unused: Sequence[Unused]) -> str:
    """List unused files for the end of a sentence."""
    return f"; not used: {', '.join(map(str, unused[:4]))}" if unused else ""


def _used(name: str, card: ContrastSelector, contrasts: tuple[str, ...]) -> tuple[str, ...]:
    """Return the contrasts of a session that a model uses; without a T1w, one must be a reference.

    Raises
    ------
    UnusableSessionError
        If the model does not support the contrasts.
    """
    try:
        used = card.select(contrasts)
    except ModelError as error:
        if "T1w" in contrasts:
            raise UnusableSessionError(str(error)) from None
        used = ()
    if "T1w" in contrasts or any(contrast in REFERENCES for contrast in used):
        return used
    raise UnusableSessionError(
        f"{name} has {' and '.join(contrasts)} but no T1w, and the model {card.name} does not "
        f"support {' or '.join(contrasts)} alone; choose another model with --model, or supply lesion "
        "masks with --lesion-derivatives."
    )


def build_session(
    files: Candidates, chosen: dict[str, Path], reference: str, lesion: SuppliedMask | None = None
) -> Session:
    """Create a session from the chosen images, and select its brain mask.

    Raises
    ------
    UnusableSessionError
        If a brain mask belongs to no image of the session.
    """
    selection = files.selection
    brain_mask = None
    if not (lesion and lesion.in_template):
        if reference != "T1w" and "T1w" not in chosen:
            excluded = [i for i in selection.unused if i.excluded and contrast_of(i.path) == "T1w"]
            sentence = f"No usable T1w image: {reference} is the reference{format_unused(excluded)}."
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
    """Choose the brain mask of the reference image; return None without one.

    Raises
    ------
    UnusableSessionError
        If a brain mask belongs to no image of the session.
    """
    selection = files.selection
    others = [item.path for item in selection.unused if contrast_of(item.path) == reference]
    reasons = {
        mask: _mismatch_reason(mask, reference, path, others) for mask in files.brain_masks.assigned
    }
    for mask in reasons:
        _require_image(files, mask, [path, *others], reference)
    reasons |= dict.fromkeys(
        files.brain_masks.unassigned, "its name has no ses-, but there are several sessions"
    )
    not_used = [Unused(mask.path, reason) for mask, reason in reasons.items() if reason]
    belonging = [mask for mask, reason in reasons.items() if reason is None]
    selection.unused += not_used
    if not belonging:
        for item in not_used:
            selection.note(f"The brain mask {item.path} is not used: {item.reason}.", ambiguous=True)
        return None
    chosen = max(belonging, key=lambda mask: (len(mask.image_entities), shares_grid(mask, path)))
    rest = [mask for mask in belonging if mask != chosen]
    selection.unused += [Unused(mask.path, f"{chosen.path} takes precedence") for mask in rest]
    selection.note(f"The brain mask is {chosen.path}.")
    return chosen.path


def _require_image(
    files: Candidates, mask: SuppliedMask, images: Sequence[Path], reference: str
) -> None:
    """Raise an error if a brain mask belongs to none of the session's images."""
    if mask.space in (None, reference) and not any(map(mask.belongs_to, images)):
        raise UnusableSessionError(
            f"{mask.path} is a brain mask of {mask.image_description}, but {files.name} has "
            f"no such {reference} image; name the mask after its image, or remove it."
        )


def _mismatch_reason(
    mask: SuppliedMask, reference: str, path: Path, others: Sequence[Path]
) -> str | None:
    """Return why a brain mask does not belong to the reference image, or None if it does.

    A mask without ``space-`` belongs to the T1w; it belongs to another contrast if the grids match.
    """
    if mask.space not in (None, reference):
        return f"it is in {mask.space} space"
    if mask.space is None and reference != "T1w" and not shares_grid(mask, path):
        return f"its grid differs from that of {path.name}"
    named_after_other = not mask.is_named_after(path) and any(map(mask.is_named_after, others))
    if named_after_other or not mask.belongs_to(path):
        return f"it does not belong to {path.name}"
    return None


def shares_grid(mask: SuppliedMask, path: Path) -> bool:
    """Return whether the headers of a mask and an image have the same grid; False if unreadable.

    For files without orientation, the result does not depend on the assumed orientation.
    """
    try:
        mask_grid, image_grid = (
            image.conform(grid.blank(img.shape[:3], img.affine))
            for img in map(image.open_image, (mask.path, path))
        )
        return grid.same_grid(mask_grid, image_grid, grid.FIT_TOLERANCE_VOXELS)
    except Exception:  # the subprocess of the session reports the error
        return False
