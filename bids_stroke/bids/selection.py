"""Selection of the images of a session: by a model, or by a user-supplied lesion mask."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from bids_stroke.errors import ModelError
from bids_stroke.spatial import grid, image
from bids_stroke.utils import files

from .layout import Images
from .names import REFERENCES, TRACE, Name, entity, is_template, natural_key, session_name
from .sessions import ContrastSelector, LeftOut, Session
from .supplied_masks import SuppliedMask

#: Paths of brain masks by name of the session and contrast.
BrainMasks = Mapping[tuple[str, str], Path]


def select_images(
    images: Images,
    card: ContrastSelector,
    subject: str,
    label: str | None,
    brain_masks: BrainMasks,
) -> Session | LeftOut:
    """Select the images of a session that a model can use.

    The session is left out where the model does not take its images, or where one of the files has
    no content.
    """
    name = session_name(subject, label)
    chosen: dict[str, Path] = {}
    notes: list[str] = []
    channels = {channel.contrast for channel in card.channels}
    for contrast in (*REFERENCES, *({TRACE} & channels)):
        if paths := images.of(contrast, subject, label):
            chosen[contrast] = _choose(contrast, paths, notes)
    if not chosen:
        return LeftOut(name, "there is no T1w, FLAIR or T2w image in its anat folder", False)
    if refusal := _refusal(name, card, tuple(chosen)):
        return LeftOut(name, refusal, True)
    reference = next(c for c in REFERENCES if c in chosen and (c == "T1w" or card.takes(c)))
    brain_mask = _note_reference(name, reference, brain_masks, notes)
    return _with_content(Session(subject, label, chosen, reference, tuple(notes), brain_mask), card)


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


def select_supplied_mask(
    images: Images,
    lesions: Sequence[SuppliedMask],
    subject: str,
    label: str | None,
    brain_masks: BrainMasks,
    trace: bool,
) -> Session | LeftOut:
    """Select a user-supplied lesion mask of a session, and the images that go with it.

    A mask on one of the session's images comes before one in a template space. With ``trace``, the
    TRACE image is among the images whatever the mask was drawn on.
    """
    name = session_name(subject, label)
    if not lesions:
        return LeftOut(name, "there is no lesion mask of it", False)
    paths = {contrast: images.of(contrast, subject, label) for contrast in (*REFERENCES, TRACE)}
    native = _native(paths)
    mask = _first_usable(lesions, native)
    if mask is None:
        drawn = lesions[0]
        space = f"a {drawn.space}" if drawn.space else "an"
        reason = f"{drawn.path} was drawn on {space} image, which {name} does not have; add it."
        return LeftOut(name, reason, True)
    more = f", chosen of {len(lesions)}; filter by lesion to choose another"
    notes = [f"The lesion mask is {mask.path}{more if len(lesions) > 1 else ''}."]
    if mask.space and mask.in_template:
        chosen = _in_space(mask.space, paths)
        return _with_content(Session(subject, label, chosen, mask.space, tuple(notes), None, mask))
    if not mask.space:
        mask, native = _match_by_grid(mask, native, notes)
    if not trace and mask.space != TRACE:
        native.pop(TRACE, None)
    chosen = _choose_all(mask, native, notes)
    reference = next(iter(chosen))
    brain_mask = _note_reference(name, reference, brain_masks, notes)
    return _with_content(Session(subject, label, chosen, reference, tuple(notes), brain_mask, mask))


def _native(paths: Mapping[str, list[Path]]) -> dict[str, list[Path]]:
    """The images by contrast that are not in a template space."""
    native = {
        contrast: [path for path in several if not is_template(entity(path, "space"))]
        for contrast, several in paths.items()
    }
    return {contrast: several for contrast, several in native.items() if several}


def _first_usable(
    lesions: Sequence[SuppliedMask], native: Mapping[str, list[Path]]
) -> SuppliedMask | None:
    """The first mask on one of the native images, else the first in a template space."""
    usable = [mask for mask in lesions if native and mask.space in (None, *native)]
    return next(iter(usable or [mask for mask in lesions if mask.in_template]), None)


def _in_space(space: str, paths: Mapping[str, list[Path]]) -> dict[str, Path]:
    """The first image of each contrast in a template space."""
    chosen = {}
    for contrast in REFERENCES:
        in_space = [path for path in paths[contrast] if entity(path, "space") == space]
        if in_space:
            chosen[contrast] = in_space[0]
    return chosen


def _match_by_grid(
    mask: SuppliedMask, native: Mapping[str, list[Path]], notes: list[str]
) -> tuple[SuppliedMask, dict[str, list[Path]]]:
    """Give a mask whose name has no contrast that of the image whose grid it has, else the first.

    Returns
    -------
    tuple of (SuppliedMask, dict)
        The mask, and the images, of the mask's contrast only the one whose grid it has.
    """
    for contrast, paths in native.items():
        for path in paths:
            try:
                grid.fit_to_grid(image.open_image(mask.path), image.open_image(path))
            except Exception:  # another grid, or an unreadable image
                continue
            notes.append(f"The lesion mask has the grid of {path.name}.")
            return replace(mask, space=contrast), {**native, contrast: [path]}
    return replace(mask, space=next(iter(native))), dict(native)


def _choose_all(
    mask: SuppliedMask, native: Mapping[str, list[Path]], notes: list[str]
) -> dict[str, Path]:
    """Choose one image of each contrast; of that of the mask, one that the mask belongs to."""
    chosen = {}
    for contrast, paths in native.items():
        if contrast == mask.space:
            paths = [path for path in paths if mask.belongs_to(path.name)] or paths
        chosen[contrast] = _choose(contrast, paths, notes)
    return chosen


def _with_content(session: Session, card: ContrastSelector | None = None) -> Session | LeftOut:
    """The session, left out if one of its files has no content."""
    for path in session.files(card):
        if reason := files.missing_content_reason(path):
            return LeftOut(session.name, reason, True)
    return session


def _choose(contrast: str, paths: Sequence[Path], notes: list[str]) -> Path:
    """Choose one image of a contrast: the latest run of the finest of the plain ones."""
    if len(paths) == 1:
        return paths[0]
    latest_first = sorted(paths, key=lambda path: natural_key(path.name), reverse=True)
    chosen = min(latest_first, key=lambda path: (_is_special(path), _fineness(path)))
    missing = sum(files.missing_content_reason(path) is not None for path in paths)
    without = f"; {missing} have no content here" if missing else ""
    notes.append(
        f"{chosen.name} was chosen of {len(paths)} {contrast} images: "
        f"without contrast agent, the finest voxels, then the latest run{without}."
    )
    return chosen


def _is_special(path: Path) -> bool:
    """Whether an image was taken with contrast agent, or is a part of a complex image."""
    return not {"ce", "part"}.isdisjoint(Name.parse(path).entities)


def _fineness(path: Path) -> float:
    try:
        return round(grid.voxel_volume(image.open_image(path)), 2)
    except Exception:  # an unreadable run is the last choice
        return float("inf")


def _note_reference(
    name: str, reference: str, brain_masks: BrainMasks, notes: list[str]
) -> Path | None:
    """Note what the reference is, and return its brain mask if there is one."""
    if reference != "T1w":
        notes.append(f"There is no T1w image: {reference} is the reference.")
    brain_mask = brain_masks.get((name, reference))
    if brain_mask:
        notes.append(f"The brain mask is {brain_mask}.")
    return brain_mask
