"""The page of the interactive viewer: images quantized, and shown by NiiVue in one HTML file.

All images of a viewer lie on one grid along the axes of the world, as the slices of the figures do
(NiiVue shows planes of voxels): that of the reference image where it is such a grid, at 1 mm where it
is finer. Only voxels near the brain are kept: the file stays small, and most of the face is left out.
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

BACKGROUND_BYTES = 11_500_000  # of all backgrounds of a file, which is to stay under 15 MB


def viewer_name(session_name: str) -> str:
    """File name of the viewer of a session."""
    return f"{session_name}_viewer.html"


def write_page(
    out: PathLike,
    title: str,
    backgrounds: Sequence[Layer],
    overlays: Sequence[Layer],
    brain_img: nib.Nifti1Image,
) -> Path:
    """Write a viewer.

    Parameters
    ----------
    out : path
    title : str
    backgrounds, overlays : sequence of Layer
        All on one grid; the overlays in the order in which they are drawn.
    brain_img : nib.Nifti1Image
        Mask of the voxels that are rendered in 3D.

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
        niivue=niivue.encoded_module(),
        license=niivue.license_text(),
        margin=MARGIN_MM,
        version=__version__,
    )


def _encode_backgrounds(backgrounds: Sequence[Layer]) -> list[str]:
    """Encode the backgrounds in the most gray levels that fit."""
    for levels in LEVELS:
        data = [encode(layer.img, levels) for layer in backgrounds]
        if sum(map(len, data)) <= BACKGROUND_BYTES:
            break
    return data


def _start(img: nib.Nifti1Image, brain_img: nib.Nifti1Image) -> list[float]:
    """Where the crosshair starts (mm): the voxel among the largest values that is nearest to their
    center; without any, the center of the brain."""
    data = np.asanyarray(img.dataobj)
    if not data.any():
        data = np.asanyarray(brain_img.dataobj)
    voxels = np.argwhere(data == data.max())
    points = apply_affine(img.affine, voxels)
    nearest = np.linalg.norm(points - points.mean(axis=0), axis=1).argmin()
    return points[nearest].round(1).tolist()
