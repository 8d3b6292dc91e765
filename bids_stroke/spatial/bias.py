"""Bias field correction (N4)."""

import nibabel as nib
import numpy as np
from nibabel.affines import voxel_sizes

from . import image

N4_SHRINK = 4


def correct_bias(img: nib.Nifti1Image, mask: nib.Nifti1Image) -> nib.Nifti1Image:
    """Correct the bias field by N4 (Tustison et al. 2010) inside the brain mask.

    Parameters
    ----------
    img, mask : nib.Nifti1Image
        Image and brain mask on the same grid.

    Returns
    -------
    nib.Nifti1Image
        float32, same grid; voxels outside the mask are divided by the extrapolated field as well.
    """
    import ants

    from .transforms import to_ants

    # The spline of N4 depends on the direction cosines: without them, a tilt changes nothing.
    unrotated = nib.Nifti1Image(np.zeros(img.shape, np.uint8), np.diag([*voxel_sizes(img.affine), 1]))
    # N4 works on logarithms: shift the image to be positive.
    data = img.get_fdata(dtype=np.float32)
    field = ants.n4_bias_field_correction(
        to_ants(image.like(data - min(float(data.min()), 0.0), unrotated)),
        mask=to_ants(image.like(np.asanyarray(mask.dataobj) > 0, unrotated, np.float32)),
        shrink_factor=N4_SHRINK,
        convergence={"iters": [50, 50, 50, 50], "tol": 1e-7},
        return_bias_field=True,
    ).numpy()
    usable = np.isfinite(field) & (field > 1e-3)
    return image.like(np.where(usable, data / np.where(usable, field, 1), data), img, np.float32)
