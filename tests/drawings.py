"""Heads and lesions for tests of figures, and readers of the contents of SVG figures."""

import base64
import io
import xml.etree.ElementTree as ET

import nibabel as nib
import numpy as np
from nibabel.affines import apply_affine
from PIL import Image

SVG = "{http://www.w3.org/2000/svg}"
AFFINES = {
    "RAS": [[2, 0, 0, -80], [0, 2, 0, -100], [0, 0, 2, -60], [0, 0, 0, 1]],
    "LPS, 4 mm slices": [[-2, 0, 0, 78], [0, -2, 0, 98], [0, 0, 4, -60], [0, 0, 0, 1]],
    "PSR": [[0, 0, 2, -80], [-2, 0, 0, 98], [0, 2, 0, -60], [0, 0, 0, 1]],
    "tilted": [[2, 0, 0, -80], [0, 1.6, -1.2, -50], [0, 1.2, 1.6, -110], [0, 0, 0, 1]],
}
SHAPES = {
    "RAS": (80, 100, 70),
    "LPS, 4 mm slices": (80, 100, 35),
    "PSR": (100, 70, 80),
    "tilted": (80, 100, 90),
}


def ball(orientation, center, radius):
    """Return a sphere in world space (mm), as uint8, on a grid of the given orientation."""
    affine = np.array(AFFINES[orientation], float)
    shape = SHAPES[orientation]
    world = apply_affine(affine, np.moveaxis(np.indices(shape), 0, -1))
    inside = ((world - center) ** 2).sum(axis=-1) <= radius**2
    return nib.Nifti1Image(inside.astype(np.uint8), affine)


def head(orientation="RAS"):
    """Return a bright sphere that contains a dark sphere."""
    outer = ball(orientation, (0, 0, 10), 62).get_fdata()
    inner = ball(orientation, (0, 0, 10), 20).get_fdata()
    return nib.Nifti1Image(100 * outer - 60 * inner, AFFINES[orientation])


def images(path):
    """Return the raster images of a figure as arrays; fail if the SVG is not well-formed."""
    elements = ET.parse(path).getroot().iter(f"{SVG}image")
    data = [base64.b64decode(element.get("href").partition(",")[2]) for element in elements]
    return [np.asarray(Image.open(io.BytesIO(jpeg))) for jpeg in data]


def texts(path):
    """Return the texts of a figure, and the parts of its title."""
    elements = ET.parse(path).getroot().iter()
    return [e.text for e in elements if e.tag in (f"{SVG}text", f"{SVG}tspan") and e.text]


def contours(path):
    """Return the number of closed contours."""
    paths = ET.parse(path).getroot().iter(f"{SVG}path")
    return sum(p.get("d").count("z") for p in paths if p.get("class") == "contour")
