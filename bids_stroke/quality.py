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
    "white_gray_ratio": {
        "Description": "Median intensity of white matter over that of gray matter, where the "
        "template has them"
    },
    "fluid_gray_ratio": {
        "Description": "Median intensity of cerebrospinal fluid over that of gray matter, where the "
        "template has them"
    },
}
#: What the ratios of white to gray matter and of fluid to gray matter are in a contrast.
CONTRASTS = {"T1w": (">", "<"), "FLAIR": ("<", "<"), "T2w": ("<", ">")}


def measure(img, brain, moved_img, moved_brain, template_brain):
    """Measure one session.

    Parameters
    ----------
    img, brain : nib.Nifti1Image
        Bias-corrected reference image and its brain mask.
    moved_img, moved_brain, template_brain : nib.Nifti1Image
        The image and the brain mask on the template's grid, and the template's own mask.

    Returns
    -------
    dict
        Keys as in :data:`COLUMNS`.
    """
    mask = np.asanyarray(brain.dataobj) > 0
    white, gray, fluid = tissue_intensities(moved_img, template_brain)
    return {
        "brain_volume_ml": mask.sum() * image.voxel_volume(brain) / 1000,
        "snr": signal_to_noise(img.get_fdata(dtype=np.float32), mask),
        "template_brain_dice": metrics.dice(moved_brain.dataobj, template_brain.dataobj),
        "white_gray_ratio": white / gray,
        "fluid_gray_ratio": fluid / gray,
    }


def tissue_intensities(img, brain):
    """Median intensity of white matter, gray matter and fluid of an image on the template's grid.

    The tissues are the template's own (ICBM 2009a, inside nilearn): voxels of at least 90% white or
    80% gray matter, and those of the inner brain with less than 5% of both.
    """
    from nilearn.datasets import load_mni152_gm_template, load_mni152_wm_template

    gray, white = (
        image.resample(load(resolution=2), img).get_fdata(dtype=np.float32)
        for load in (load_mni152_gm_template, load_mni152_wm_template)
    )
    data = img.get_fdata(dtype=np.float32)
    deep = ndimage.distance_transform_edt(np.asanyarray(brain.dataobj)) > 15
    parts = (white > 0.9, gray > 0.8, (white + gray < 0.05) & deep)
    return tuple(
        float(np.median(data[part & (data > 0)])) if part.any() else float("nan") for part in parts
    )


def doubts(measures, contrast, trained):
    """Sentences on what of a session lies outside what its model was trained on.

    Parameters
    ----------
    measures : dict
        Columns of :data:`COLUMNS`, and ``lesion_volume_ml``.
    contrast : str
        What the reference image is said to be.
    trained : dict
        The card's ``trained_range``: column to lowest and highest value.
    """
    told = []
    for name, (low, high) in trained.items():
        value = measures.get(name)
        if value is not None and np.isfinite(value) and not low <= value <= high:
            told.append(
                f"{name.removesuffix('_ml').replace('_', ' ').capitalize()} is {value:.4g}, outside "
                f"the {low:g} to {high:g} that the model was trained on."
            )
    ratios = [measures.get("white_gray_ratio", np.nan), measures.get("fluid_gray_ratio", np.nan)]
    seen = [">" if ratio > 1 else "<" for ratio in ratios]
    known = contrast in CONTRASTS and np.isfinite(ratios).all()
    if known and tuple(seen) != CONTRASTS[contrast]:
        like = [name for name, pattern in CONTRASTS.items() if pattern == tuple(seen)]
        looks = f"looks like a {like[0]}" if like else "looks like none of the known contrasts"
        told.append(f"The {contrast} {looks}: check that the image is what its name says.")
    return told


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
