"""Select the lesion mask of a session and the corresponding images."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from bids_stroke.settings import SPACES

from . import filters
from .candidates import Candidates
from .diffusion import DIFFUSION
from .names import CONTRASTS, REFERENCES
from .selection import build_session, shares_grid
from .sessions import Session, UnusableSessionError, Unused
from .supplied_masks import SuppliedMask

#: Images by contrast.
Paths = Mapping[str, list[Path]]
#: A mask, the contrast of an image that it may belong to, and the path of that image.
_Match = tuple[SuppliedMask, str, Path]


def select_lesion_mask(files: Candidates, contrasts: Collection[str]) -> Session:
    """Select the lesion mask of a session and the corresponding images.

    A mask on one of the session's images takes precedence over a mask in a template space. Diffusion
    images are included if they are in ``contrasts``, or if the mask was drawn on them.

    Raises
    ------
    UnusableSessionError
        If the session has no lesion mask, or no mask that belongs to one of its images.
    """
    masks = _filtered(files)
    native = [mask for mask in masks if not mask.in_template]
    in_template = [mask for mask in masks if mask.in_template]
    paths = {contrast: files.usable(contrast) for contrast in CONTRASTS} if native else {}
    matches: list[_Match] = []
    mismatches: list[Unused] = []
    for mask in native:
        if mask_matches := _matches(mask, paths):
            matches += mask_matches
        else:
            mismatches.append(Unused(mask.path, _mismatch(files, mask, paths)))
    if not matches and not in_template:
        raise UnusableSessionError(mismatches[0].reason)
    files.selection.unused += mismatches
    for item in mismatches:
        files.selection.note(f"A lesion mask is not used: {item.reason}", ambiguous=True)
    if matches:
        return _select_native(files, matches, paths, contrasts)
    return _select_in_template(files, in_template)


def _filtered(files: Candidates) -> list[SuppliedMask]:
    """Return the lesion masks of a session that pass the filter."""
    values, selection = files.filter_of("lesion"), files.selection
    accepted, reasons = [], []
    for mask in files.lesions.assigned:
        if mismatches := filters.mismatches(mask.path, values):
            reason = f"the lesion filter excludes it: {', '.join(mismatches)}"
            selection.unused.append(Unused(mask.path, reason))
            reasons.append(str(selection.unused[-1]))
        else:
            accepted.append(mask)
    names = ", ".join(str(mask.path) for mask in files.lesions.unassigned)
    if names and not files.lesions.assigned:
        raise UnusableSessionError(
            f"{names} has no ses- in its name, but sub-{files.subject} has several sessions; add ses-."
        )
    if names:
        selection.note(
            f"{names} is not used: its name has no ses-, but there are several sessions.",
            ambiguous=True,
        )
    if not accepted:
        problem = ": ".join(filter(None, ("it has no lesion mask", files.misplaced_mask)))
        if reasons:
            problem = f"none of its lesion masks passes the filter: {'; '.join(reasons)}"
        raise UnusableSessionError(problem, False)
    return accepted


def _matches(mask: SuppliedMask, paths: Paths) -> list[_Match]:
    """Return the images that a mask belongs to.

    These are the images of its contrast with matching entities. Of several, those with the grid of
    the mask are returned; of those, the one that the mask is named after.
    """
    matches = [match for match in _of_contrast(mask, paths) if mask.belongs_to(match[2])]
    if len(matches) > 1:
        matches = [match for match in matches if shares_grid(mask, match[2])]
    return [match for match in matches if mask.is_named_after(match[2])] or matches


def _of_contrast(mask: SuppliedMask, paths: Paths) -> list[_Match]:
    """Return the images of the contrast of a mask, or all images if its name has no contrast."""
    images = {c: several for c, several in paths.items() if mask.space in (None, c)}
    return [(mask, contrast, path) for contrast, several in images.items() for path in several]


def _mismatch(files: Candidates, mask: SuppliedMask, paths: Paths) -> str:
    """Return a sentence that states why a mask belongs to no image."""
    images = _of_contrast(mask, paths)
    candidates = [match for match in images if mask.belongs_to(match[2])]
    if candidates:
        return (
            f"the grid of {mask.path} is not that of {_names(candidates)}; supply the mask on the "
            "grid of its image."
        )
    drawn = f"{mask.path} was drawn on {f'a {mask.space}' if mask.space else 'an'} image"
    if images:
        return (
            f"{drawn} with {mask.image_description}, which {files.name} does not have (it has "
            f"{_names(images)}); name the mask after its image."
        )
    return f"{drawn}, which {files.name} does not have; add the image."


def _names(matches: Sequence[_Match]) -> str:
    return ", ".join(path.name for _, _, path in matches)


def _select_native(
    files: Candidates, matches: Sequence[_Match], paths: Paths, contrasts: Collection[str]
) -> Session:
    """Select the mask on the first contrast with a mask, on the chosen one of its images."""
    contrast = next(c for c in paths if any(match[1] == c for match in matches))
    with_mask = [(mask, path) for mask, c, path in matches if c == contrast]
    images = list(dict.fromkeys(path for _, path in with_mask))
    drawn_on = files.choose(contrast, images)
    mask = _whole_lesion_mask(files, [mask for mask, path in with_mask if path == drawn_on])
    _note_mask(files, mask, list(dict.fromkeys(match[0] for match in matches)))
    _note_image(files, mask, drawn_on, matches)
    reason = f"the lesion mask {mask.path.name} belongs to another image"
    _exclude(files, set(paths[contrast]).difference(images), reason)
    remaining = {**paths, contrast: [drawn_on]}
    for name in DIFFUSION:
        if name not in contrasts and name != contrast:
            _exclude(files, remaining.pop(name), f"{name} is not needed")
    chosen = files.choose_each(remaining)
    return build_session(files, chosen, next(iter(chosen)), replace(mask, space=contrast))


def _note_image(
    files: Candidates, mask: SuppliedMask, drawn_on: Path, matches: Sequence[_Match]
) -> None:
    """Add a note on the image of a mask if its name has no contrast, or if several images match.

    The choice between several images is ambiguous.
    """
    others = [path.name for other, _, path in matches if other == mask and path != drawn_on]
    if mask.space and not others:
        return
    relation = "has the grid of" if shares_grid(mask, drawn_on) else "is assigned to"
    advice = (
        "add the entities of the image to its name"
        if mask.space
        else "add the contrast as space- to its name"
    )
    alternatives = f" and also matches {', '.join(others)}; {advice} to choose" if others else ""
    files.selection.note(
        f"The lesion mask {relation} {drawn_on.name}{alternatives}.", ambiguous=bool(others)
    )


def _exclude(files: Candidates, paths: Iterable[Path], reason: str) -> None:
    files.selection.unused += [Unused(path, reason) for path in sorted(paths)]


def _select_in_template(files: Candidates, masks: Sequence[SuppliedMask]) -> Session:
    """Select the mask in a template space, preferably the app's, and the images in that space."""
    spaces = [mask.space for mask in masks]
    space = next((space for space in (*SPACES, "MNI152NLin6Asym") if space in spaces), spaces[0])
    assert space is not None
    mask = _whole_lesion_mask(files, [mask for mask in masks if mask.space == space])
    _note_mask(files, mask, masks)
    paths = {contrast: files.usable(contrast, space) for contrast in REFERENCES}
    return build_session(files, files.choose_each(paths), space, mask)


def _whole_lesion_mask(files: Candidates, masks: Sequence[SuppliedMask]) -> SuppliedMask:
    """Return the only mask of an image, or the only mask of a whole lesion among several.

    Raises
    ------
    UnusableSessionError
        If several masks may be parts of one lesion.
    """
    count = max(len(mask.image_entities) for mask in masks)
    masks = [mask for mask in masks if len(mask.image_entities) == count]
    whole = [mask for mask in masks if mask.is_whole_lesion] if len(masks) > 1 else list(masks)
    if len(whole) == 1:
        return whole[0]
    names = ", ".join(str(mask.path.relative_to(mask.root or mask.path.parent)) for mask in masks)
    advice = filters.suggestion("lesion", masks[1].path, masks[0].path, files.filter_of("lesion"))
    choose = f", or choose one with a filter such as {advice}" if advice else ""
    raise UnusableSessionError(
        f"{files.name} has {len(masks)} lesion masks on one image ({names}), which may be parts of one "
        f"lesion; merge them into one file{choose}."
    )


def _note_mask(files: Candidates, mask: SuppliedMask, masks: Sequence[SuppliedMask]) -> None:
    """Add a note on the mask in use; a choice between masks of several images is ambiguous."""
    selection = files.selection
    others = [other for other in masks if other != mask]
    selection.unused += [Unused(other.path, f"{mask.path.name} takes precedence") for other in others]
    sentence = f"The lesion mask is {mask.path}"
    if others:
        advice = filters.suggestion("lesion", mask.path, others[0].path, files.filter_of("lesion"))
        sentence += f", chosen from {len(masks)}"
        sentence += f"; to choose {others[0].path.name}, filter with {advice}" if advice else ""
    on_other_images = any(
        (other.space, other.image_entities) != (mask.space, mask.image_entities) for other in others
    )
    selection.note(f"{sentence}.", ambiguous=on_other_images)
