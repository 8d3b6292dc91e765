"""Choice of the images of a session: T1w, further contrasts, supplied masks."""

from dataclasses import replace

import nibabel as nib

from bids_stroke.errors import ModelError
from bids_stroke.spatial import grid
from bids_stroke.utils import files

from .names import REFERENCES, TRACE, natural_key, prefix
from .sessions import LeftOut, Session


def select_images(found, card, subject, label, masks):
    name = prefix(subject, label)
    images, notes = {}, []
    wanted = {channel.contrast for channel in card.channels}
    for contrast in (*REFERENCES, *({TRACE} & wanted)):
        paths = found.of(contrast, subject, label)
        if paths:
            images[contrast] = _choose(contrast, paths, notes)
    if not images:
        return LeftOut(name, "there is no T1w, FLAIR or T2w image in its anat folder", False)
    if "T1w" in images:
        reference = "T1w"
        try:
            card.select(tuple(images))
        except ModelError as error:
            return LeftOut(name, str(error), True)
    else:
        reference = next((c for c in REFERENCES if c in images and card.takes(c)), None)
        if reference is None:
            reason = (
                f"{name} has {' and '.join(images)} but no T1w, and the model {card.name} does not "
                f"take {' or '.join(images)} alone; choose another with --model, or give lesion "
                "masks with --lesion-derivatives."
            )
            return LeftOut(name, reason, True)
        notes.append(f"There is no T1w image: {reference} is the reference.")
    mask = _brain_mask(masks, name, reference, notes)
    return _there(Session(subject, label, images, reference, tuple(notes), mask), card)


def select_supplied_mask(found, drawn, subject, label, masks, trace):
    """Choose an own lesion mask and the images that go with it."""
    name = prefix(subject, label)
    if not drawn:
        return LeftOut(name, "there is no lesion mask of it", False)
    notes = []
    paths = {c: found.of(c, subject, label) for c in (*REFERENCES, TRACE)}
    native = [mask for mask in drawn if not mask.in_template]
    there = [contrast for contrast, found_ones in paths.items() if found_ones]
    usable = [mask for mask in native if there and mask.space in (None, *there)]
    mask = next(iter(usable or [mask for mask in drawn if mask.in_template]), None)
    if mask is None:
        space = f"a {native[0].space}" if native[0].space else "an"
        reason = f"{native[0].path} was drawn on {space} image, which {name} does not have; add it."
        return LeftOut(name, reason, True)
    more = f", chosen of {len(drawn)}; filter by lesion to choose another" if len(drawn) > 1 else ""
    notes.append(f"The lesion mask is {mask.path}{more}.")
    if mask.in_template:
        same = f"_space-{mask.space}_"
        images = {
            contrast: next(path for path in paths[contrast] if same in path.name)
            for contrast in REFERENCES
            if any(same in path.name for path in paths[contrast])
        }
        return _there(Session(subject, label, images, mask.space, tuple(notes), None, mask))
    if not mask.space:
        mask = replace(mask, space=_fitting(mask, paths, notes))
    images = {}
    for contrast in (*REFERENCES, TRACE):
        those = [path for path in paths[contrast] if "_space-MNI" not in path.name]
        if contrast == mask.space:
            those = [path for path in those if mask.belongs_to(path.name)] or those
        elif contrast == TRACE and not trace:
            continue
        if those:
            images[contrast] = _choose(contrast, those, notes)
    reference = next(contrast for contrast in (*REFERENCES, TRACE) if contrast in images)
    if reference != "T1w":
        notes.append(f"There is no T1w image: {reference} is the reference.")
    brain = _brain_mask(masks, name, reference, notes)
    return _there(Session(subject, label, images, reference, tuple(notes), brain, mask))


def _there(session, card=None):
    """The session, left out if one of its files has no content here."""
    reasons = filter(None, map(files.missing_content_reason, session.files(card)))
    return LeftOut(session.name, reason, True) if (reason := next(reasons, None)) else session


def _fitting(mask, paths, notes):
    """The contrast whose image a mask fits, whose name does not tell; else the first."""
    there = [(contrast, path) for contrast, found in paths.items() for path in found]
    for contrast, path in there:
        try:
            grid.fit_to_grid(nib.load(mask.path), nib.load(path))
        except Exception:  # another grid, or an unreadable image
            continue
        notes.append(f"The lesion mask has the grid of {path.name}.")
        paths[contrast] = [path]
        return contrast
    return there[0][0]


def _choose(contrast, paths, notes):
    """Choose one image of a contrast; the latest run of the finest of the plain ones."""
    if len(paths) > 1:
        # Sorting is stable.
        paths.sort(key=natural_key, reverse=True)
        paths.sort(key=_fineness)
        paths.sort(key=lambda path: "_ce-" in path.name or "_part-" in path.name)
        missing = sum(files.missing_content_reason(path) is not None for path in paths)
        without = f"; {missing} have no content here" if missing else ""
        notes.append(
            f"{paths[0].name} was chosen of {len(paths)} {contrast} images: "
            f"without contrast agent, the finest voxels, then the latest run{without}."
        )
    return paths[0]


def _brain_mask(masks, name, reference, notes):
    mask = masks.get((name, reference))
    if mask:
        notes.append(f"The brain mask is {mask}.")
    return mask


def _fineness(path):
    try:
        return round(grid.voxel_volume(nib.load(path)), 2)
    except Exception:  # an unreadable run is the last choice
        return float("inf")
