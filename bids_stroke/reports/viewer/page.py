"""Page of the interactive viewer: a self-contained HTML file with quantized images and NiiVue.

NiiVue shows planes of voxels. All images of a viewer are therefore on a common grid aligned with world
axes: the grid of the reference image if it is aligned, with a voxel size of at least 1 mm. Only voxels
near the brain are included, which limits the file size and removes most of the face.
"""

from collections.abc import Sequence
from pathlib import Path

import nibabel as nib
import numpy as np
from nibabel.affines import apply_affine

from bids_stroke import __version__
from bids_stroke.reports.rendering import render
from bids_stroke.utils.files import PathLike

from . import niivue
from .layers import LEVELS, MARGIN_MM, Layer, encode

BACKGROUND_BYTES = 11_500_000  # maximum size of all backgrounds, for files below 15 MB


def viewer_name(session_name: str) -> str:
    """Return the file name of the viewer of a session."""
    return f"{session_name}_viewer.html"


def drawing_name(session_name: str) -> str:
    """Return the file name of the page in which the lesion mask of a session is corrected."""
    return f"{session_name}_drawing.html"


def write_page(
    out: PathLike,
    title: str,
    backgrounds: Sequence[Layer],
    overlays: Sequence[Layer],
    brain_img: nib.Nifti1Image,
    drawing: str | None = None,
) -> Path:
    """Write a viewer.

    Parameters
    ----------
    out : path
    title : str
    backgrounds, overlays : sequence of Layer
        Layers on a common grid; overlays in drawing order.
    brain_img : nib.Nifti1Image
        Mask of the voxels shown in the 3D rendering.
    drawing : str, optional
        File name of the page in which the lesion mask is corrected, for a link.

    Returns
    -------
    Path
    """
    data = [*_encode_backgrounds(backgrounds), *(encode(layer.img) for layer in overlays)]
    scene = {
        "layers": [
            {
                "data": content,
                "low": layer.low,
                "high": layer.high,
                "colors": layer.colors,
                "unit": layer.unit,
                "threshold": layer.threshold,
            }
            for layer, content in zip((*backgrounds, *overlays), data, strict=True)
        ],
        "backgrounds": len(backgrounds),
        "brain": encode(brain_img),
        "start": _start(overlays[0].img, brain_img),
    }
    return render(
        "viewer.html",
        out,
        title=title,
        backgrounds=backgrounds,
        overlays=overlays,
        scene=scene,
        niivue=niivue.encoded_library(),
        license=niivue.license_text(),
        margin=MARGIN_MM,
        drawing=drawing,
        version=__version__,
    )


def _encode_backgrounds(backgrounds: Sequence[Layer]) -> list[str]:
    """Encode the backgrounds with as many gray levels as the file size allows."""
    for levels in LEVELS:
        data = [encode(layer.img, levels) for layer in backgrounds]
        if sum(map(len, data)) <= BACKGROUND_BYTES:
            break
    return data


def _start(img: nib.Nifti1Image, brain_img: nib.Nifti1Image) -> list[float]:
    """Return the initial position of the crosshair (mm).

    This is the voxel with the maximum value that is nearest to the center of all such voxels, or the
    center of the brain for an empty image.
    """
    data = np.asanyarray(img.dataobj)
    if not data.any():
        data = np.asanyarray(brain_img.dataobj)
    voxels = np.argwhere(data == data.max())
    points = apply_affine(img.affine, voxels)
    nearest = np.linalg.norm(points - points.mean(axis=0), axis=1).argmin()
    return points[nearest].round(1).tolist()
