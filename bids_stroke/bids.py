"""BIDS in and out: the sessions of a dataset, and the names of derivatives."""

import json
import re
from dataclasses import dataclass, field, replace
from itertools import combinations
from pathlib import Path
from typing import NamedTuple

import nibabel as nib

from . import __version__, image, ownmasks
from .errors import DatasetError, ModelError, UsageError

#: The order in which a contrast serves as the reference image of a session.
REFERENCES = ("T1w", "FLAIR", "T2w")
#: What own lesion masks may be drawn on besides; a reference where there is nothing else.
TRACE = "TRACE"
#: Of a session's name, in characters: names of files have up to 255, ours up to 100 more than that.
LONGEST = 150
ENTITIES = ("space", "atlas", "seg", "res", "label", "desc")


@dataclass(frozen=True)
class Session:
    """One session of one participant: its images, and why they were chosen.

    ``images`` maps contrasts to raw files; ``reference`` is the contrast whose grid is the native
    space; ``notes`` are sentences for the log and the report. With an own ``lesion`` mask in a
    template space, that space is the reference, and there are only images in that space.
    """

    subject: str
    session: str | None
    images: dict
    reference: str
    notes: tuple[str, ...] = field(default=())
    brain_mask: Path | None = None
    lesion: ownmasks.OwnMask | None = None

    @property
    def name(self):
        """``sub-01`` or ``sub-01_ses-1``: the start of every file's name."""
        return prefix(self.subject, self.session)

    @property
    def drawn_on(self):
        """The contrast or template space on whose grid the lesion is drawn or found."""
        return self.lesion.space if self.lesion else self.reference

    def processed(self, card):
        """Contrasts that are processed: the reference, what the model uses (``card``; None for own
        masks), what the lesion is drawn on, and FLAIR. Of images in a template space, one is shown."""
        if self.lesion and self.lesion.in_template:
            return tuple(self.images)[:1]
        used = card.select(tuple(self.images)) if card else ()
        wanted = {*used, "FLAIR", self.drawn_on} - {self.reference}
        return (self.reference, *(contrast for contrast in self.images if contrast in wanted))

    def files(self, card):
        """The files that are read, as :meth:`processed`."""
        own = (self.brain_mask, self.lesion and self.lesion.path)
        return [*map(self.images.get, self.processed(card)), *filter(None, own)]

    @property
    def folder(self):
        """Folder of the derivatives, relative to the output folder."""
        return Path(*self.name.split("_")) / "anat"


def prefix(subject, session):
    """Start of a file's name."""
    return f"sub-{subject}" + (f"_ses-{session}" if session else "")


def derivative(session_name, suffix, extension=".nii.gz", **entities):
    """Name of a derivative with its entities in BIDS order.

    >>> derivative("sub-01", "mask", space="T1w", label="L", desc="T1lesion")
    'sub-01_space-T1w_label-L_desc-T1lesion_mask.nii.gz'
    """
    unknown = set(entities) - set(ENTITIES)
    if unknown:
        raise ValueError(f"unknown entities {sorted(unknown)}")
    middle = [f"{key}-{entities[key]}" for key in ENTITIES if entities.get(key)]
    return "_".join([session_name, *middle, suffix]) + extension


def description_of(contrasts):
    """``desc`` of a lesion after the contrasts that the model used: T1FLAIRlesion, ...; of an own
    mask (no contrasts): ownlesion."""
    if not contrasts:
        return "ownlesion"
    return "".join(contrast.removesuffix("w") for contrast in contrasts) + "lesion"


class LeftOut(NamedTuple):
    """A session that is not processed: its name, the reason in a sentence, and whether it was
    ``refused`` (the model does not take its images) or has nothing to process."""

    name: str
    reason: str
    refused: bool


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
    found = _Files(settings)
    lesions = {} if card else _own_lesions(settings)
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
    masks = _own_masks(settings.derivatives)
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
                selected = _select(found, card, subject, label, masks)
            else:
                only = len(labels[subject]) == 1  # then a mask needs no session in its name
                drawn = lesions.get((subject, label)) or (only and lesions.get((subject, None)))
                selected = _select_own(found, drawn, subject, label, masks, TRACE in contrasts)
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


class _Files:
    """The images of a dataset by contrast and session, as they are filtered."""

    def __init__(self, settings):
        from .index import Index  # PyBIDS is slow to load

        self._index = Index(settings.bids_dir, settings.bids_database_dir)
        self._filters = settings.bids_filters
        self.sessions = self._index.by_session()
        self._images = {}

    def of(self, contrast, subject, label):
        """Paths of the images of a contrast."""
        if contrast not in self._images:
            kind = {"datatype": "anat", "suffix": contrast}
            if contrast == TRACE:
                kind = {"datatype": "dwi", "suffix": "dwi", "reconstruction": TRACE}
            # A filter may name any entity; its keys are contrasts, as in fMRIPrep.
            query = kind | self._filters.get(contrast.lower(), {})
            try:
                found = self._index.by_session(**{"extension": [".nii", ".nii.gz"]} | query)
            except Exception as error:  # of PyBIDS, of its database, of a pattern
                reason = " ".join(str(error).partition(" If you")[0].partition("[SQL")[0].split())
                raise UsageError(
                    f"--bids-filter-file cannot filter {contrast} images: {reason}"
                ) from None
            self._images[contrast] = found
        found = self._images[contrast]
        if label:
            return list(found.get((subject, label), []))
        return [path for (owner, _), paths in found.items() if owner == subject for path in paths]


def _own_lesions(settings):
    leave_out = (settings.output_dir, settings.work_dir)
    filters = settings.bids_filters.get("lesion", {})
    return ownmasks.find(settings.lesion_derivatives, leave_out, filters)


def _some(labels, most=10):
    more = len(labels) - most
    return ", ".join(labels[:most]) + (f" and {more} more" if more > 0 else "")


def _select(found, card, subject, label, masks):
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


def _select_own(found, drawn, subject, label, masks, trace):
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
    reasons = filter(None, map(image.absent, session.files(card)))
    return LeftOut(session.name, reason, True) if (reason := next(reasons, None)) else session


def _fitting(mask, paths, notes):
    """The contrast whose image a mask fits, whose name does not tell; else the first."""
    there = [(contrast, path) for contrast, found in paths.items() for path in found]
    for contrast, path in there:
        try:
            image.fitted(nib.load(mask.path), nib.load(path))
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
        paths.sort(key=_numbered, reverse=True)
        paths.sort(key=_fineness)
        paths.sort(key=lambda path: "_ce-" in path.name or "_part-" in path.name)
        missing = sum(image.absent(path) is not None for path in paths)
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
        return round(image.voxel_volume(nib.load(path)), 2)
    except Exception:  # an unreadable run is the last choice
        return float("inf")


def _numbered(path):
    """Sort key that puts run-10 after run-2."""
    return [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", path.name)]


def _own_masks(folders):
    """Brain masks of derivatives datasets: (session name, contrast) to path."""
    found = {}
    for folder in folders:
        for path in sorted(folder.glob("sub-*/**/anat/*_desc-brain_mask.nii.gz")):
            entities, _ = ownmasks.split(path.name)
            space = entities.get("space", "T1w")
            key = prefix(entities.get("sub"), entities.get("ses")), space
            if space in REFERENCES:
                found.setdefault(key, path)
    return found


def write_json(content, path):
    """Write JSON atomically."""
    with image.atomic(path) as partial:
        partial.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n")
    return Path(path)


def write_tsv(table, path):
    """Write a data frame as BIDS has it: tabs, ``n/a`` for missing, up to six significant digits."""
    with image.atomic(path) as partial:
        table.to_csv(partial, sep="\t", na_rep="n/a", index=False, float_format="%.6g")
    return Path(path)


IGNORED = (
    "*_xfm.*",
    "*_morph.*",
    "*_TRACE.*",
    "*.html",
    "evaluation",
    "figures",
    "logs",
    "work",
    "group_*",
    "CITATION.md",
)


def _together(contrasts):
    *first, last = contrasts
    return f"{', '.join(first)} and {last} images" if first else f"{last} image"


DESCRIPTIONS = {
    "desc-preproc": "Bias-corrected (N4); on the raw grid, or on that of space.",
    "desc-brain": "Brain mask.",
    **{
        f"desc-{description_of(contrasts)}": f"Lesion found on the {_together(contrasts)}."
        for number in range(1, 5)
        for contrasts in combinations((*REFERENCES, TRACE), number)
    },
    "desc-ownlesion": "Lesion mask supplied by the user.",
    "desc-quality": "Image quality measures of the session.",
}


def write_dataset_files(output_dir, bids_dir):
    """Write what makes ``output_dir`` a BIDS derivatives dataset; unchanged files are left alone."""
    output_dir = Path(output_dir)
    description = {
        "Name": "bids_stroke: stroke lesion masks, volumes and tract loads",
        "BIDSVersion": "1.10.0",
        "DatasetType": "derivative",
        "License": "The terms of the source dataset apply.",
        "HowToAcknowledge": "See CITATION.md.",
        "GeneratedBy": [{"Name": "bids_stroke", "Version": __version__}],
        "SourceDatasets": [{"URL": Path(bids_dir).resolve().as_uri()}],
        "DatasetLinks": {"raw": Path(bids_dir).resolve().as_uri()},
    }
    rows = "".join(f"{key}\t{text}\n" for key, text in DESCRIPTIONS.items())
    contents = {
        "dataset_description.json": json.dumps(description, indent=2) + "\n",
        ".bidsignore": "\n".join(IGNORED) + "\n",
        "descriptions.tsv": "desc_id\tdescription\n" + rows,
        "README": (
            "Lesion masks, probabilities, volumes and tract loads by bids_stroke.\n"
            "Open the sub-*.html files to check every mask, and group.html for the cohort.\n"
        ),
    }
    for name, text in contents.items():
        path = output_dir / name
        if not path.is_file() or path.read_text() != text:
            with image.atomic(path) as partial:
                partial.write_text(text)


def uri(path, bids_dir, output_dir):
    """BIDS URI of a raw file (``bids:raw:``) or of a derivative (``bids::``)."""
    path = Path(path)
    # Either folder may lie in the other: the inner one comes first.
    roots = sorted(((Path(bids_dir), "bids:raw:"), (Path(output_dir), "bids::")), reverse=True)
    for root, start in roots:
        if path.is_relative_to(root):
            return start + path.relative_to(root).as_posix()
    return path.as_uri()
