"""The interactive viewer: images quantized, and shown by NiiVue in one HTML file.

All images of a viewer lie on one grid along the axes of the world, as the slices of the figures do
(NiiVue shows planes of voxels): that of the reference image where it is such a grid, at 1 mm where it
is finer. Of the head, what is near the brain is kept: the file stays small, and most of the face is
left out.
"""

import numpy as np
from nibabel.affines import apply_affine

from bids_stroke import __version__
from bids_stroke.reports.rendering import render
from bids_stroke.spatial import image
from bids_stroke.spatial.grid import resample
from bids_stroke.spatial.templates import TEMPLATE

from . import niivue
from .layers import LEVELS, MARGIN_MM, RAMP, Layer, background, field, packed

BACKGROUND_BYTES = 11_500_000  # of all backgrounds of a file, which is to stay under 15 MB


def name_of(session_name):
    """Name of the viewer's file of a session."""
    return f"{session_name}_viewer.html"


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
    counts = resample(count_img, grid, order=0)
    most = max(int(np.max(np.asanyarray(counts.dataobj))), 1)
    counts = image.like(counts.dataobj, grid, np.uint8 if most < 256 else np.uint16)
    layer = Layer("Lesion overlap", counts, 1, most, RAMP, 0.85, True, "sessions")
    return page(out, "Lesion overlap", [background(TEMPLATE, grid, near, brain)], [layer], brain)


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
