"""Location of points in the template: side, super-region, ventricles, surface."""

import nibabel as nib
import numpy as np
import pandas as pd
from nibabel.affines import apply_affine
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage

from bids_stroke.spatial import grid, image
from bids_stroke.spatial.templates import template
from bids_stroke.utils import cache

from .super_regions import super_regions

#: A lesion closer than this touches the ventricles or the surface: about the error of a
#: normalization.
TOUCH_MM = 3.0
# A point in the left lateral ventricle, in template coordinates.
_VENTRICLE_MM = (-12, -20, 22)


def measure_normalized(mask_img: nib.Nifti1Image) -> tuple[float, float]:
    """Measure a lesion mask in template space.

    Returns
    -------
    tuple of (float, float)
        Its volume (ml), and the share (0-1) of it that lies outside of the template's brain.
    """
    voxels = np.argwhere(np.asanyarray(mask_img.dataobj) > 0)
    brain = template().brain
    points = apply_affine(np.linalg.inv(brain.affine) @ mask_img.affine, voxels).T
    inside = ndimage.map_coordinates(np.asanyarray(brain.dataobj), points, order=0)
    volume = len(voxels) * grid.voxel_volume(mask_img) / 1000
    return volume, 1 - float(inside.mean()) if len(voxels) else 0.0


def ventricles() -> NDArray[np.bool_]:
    """Mask of the lateral ventricles of the template, (x, y, z).

    They are the connected part of the brain that is neither gray nor white matter and holds a point of
    them.
    """
    from nilearn.datasets import load_mni152_gm_template, load_mni152_wm_template

    target = template()
    matter = sum(
        image.like(img.dataobj, img).get_fdata(dtype=np.float32)
        for img in (load_mni152_gm_template(resolution=1), load_mni152_wm_template(resolution=1))
    )
    fluid = (np.asanyarray(target.brain.dataobj) > 0) & (matter < 0.5)
    labels, _ = ndimage.label(fluid)
    seed = apply_affine(np.linalg.inv(target.t1w.affine), _VENTRICLE_MM).round().astype(int)
    return labels == labels[tuple(seed)]


def locate(points: ArrayLike) -> pd.DataFrame:
    """Locate points in the template.

    Parameters
    ----------
    points : ndarray, (n, 3)
        RAS, mm.

    Returns
    -------
    pandas.DataFrame
        Of n rows: ``x``, ``y``, ``z`` (mm); ``super_region``; ``ventricle`` and ``surface``, whether
        the lateral ventricles, or the outside of the brain, are within
        :data:`bids_stroke.atlases.location.TOUCH_MM`.
    """
    regions = super_regions()
    points = np.reshape(points, (-1, 3))
    indices = apply_affine(np.linalg.inv(regions.img.affine), points).round().astype(int)
    voxels = tuple(np.clip(indices, 0, np.array(regions.img.shape) - 1).T)
    numbers = np.asanyarray(regions.img.dataobj)[voxels]
    located = pd.DataFrame(points, columns=["x", "y", "z"], dtype=float)
    located["super_region"] = [regions.names[number] for number in numbers]
    for name, touched in zip(
        ("ventricle", "surface"), cache.cached_images("touch", TOUCH_MM, _touched), strict=True
    ):
        located[name] = np.asanyarray(touched.dataobj)[voxels] > 0
    return located


def _touched() -> list[nib.Nifti1Image]:
    """Masks of the voxels that touch the ventricles, and the outside of the brain."""
    target = template()
    places = ventricles(), np.asanyarray(target.brain.dataobj) == 0
    distances = map(ndimage.distance_transform_edt, map(np.logical_not, places))  # voxels of 1 mm
    return [image.like(distance <= TOUCH_MM, target.t1w, np.uint8) for distance in distances]
