"""Location of points in the template: side, super-region, distance to ventricles and surface."""

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

#: Distance within which a lesion touches the ventricles or the brain surface, about the error of a
#: normalization.
TOUCH_MM = 3.0
# Seed in the left lateral ventricle, in template coordinates.
_VENTRICLE_SEED_MM = (-12, -20, 22)


def measure_normalized(mask_img: nib.Nifti1Image) -> tuple[float, float]:
    """Measure a lesion mask in template space.

    Parameters
    ----------
    mask_img : nib.Nifti1Image, (x, y, z)
        Lesion mask on any grid in the space of the template.

    Returns
    -------
    tuple of (float, float)
        Volume of the mask (ml), and its share (0-1) outside the brain of the template.
    """
    voxels = np.argwhere(np.asanyarray(mask_img.dataobj) > 0)
    brain = template().brain
    points = apply_affine(np.linalg.inv(brain.affine) @ mask_img.affine, voxels).T
    inside = ndimage.map_coordinates(np.asanyarray(brain.dataobj), points, order=0)
    volume = len(voxels) * grid.voxel_volume(mask_img) / 1000
    return volume, 1 - float(inside.mean()) if len(voxels) else 0.0


def ventricles() -> NDArray[np.bool_]:
    """Return the mask of the lateral ventricles of the template, (x, y, z).

    The mask is the connected component of brain voxels outside gray and white matter that contains a
    seed in the left lateral ventricle.
    """
    from nilearn.datasets import load_mni152_gm_template, load_mni152_wm_template

    target = template()
    matter = sum(
        image.like(img.dataobj, img).get_fdata(dtype=np.float32)
        for img in (load_mni152_gm_template(resolution=1), load_mni152_wm_template(resolution=1))
    )
    fluid = (np.asanyarray(target.brain.dataobj) > 0) & (matter < 0.5)
    labels, _ = ndimage.label(fluid)
    seed = apply_affine(np.linalg.inv(target.t1w.affine), _VENTRICLE_SEED_MM).round().astype(int)
    return labels == labels[tuple(seed)]


def locate(points: ArrayLike) -> pd.DataFrame:
    """Locate points in the template.

    Parameters
    ----------
    points : ndarray, (n, 3)
        RAS coordinates (mm).

    Returns
    -------
    pandas.DataFrame
        One row for each point: ``x``, ``y``, ``z`` (mm); ``super_region``; ``ventricle`` and
        ``surface``: whether the lateral ventricles and the brain surface are within
        :data:`bids_stroke.atlases.location.TOUCH_MM`.
    """
    regions = super_regions()
    points = np.reshape(points, (-1, 3))
    indices = apply_affine(np.linalg.inv(regions.img.affine), points).round().astype(int)
    voxels = tuple(np.clip(indices, 0, np.array(regions.img.shape) - 1).T)
    numbers = np.asanyarray(regions.img.dataobj)[voxels]
    locations = pd.DataFrame(points, columns=["x", "y", "z"], dtype=float)
    locations["super_region"] = [regions.names[number] for number in numbers]
    for name, mask in zip(
        ("ventricle", "surface"), cache.cached_images("touch", TOUCH_MM, _contact_masks), strict=True
    ):
        locations[name] = np.asanyarray(mask.dataobj)[voxels] > 0
    return locations


def _contact_masks() -> list[nib.Nifti1Image]:
    """Return masks of the voxels that touch the ventricles and the brain surface."""
    target = template()
    structures = ventricles(), np.asanyarray(target.brain.dataobj) == 0
    distances = map(ndimage.distance_transform_edt, map(np.logical_not, structures))  # voxels of 1 mm
    return [image.like(distance <= TOUCH_MM, target.t1w, np.uint8) for distance in distances]
