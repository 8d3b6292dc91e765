"""Anatomy of head phantoms: the MNI152 template on an extended grid, with skull and skin.

The template is ICBM 2009a symmetric, from nilearn.
"""

from dataclasses import dataclass

import nibabel as nib
import numpy as np
from nibabel.affines import from_matvec
from scipy import ndimage

from bids_stroke.spatial.grid import blank, bounding_box, resample

from .phantom_grid import COARSE, CORNERS, ellipsoid, grid_shape

# Outline of the head below the skull as ellipsoids: face, jaw, neck, nose, ear.
OUTLINE = (
    ((0, 30, -55), (68, 66, 70)),
    ((0, 45, -95), (48, 48, 35)),
    ((0, -30, -150), (60, 62, 120)),
    ((0, 96, -48), (13, 22, 20)),
    ((80, -18, -38), (7, 15, 28)),
)


@dataclass(frozen=True)
class Template:
    """Anatomy shared by all heads.

    On a grid of ``resolution`` mm: mean ``T1w`` and fractions of ``gm``, ``wm`` and ``brain``
    (including the spinal cord). At ``COARSE`` spacing: smoothed fluid (``csf``) and the distances (mm,
    positive outside) from the inner surface of the ``skull`` and from the ``skin``.
    """

    resolution: float
    T1w: np.ndarray
    gm: np.ndarray
    wm: np.ndarray
    brain: np.ndarray
    csf: np.ndarray
    skull: np.ndarray
    skin: np.ndarray

    def fine(self, field: np.ndarray) -> np.ndarray:
        """Resample a field from ``COARSE`` spacing to the template's grid."""
        scale = np.eye(3) * self.resolution / COARSE
        return ndimage.affine_transform(
            field, scale, output_shape=self.gm.shape, order=1, mode="nearest"
        )


def template(resolution: float = 1.0) -> Template:
    """Build the shared anatomy on a grid of ``resolution`` mm (1 or coarser)."""
    from nilearn import datasets

    loaders = (
        datasets.load_mni152_template,
        datasets.load_mni152_gm_template,
        datasets.load_mni152_wm_template,
    )
    images = [load(resolution=1) for load in loaders]
    where = bounding_box(images[0].get_fdata() > 0, margin=6)
    affine = images[0].slicer[where].affine
    t1w, gm, wm = (img.get_fdata(dtype=np.float32)[where] for img in images)
    brain = (t1w > 0).astype(np.float32)
    fluid = np.maximum(brain - gm - wm, 0)
    csf = ndimage.gaussian_filter(_extend(fluid, affine, COARSE), 1)
    # Fissures are closed, and 2.5 mm of fluid are added.
    dilated = _signed_distance(_extend(brain, affine, COARSE) > 0.5) < 15
    skull = ndimage.gaussian_filter(_signed_distance(_signed_distance(dilated) < -15), 1) - 2.5
    head = skull < 13
    for center, radii in OUTLINE:
        for mirror in (-1, 1):
            where, depth = ellipsoid(center * np.array([mirror, 1, 1]), radii, COARSE)
            head[where] |= depth > 0
    skin = ndimage.gaussian_filter(_signed_distance(head), 1)
    t1w, gm, wm, brain = (_extend(data, affine, resolution) for data in (t1w, gm, wm, brain))
    t1w /= np.maximum(brain, 0.01)
    return Template(resolution, t1w, gm, wm, brain, csf, skull, skin)


def _extend(data: np.ndarray, affine: np.ndarray, resolution: float) -> np.ndarray:
    """Resample a volume of the template to the extended grid and extend the spinal cord downwards."""
    # The lowest slice of the template is incomplete; the next slice is repeated.
    below = int(affine[2, 3] - CORNERS[0, 2]) + 1
    data = np.pad(data[:, :, 1:], ((0, 0), (0, 0), (below, 0)), mode="edge")
    data = ndimage.gaussian_filter(data, (resolution - 1) / 2)
    grid = blank(grid_shape(resolution), from_matvec(np.eye(3) * resolution, CORNERS[0]))
    source = nib.Nifti1Image(data, affine @ from_matvec(np.eye(3), (0, 0, 1 - below)))
    return np.asanyarray(resample(source, grid).dataobj)


def _signed_distance(mask: np.ndarray) -> np.ndarray:
    """Return the signed distance (mm, negative inside) from the surface of a mask."""
    edt = ndimage.distance_transform_edt
    return (COARSE * (edt(~mask) - edt(mask))).astype(np.float32)
