"""The interactive viewer of a session, from its derivatives."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bids_stroke.atlases import maps, tracts
from bids_stroke.bids import record
from bids_stroke.bids.names import REFERENCES, TRACE, derivative, description_of
from bids_stroke.reports.figures.figures import FAINT, LESION
from bids_stroke.settings import DEFAULT_TRACT
from bids_stroke.spatial import image, templates
from bids_stroke.spatial.grid import resample
from bids_stroke.spatial.templates import TEMPLATE
from bids_stroke.spatial.transforms import apply

from .layers import RAMP, TRACT, Layer, background, field, mask_on_grid
from .page import name_of, page


def participant(out_dir, subject, tracts=(DEFAULT_TRACT,)):
    """Write the viewers of the sessions of a participant (``sub-XX``) that ended well; as
    :func:`session`."""
    for known in record.read_participant(out_dir, subject):
        if known.complete(out_dir):
            session(out_dir, known, tracts)


def session(out_dir, known, tracts=(DEFAULT_TRACT,)):
    """Write the viewer of a session beside its participant's report, from the derivatives alone.

    Parameters
    ----------
    out_dir : path
        Folder of the derivatives.
    known : Record
        Of a session that ended well.
    tracts : sequence of str
        Tracts of the run, as :func:`bids_stroke.atlases.tracts.load_card`
        takes them; those that the session has a table
        of are shown.

    Returns
    -------
    Path
        ``out_dir/sub-XX[_ses-YY]_viewer.html``, a file that needs no other.

    Raises
    ------
    ResourceError
        If NiiVue or a tract's file is missing.
    """
    files = _Files(Path(out_dir, *known.name.split("_"), "anat"), known)
    if files.in_template:
        reference, brain = templates.template().t1w, templates.template().brain
    else:
        reference = image.load(files.path(known.reference, desc="preproc"))
        brain = image.load(files.path("mask", **files.space, desc="brain"))
    grid, near, brain = field(reference, brain)
    gray = [background(title, img, near, brain) for title, img in _contrasts(files, grid).items()]
    overlays = _overlays(files, grid, tracts)
    return page(Path(out_dir) / name_of(known.name), known.name, gray, overlays, brain)


@dataclass(frozen=True)
class _Files:
    """The derivatives of a session in ``folder``, by their names."""

    folder: Path
    known: record.Record

    @property
    def in_template(self):
        return self.known.reference not in (*REFERENCES, TRACE)

    @property
    def space(self):
        if self.in_template:
            return {"space": TEMPLATE, "res": "1"}
        return {"space": self.known.reference}

    @property
    def lesion(self):
        return {"label": "L", "desc": description_of(self.known.contrasts)}

    def path(self, suffix, extension=".nii.gz", **entities):
        return self.folder / derivative(self.known.name, suffix, extension, **entities)

    def transform(self, source, extension):
        """To the reference image."""
        name = f"{self.known.name}_from-{source}_to-{self.known.reference}_mode-image_xfm"
        return self.folder / (name + extension)


def _contrasts(files, grid):
    """The images of a session on ``grid``, which is cut out of the first."""
    if files.in_template:
        return {TEMPLATE: grid}
    images = {files.known.reference: grid}
    for contrast in (*REFERENCES, TRACE):
        path = files.path(contrast, desc="preproc")
        if contrast not in images and path.is_file():
            to_reference = [files.transform(contrast, ".mat")]
            images[contrast] = apply(image.load(path), grid, to_reference)
    return images


def _overlays(files, grid, tracts):
    """Layers of the lesion, its probability where there is one, and the tracts."""
    found = files.space | files.lesion
    lesion = mask_on_grid(image.load(files.path("mask", **found)), grid)
    layers = [Layer("Lesion", lesion, 1, 1, (LESION, LESION), 0.5)]
    if files.path("probseg", **found).is_file():
        probability = resample(image.load(files.path("probseg", **found)), grid)
        layers.append(Layer("Probability", probability, FAINT, 1, RAMP, 0.7, False, ""))
    from_template = [] if files.in_template else [files.transform(TEMPLATE, ".h5")]
    for card in maps.Maps(tracts).cards:
        measured = {"space": TEMPLATE, "atlas": card.atlas, **files.lesion}
        if files.path("morph", ".tsv", **measured).is_file():
            moved = _tract(card, grid, from_template)
            layers.append(Layer(card.name, moved, FAINT, 1, TRACT, 0.7, True, ""))
    return layers


def _tract(card, grid, transforms):
    """Both sides of a tract on ``grid``."""
    sides = tracts.load_tract(card)
    both = sum(sides[side].get_fdata(dtype=np.float32) for side in "LR")
    both = image.like(np.minimum(both, 1), sides["L"], np.float32)
    if not transforms:
        return resample(both, grid)
    return apply(both, grid, transforms, kind="probability")
