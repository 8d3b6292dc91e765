"""Selection of the lesion mask of a session, and of the images that go with it."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from bids_stroke.settings import SPACES

from . import filters
from .candidates import Candidates
from .names import REFERENCES, TRACE
from .selection import build_session, shares_grid
from .sessions import Session, UnusableSessionError, Unused
from .supplied_masks import SuppliedMask

#: Images by contrast.
Paths = Mapping[str, list[Path]]
#: A mask with one of the images that it may lie on, and the contrast of that image.
_Match = tuple[SuppliedMask, str, Path]


def select_lesion_mask(files: Candidates, trace: bool) -> Session:
    """Select the lesion mask of a session, and the images that go with it.

    A mask on one of the session's images comes before one in a template space. With ``trace``, the
    TRACE image is among the images whatever the mask was drawn on.

    Raises
    ------
    UnusableSessionError
        If the session has no lesion mask, or none that belongs to one of its images.
    """
    masks = _filtered(files)
    native = [mask for mask in masks if not mask.in_template]
    in_template = [mask for mask in masks if mask.in_template]
    paths = {c: files.usable(c) for c in (*REFERENCES, TRACE)} if native else {}
    matches: list[_Match] = []
    mismatches: list[Unused] = []
    for mask in native:
        if of_mask := _matches(mask, paths):
            matches += of_mask
        else:
            mismatches.append(Unused(mask.path, _mismatch(files, mask, paths)))
    if not matches and not in_template:
        raise UnusableSessionError(mismatches[0].reason)
    files.selection.unused += mismatches
    for item in mismatches:
        files.selection.note(f"A lesion mask is not used: {item.reason}", ambiguous=True)
    if matches:
        return _select_native(files, matches, paths, trace)
    return _select_in_template(files, in_template)


def _filtered(files: Candidates) -> list[SuppliedMask]:
    """The lesion masks of a session that the filter leaves."""
    values, selection = files.filter_of("lesion"), files.selection
    kept, reasons = [], []
    for mask in files.lesions.own:
        if mismatches := filters.mismatches(mask.path, values):
            reason = f"the lesion filter leaves it out: {', '.join(mismatches)}"
            selection.unused.append(Unused(mask.path, reason))
            reasons.append(str(selection.unused[-1]))
        else:
            kept.append(mask)
    names = ", ".join(str(mask.path) for mask in files.lesions.unassigned)
    if names and not files.lesions.own:
        raise UnusableSessionError(
            f"{names} names no session, and sub-{files.subject} has several; add ses- to its name."
        )
    if names:
        selection.note(f"{names} is not used: it names none of several sessions.", ambiguous=True)
    if not kept:
        no_match = f"no lesion mask of it passes the filter: {'; '.join(reasons)}"
        raise UnusableSessionError(no_match if reasons else "there is no lesion mask of it", False)
    return kept


def _matches(mask: SuppliedMask, paths: Paths) -> list[_Match]:
    """The images that a mask belongs to: those of its contrast with its entities; of several, those
    that have its grid; of these, the one that it is named after."""
    matches = [match for match in _of_contrast(mask, paths) if mask.belongs_to(match[2])]
    if len(matches) > 1:
        matches = [match for match in matches if shares_grid(mask, match[2])]
    return [match for match in matches if mask.is_named_after(match[2])] or matches


def _of_contrast(mask: SuppliedMask, paths: Paths) -> list[_Match]:
    """The images of the contrast of a mask, or of all where its name has none."""
    wanted = {c: several for c, several in paths.items() if mask.space in (None, c)}
    return [(mask, contrast, path) for contrast, several in wanted.items() for path in several]


def _mismatch(files: Candidates, mask: SuppliedMask, paths: Paths) -> str:
    """Why a mask belongs to no image, in a sentence."""
    images = _of_contrast(mask, paths)
    named = [match for match in images if mask.belongs_to(match[2])]
    if named:
        return f"{mask.path} has the grid of none of {_names(named)}; give the mask of its image."
    drawn = f"{mask.path} was drawn on {f'a {mask.space}' if mask.space else 'an'} image"
    if images:
        return (
            f"{drawn} with {mask.image_description}, which {files.name} does not have: it has "
            f"{_names(images)}; name the mask after its image."
        )
    return f"{drawn}, which {files.name} does not have; add it."


def _names(matches: Sequence[_Match]) -> str:
    return ", ".join(path.name for _, _, path in matches)


def _select_native(files: Candidates, matches: Sequence[_Match], paths: Paths, trace: bool) -> Session:
    """Select the mask on the first contrast that has one, and on the image that is chosen of those with
    a mask."""
    contrast = next(c for c in paths if any(match[1] == c for match in matches))
    with_mask = [(mask, path) for mask, c, path in matches if c == contrast]
    images = list(dict.fromkeys(path for _, path in with_mask))
    drawn_on = files.choose(contrast, images)
    mask = _whole(files, [mask for mask, path in with_mask if path == drawn_on])
    _note_mask(files, mask, list(dict.fromkeys(match[0] for match in matches)))
    _note_image(files, mask, drawn_on, matches)
    reason = f"the lesion mask {mask.path.name} is on another image"
    _leave_out(files, set(paths[contrast]).difference(images), reason)
    further = {**paths, contrast: [drawn_on]}
    if not trace and contrast != TRACE:
        _leave_out(files, further.pop(TRACE), "TRACE is not in use")
    chosen = files.choose_each(further)
    return build_session(files, chosen, next(iter(chosen)), replace(mask, space=contrast))


def _note_image(
    files: Candidates, mask: SuppliedMask, drawn_on: Path, matches: Sequence[_Match]
) -> None:
    """Note the image of a mask whose name has no contrast, or that several images match, which is
    ambiguous."""
    others = [path.name for other, _, path in matches if other == mask and path != drawn_on]
    if mask.space and not others:
        return
    grid = "has the grid of" if shares_grid(mask, drawn_on) else "is taken for one on"
    advice = (
        "add the entities of its image to its name" if mask.space else "name its contrast with space-"
    )
    more = f", as have {', '.join(others)}; {advice} to choose" if others else ""
    files.selection.note(f"The lesion mask {grid} {drawn_on.name}{more}.", ambiguous=bool(others))


def _leave_out(files: Candidates, paths: Iterable[Path], reason: str) -> None:
    files.selection.unused += [Unused(path, reason) for path in sorted(paths)]


def _select_in_template(files: Candidates, masks: Sequence[SuppliedMask]) -> Session:
    """Select the mask in a template space, that of the app first, and the images in that space."""
    spaces = [mask.space for mask in masks]
    space = next((space for space in (*SPACES, "MNI152NLin6Asym") if space in spaces), spaces[0])
    assert space is not None
    mask = _whole(files, [mask for mask in masks if mask.space == space])
    _note_mask(files, mask, masks)
    paths = {contrast: files.usable(contrast, space) for contrast in REFERENCES}
    return build_session(files, files.choose_each(paths), space, mask)


def _whole(files: Candidates, masks: Sequence[SuppliedMask]) -> SuppliedMask:
    """The only mask of an image, or of several the only one of a whole lesion.

    Raises
    ------
    UnusableSessionError
        If several masks may be parts of one lesion.
    """
    most = max(len(mask.image_entities) for mask in masks)
    masks = [mask for mask in masks if len(mask.image_entities) == most]
    whole = [mask for mask in masks if mask.is_whole_lesion] if len(masks) > 1 else list(masks)
    if len(whole) == 1:
        return whole[0]
    names = ", ".join(str(mask.path.relative_to(mask.root or mask.path.parent)) for mask in masks)
    advice = filters.suggestion("lesion", masks[1].path, masks[0].path, files.filter_of("lesion"))
    choose = f", or choose one by a filter such as {advice}" if advice else ""
    raise UnusableSessionError(
        f"{files.name} has {len(masks)} lesion masks on one image ({names}), which may be parts of one "
        f"lesion; join them in one file{choose}."
    )


def _note_mask(files: Candidates, mask: SuppliedMask, masks: Sequence[SuppliedMask]) -> None:
    """Note which mask is used; a choice between masks of several images is ambiguous."""
    selection = files.selection
    others = [other for other in masks if other != mask]
    selection.unused += [Unused(other.path, f"{mask.path.name} comes first") for other in others]
    sentence = f"The lesion mask is {mask.path}"
    if others:
        advice = filters.suggestion("lesion", mask.path, others[0].path, files.filter_of("lesion"))
        sentence += f", chosen of {len(masks)}"
        sentence += f"; to choose {others[0].path.name}, filter with {advice}" if advice else ""
    elsewhere = any(
        (other.space, other.image_entities) != (mask.space, mask.image_entities) for other in others
    )
    selection.note(f"{sentence}.", ambiguous=elsewhere)
