"""Image grids: when two grids are the same, and resampling from one to another."""

from itertools import product

import nibabel as nib
import numpy as np
from nibabel.affines import apply_affine, voxel_sizes
from scipy import ndimage

from bids_stroke.errors import ImageError

from .image import conform, format_shape, like


def fit_to_grid(mask, img, name="the image"):
    """Put a mask on the grid of ``img``, from which its own may differ by rounding: by less than
    half a voxel at each corner.

    Parameters
    ----------
    mask, img : nibabel image, (x, y, z)
        In any axis orders.
    name : str
        What error messages call ``img``.

    Returns
    -------
    nib.Nifti1Image
        In RAS order.

    Raises
    ------
    ImageError
        If the grids differ by more.
    """
    mask, img = conform(mask), conform(img)
    grids = [(one.shape[:3], voxel_sizes(one.affine)) for one in (mask, img)]
    if grids[0][0] == grids[1][0]:
        corners = np.array(list(product(*((0, size - 1) for size in img.shape[:3]))))
        apart = apply_affine(mask.affine, corners) - apply_affine(img.affine, corners)
        farthest = np.linalg.norm(apart, axis=1).max()
        if farthest < min(grids[1][1]) / 2:
            return like(np.asanyarray(mask.dataobj), img)
        how = f"their corners are up to {farthest:.1f} mm apart"
    else:
        how = " against ".join(
            f"{format_shape(shape)} voxels of {format_shape(mm)} mm" for shape, mm in grids
        )
    raise ImageError(
        f"{mask.get_filename()} is on another grid than {name} ({how}); give the mask of this image, "
        "or resample it."
    )


def resample(img, reference, order=1, cval=0.0):
    """Interpolate ``img`` on the grid of ``reference`` (identity in world space).

    Voxels are boxes: from the centres of the outermost to their faces, the nearest value holds.

    Parameters
    ----------
    order : int
        Spline order; 0 for labels.
    cval : float
        Value outside the field of view.
    """
    mapping = np.linalg.inv(img.affine) @ reference.affine
    data = np.asanyarray(img.dataobj)
    data = data if order == 0 else data.astype(np.float32)
    moved = ndimage.affine_transform(
        data,
        mapping[:3, :3],
        mapping[:3, 3],
        output_shape=reference.shape[:3],
        order=order,
        mode="nearest",
        prefilter=order > 1,
    )
    moved[~_covered(mapping, data.shape, moved.shape)] = cval
    return like(moved, reference)


def _covered(mapping, shape, grid_shape):
    """Tell which voxels of a grid have their centre in the field of view of an image."""
    covered = np.ones(grid_shape, bool)
    indices = np.ogrid[tuple(slice(size) for size in grid_shape)]
    for (*steps, start), size in zip(mapping[:3], shape[:3], strict=True):
        position = start + sum(step * index for step, index in zip(steps, indices, strict=True))
        # Rounding errors must not cut the outermost planes off.
        covered &= np.abs(position - (size - 1) / 2) <= size / 2 + 1e-3
    return covered


def regrid(img, spacing, order=1):
    """Resample ``img`` to ``spacing`` (mm, three values) over the same field of view.

    Finer images are smoothed first (Gaussian, half the ratio of spacings) against aliasing, unless
    ``order`` is 0.
    """
    spacing = np.asarray(spacing, float)
    zooms = voxel_sizes(img.affine)
    shape = np.maximum(np.round(np.array(img.shape[:3]) * zooms / spacing), 1).astype(int)
    affine = img.affine.copy()
    affine[:3, :3] *= spacing / zooms
    # The centre of the first voxel moves so that the corner of the field of view stays.
    affine[:3, 3] = apply_affine(img.affine, (spacing / zooms - 1) / 2)
    grid = nib.Nifti1Image(np.broadcast_to(np.uint8(0), shape), affine)
    ratio = spacing / zooms
    if order and (ratio > 1.01).any():
        sigma = np.where(ratio > 1.01, (ratio - 1) / 2, 0)
        img = like(ndimage.gaussian_filter(img.get_fdata(dtype=np.float32), sigma), img)
    return resample(img, grid, order)


def voxel_volume(img):
    """Volume of one voxel in mm³."""
    return float(abs(np.linalg.det(img.affine[:3, :3])))


def data_on_grid(img, mask_img, name):
    """Give the array of an image, called ``name``, that must share the grid of the lesion mask.

    Raises
    ------
    ImageError
        If it does not.
    """
    if img.shape != mask_img.shape or not np.allclose(img.affine, mask_img.affine, atol=1e-3):
        raise ImageError(
            f"The {name} (shape {img.shape}) is not on the grid of the lesion mask "
            f"(shape {mask_img.shape}); resample it first."
        )
    return np.asanyarray(img.dataobj)
