"""Image quality measures of a session, robust and quick."""

import numpy as np
from scipy import ndimage

from . import image, metrics

#: The columns of :func:`measure`, for the JSON sidecar.
COLUMNS = {
    "brain_volume_ml": {"Description": "Volume of the brain mask", "Units": "mL"},
    "snr": {"Description": "Median signal of the brain over the standard deviation of the noise"},
    "template_brain_dice": {
        "Description": "Dice coefficient of the normalized brain mask and the template's"
    },
}


def measure(img, brain, moved_brain, template_brain):
    """Measure one session.

    Parameters
    ----------
    img, brain : nib.Nifti1Image
        Bias-corrected reference image and its brain mask.
    moved_brain, template_brain : nib.Nifti1Image
        The brain mask on the template's grid, and the template's own.

    Returns
    -------
    dict
        Keys as in :data:`COLUMNS`.
    """
    mask = np.asanyarray(brain.dataobj) > 0
    return {
        "brain_volume_ml": mask.sum() * image.voxel_volume(brain) / 1000,
        "snr": signal_to_noise(img.get_fdata(dtype=np.float32), mask),
        "template_brain_dice": metrics.dice(moved_brain.dataobj, template_brain.dataobj),
    }


def signal_to_noise(data, mask):
    """Median signal inside the eroded mask over the noise, estimated from the median absolute
    Laplacian difference (Immerkær 1996, in three dimensions)."""
    inside = ndimage.binary_erosion(np.asarray(mask) > 0, iterations=2)
    data = np.asarray(data, np.float32)
    if not inside.any():
        return float("nan")
    kernel = np.array([1.0, -2.0, 1.0])
    difference = data
    for axis in range(3):
        difference = ndimage.convolve1d(difference, kernel, axis=axis)
    # A second difference along each of three axes multiplies white noise by sqrt(6)^3.
    noise = 1.4826 * np.median(np.abs(difference[inside])) / 6**1.5
    return float(np.median(data[inside]) / noise) if noise > 0 else float("inf")
