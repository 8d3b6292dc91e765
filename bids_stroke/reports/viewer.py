"""The interactive viewer: images quantized, and shown by NiiVue in one HTML file.

All images of a viewer lie on one grid along the axes of the world, as the slices of the figures do
(NiiVue shows planes of voxels): that of the reference image where it is such a grid, at 1 mm where it
is finer. Of the head, what is near the brain is kept: the file stays small, and most of the face is
left out.
"""

import gzip
from base64 import b64encode
from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np
from matplotlib import colormaps
from matplotlib.colors import to_hex
from nibabel.affines import apply_affine, voxel_sizes
from nibabel.spaces import vox2out_vox
from scipy import ndimage

from .. import __version__, atlas, image, record, regions, registration
from ..bids import REFERENCES, TRACE, derivative, description_of
from ..registration import TEMPLATE
from ..settings import DEFAULT_TRACT
from . import niivue, render
from .figures import FAINT, LESION, OUTLINE

MARGIN_MM = 15  # of the head that is kept around the brain
FINEST_MM = 1.0
#: As in the figures: the darkest fifth would drown in the brain.
RAMP = tuple(to_hex(color) for color in colormaps["plasma"](np.linspace(0.2, 1, 9)))
TRACT = ("#0f766e", OUTLINE, "#ccfff5")
BACKGROUND_BYTES = 11_500_000  # of all backgrounds of a file, which is to stay under 15 MB
LEVELS = (256, 128, 64, 32)  # of gray: the first that fits


@dataclass(frozen=True)
class Layer:
    """What is drawn: ``img`` on the grid of the viewer, its values from ``low`` to ``high`` in
    ``colors`` (gray without any). ``unit`` is written behind a value; a mask has none."""

    title: str
    img: nib.Nifti1Image
    low: float
    high: float
    colors: tuple = ()
    opacity: float = 1.0
    shown: bool = True
    unit: str | None = None


def name_of(session_name):
    """Name of the viewer's file of a session."""
    return f"{session_name}_viewer.html"


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
        Tracts of the run, as :func:`atlas.load_card` takes them; those that the session has a table
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
        reference, brain = registration.template().t1w, registration.template().brain
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
            images[contrast] = registration.apply(image.load(path), grid, to_reference)
    return images


def _overlays(files, grid, tracts):
    """Layers of the lesion, its probability where there is one, and the tracts."""
    found = files.space | files.lesion
    lesion = _binary(image.load(files.path("mask", **found)), grid)
    layers = [Layer("Lesion", lesion, 1, 1, (LESION, LESION), 0.5)]
    if files.path("probseg", **found).is_file():
        probability = image.resample(image.load(files.path("probseg", **found)), grid)
        layers.append(Layer("Probability", probability, FAINT, 1, RAMP, 0.7, False, ""))
    from_template = [] if files.in_template else [files.transform(TEMPLATE, ".h5")]
    for card in regions.Maps(tracts).cards:
        measured = {"space": TEMPLATE, "atlas": card.atlas, **files.lesion}
        if files.path("morph", ".tsv", **measured).is_file():
            moved = _tract(card, grid, from_template)
            layers.append(Layer(card.name, moved, FAINT, 1, TRACT, 0.7, True, ""))
    return layers


def overlap(count_img, template_img, out):
    """Write the viewer of the number of sessions whose lesion covers each voxel.

    Parameters
    ----------
    count_img : nib.Nifti1Image
        Counts, on the grid of the template.
    template_img : nib.Nifti1Image
        T1w of the template, without the skull.
    out : path
        ``group_viewer.html``.

    Returns
    -------
    Path
    """
    brain = image.like(template_img.get_fdata(dtype=np.float32) > 0, template_img, np.uint8)
    grid, near, brain = field(template_img, brain)
    counts = image.resample(count_img, grid, order=0)
    most = max(int(np.max(np.asanyarray(counts.dataobj))), 1)
    counts = image.like(counts.dataobj, grid, np.uint8 if most < 256 else np.uint16)
    layer = Layer("Lesion overlap", counts, 1, most, RAMP, 0.85, True, "sessions")
    return page(out, "Lesion overlap", [background(TEMPLATE, grid, near, brain)], [layer], brain)


def field(img, brain_img):
    """Cut the field of a viewer out of an image.

    Parameters
    ----------
    img, brain_img : nib.Nifti1Image
        An image, and the mask of its brain.

    Returns
    -------
    tuple of (nib.Nifti1Image, ndarray of bool, nib.Nifti1Image)
        The image along the axes of the world, its voxels no finer than ``FINEST_MM``, in the box
        around what is within ``MARGIN_MM`` of the brain; which of its voxels are; and the mask on
        this grid.
    """
    grid = image.conform(img)
    zooms = voxel_sizes(grid.affine)
    if zooms.min() < 0.99 * FINEST_MM:
        zooms = np.maximum(zooms, FINEST_MM)
        grid = image.regrid(grid, zooms)
    if not np.allclose(grid.affine[:3, :3], np.diag(zooms), atol=1e-4):
        shape, affine = vox2out_vox(grid, np.full(3, zooms.min()))
        upright = nib.Nifti1Image(np.broadcast_to(np.uint8(0), shape), affine)
        grid = image.resample(grid, upright, order=3)
    brain = _binary(brain_img, grid)
    outside = np.asanyarray(brain.dataobj) == 0
    near = ndimage.distance_transform_edt(outside, voxel_sizes(grid.affine)) <= MARGIN_MM
    (box,) = ndimage.find_objects(near.astype(np.uint8))
    return grid.slicer[box], near[box], brain.slicer[box]


def background(title, img, near, brain_img):
    """Make the gray layer of an image: black where it is not ``near`` the brain, clipped at the
    extremes, its window from the 0.5 to the 99.5 percentile of the brain."""
    data = img.get_fdata(dtype=np.float32)
    least, most = np.percentile(data[near], (0.1, 99.9))
    inside = data[np.asanyarray(brain_img.dataobj) > 0]
    low, high = np.percentile(inside if inside.size else data, (0.5, 99.5))
    clipped = np.where(near, np.clip(data, least, most), least)
    return Layer(title, image.like(clipped, img, np.float32), float(low), float(high))


def packed(img, levels=LEVELS[0]):
    """Write an image as gzipped NIfTI in Base64: integers as they are, anything else in so many
    ``levels`` between its extremes (one byte a voxel, the header tells the scale)."""
    data = np.asanyarray(img.dataobj)
    if np.issubdtype(data.dtype, np.integer):
        out = nib.Nifti1Image(data, img.affine)
    else:
        low, step = data.min(), np.ptp(data) / (levels - 1) or 1
        out = nib.Nifti1Image(low + step * np.round((data - low) / step), img.affine)
        out.set_data_dtype(np.uint8)
    return b64encode(gzip.compress(out.to_bytes(), mtime=0)).decode()


def page(out, title, backgrounds, overlays, brain_img):
    """Write a viewer.

    Parameters
    ----------
    out : path
    title : str
    backgrounds, overlays : sequence of Layer
        All on one grid; the overlays in the order in which they are drawn.
    brain_img : nib.Nifti1Image
        Mask of what is rendered in 3D.

    Returns
    -------
    Path
    """
    for levels in LEVELS:
        data = [packed(layer.img, levels) for layer in backgrounds]
        if sum(map(len, data)) <= BACKGROUND_BYTES:
            break
    data += [packed(layer.img) for layer in overlays]
    scene = {
        "layers": [
            {
                "data": content,
                "low": layer.low,
                "high": layer.high,
                "colors": layer.colors,
                "unit": layer.unit,
            }
            for layer, content in zip((*backgrounds, *overlays), data, strict=True)
        ],
        "backgrounds": len(backgrounds),
        "brain": packed(brain_img),
        "start": _start(overlays[0].img, brain_img),
    }
    return render(
        "viewer.html",
        out,
        title=title,
        backgrounds=backgrounds,
        overlays=overlays,
        scene=scene,
        niivue=niivue.packed(),
        licence=niivue.licence(),
        margin=MARGIN_MM,
        version=__version__,
    )


def _binary(mask_img, grid):
    """A mask on another grid: linear, then at least one half."""
    return image.like(image.resample(mask_img, grid).get_fdata() >= 0.5, grid, np.uint8)


def _tract(card, grid, transforms):
    """Both sides of a tract on ``grid``."""
    sides = atlas.load_tract(card)
    both = sum(sides[side].get_fdata(dtype=np.float32) for side in "LR")
    both = image.like(np.minimum(both, 1), sides["L"], np.float32)
    if not transforms:
        return image.resample(both, grid)
    return registration.apply(both, grid, transforms, kind="probability")


def _start(img, brain_img):
    """Where the crosshair starts (mm): the voxel among the largest values that is nearest to their
    centre; without any, the centre of the brain."""
    data = np.asanyarray(img.dataobj)
    if not data.any():
        data = np.asanyarray(brain_img.dataobj)
    voxels = np.argwhere(data == data.max())
    points = apply_affine(img.affine, voxels)
    nearest = np.linalg.norm(points - points.mean(axis=0), axis=1).argmin()
    return points[nearest].round(1).tolist()
