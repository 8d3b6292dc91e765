"""Image quality measures.

The definitions follow MRIQC (Esteban et al. 2017, PLoS ONE 12:e0184661), with medians instead of means.
"""

from collections.abc import Mapping

import nibabel as nib
import numpy as np
from nibabel.affines import voxel_sizes
from numpy.typing import NDArray
from scipy import ndimage

from bids_stroke.spatial import grid, image

from .robust import median_or_nan, ratio_or_nan, robust_sd

#: The columns of :func:`bids_stroke.qc.image_quality.measure`, for the JSON sidecar.
COLUMNS: dict[str, dict[str, object]] = {
    "contrast": {"Description": "Contrast of the image"},
    "brain_volume_ml": {"Description": "Volume of the brain mask", "Units": "mL"},
    "template_brain_dice": {
        "Description": "Dice coefficient of the normalized brain mask and the template brain mask"
    },
    "brain_scaling": {
        "Description": "Volume of the normalized brain mask divided by the volume of the brain mask"
    },
    "similarity": {
        "Description": "Normalized mutual information (Studholme et al. 1999) with the reference "
        "image in the brain, after registration to it: 1 (independent) to 2 (identical)"
    },
    "snr": {"Description": "Median signal of the brain over the standard deviation of the noise"},
    "cnr": {
        "Description": "Contrast of white and gray matter over pooled noise (Magnotta et al. 2006)"
    },
    "snr_dietrich": {
        "Description": "Median signal of the brain over the standard deviation of the air around the "
        "head, times 0.655 (Dietrich et al. 2007); n/a if the background was removed"
    },
    "efc": {
        "Description": "Entropy focus criterion (Atkinson et al. 1997), 0-1; increases with ghosting "
        "and blurring"
    },
    "fber": {
        "Description": "Median energy of the head over that of air; n/a if the background was removed"
    },
    "white_gray_ratio": {
        "Description": "Median intensity of white matter over that of gray matter, with tissue maps "
        "of the template"
    },
    "fluid_gray_ratio": {
        "Description": "Median intensity of cerebrospinal fluid over that of gray matter, with "
        "tissue maps of the template"
    },
    "cut_area_cm2": {
        "Description": "Largest area of the brain mask in the outermost slices of the image",
        "Units": "cm^2",
    },
    "bright_ratio": {
        "Description": "99.5th percentile of the brain intensities over the median of white matter"
    },
}
#: Measures of the reference image, and of each other image.
REFERENCE_MEASURES = tuple(name for name in COLUMNS if name not in ("contrast", "similarity"))
_OF_THE_BRAIN = ("brain_volume_ml", "template_brain_dice", "brain_scaling", "cut_area_cm2")
OTHER_IMAGE_MEASURES = tuple(name for name in COLUMNS if name not in ("contrast", *_OF_THE_BRAIN))
#: Ratios of white to gray matter and of CSF to gray matter by contrast: above or below 1.
CONTRASTS = {"T1w": (">", "<"), "FLAIR": ("<", "<"), "T2w": ("<", ">")}
COARSE = 3.0  # voxel size (mm) for the masks of head and air
AIR_MM = 10  # distance from the head
RAYLEIGH = 0.655  # noise of a magnitude image in air over the noise in tissue: sqrt(2 - pi / 2)


def measure(
    raw: nib.Nifti1Image,
    img: nib.Nifti1Image,
    brain: nib.Nifti1Image,
    tissues: Mapping[str, nib.Nifti1Image],
    reference: nib.Nifti1Image | None = None,
) -> dict[str, float]:
    """Measure the quality of an image.

    Parameters
    ----------
    raw, img, brain : nib.Nifti1Image
        Image before and after bias correction, and its brain mask, on the same grid.
    tissues : mapping of str to nib.Nifti1Image
        Maps of :func:`bids_stroke.qc.image_quality.tissue_maps`, resampled to this grid.
    reference : nib.Nifti1Image, optional
        Reference image on this grid, for images other than the reference.

    Returns
    -------
    dict
        Keys as in :data:`bids_stroke.qc.image_quality.COLUMNS`, without ``contrast``,
        ``template_brain_dice`` and ``brain_scaling``.
    """
    mask = np.asanyarray(brain.dataobj) > 0
    raw_data, data = (volume.get_fdata(dtype=np.float32) for volume in (raw, img))
    head, air = head_and_air(raw, brain)
    noise = robust_sd(air)
    white, gray, fluid = (
        data[mask & (tissues[name].get_fdata(dtype=np.float32) > 0.5)]
        for name in ("white", "gray", "fluid")
    )
    pooled_noise = np.sqrt(np.nan_to_num(noise) ** 2 + robust_sd(white) ** 2 + robust_sd(gray) ** 2)
    return {
        "brain_volume_ml": mask.sum() * grid.voxel_volume(brain) / 1000,
        "similarity": np.nan
        if reference is None
        else mutual_information(data[mask], reference.get_fdata(dtype=np.float32)[mask]),
        "snr": signal_to_noise(data, mask),
        "cnr": ratio_or_nan(abs(median_or_nan(white) - median_or_nan(gray)), pooled_noise),
        "snr_dietrich": ratio_or_nan(RAYLEIGH * median_or_nan(raw_data[mask]), noise),
        "efc": entropy_focus(raw_data),
        "fber": ratio_or_nan(median_or_nan(head**2), median_or_nan(air**2)),
        "white_gray_ratio": ratio_or_nan(median_or_nan(white), median_or_nan(gray)),
        "fluid_gray_ratio": ratio_or_nan(median_or_nan(fluid), median_or_nan(gray)),
        "cut_area_cm2": cut_area(brain),
        "bright_ratio": bright_ratio(data[mask], white),
    }


def tissue_maps(template_brain: nib.Nifti1Image) -> dict[str, nib.Nifti1Image]:
    """Build binary maps of voxels that are certainly white matter, gray matter or CSF.

    The maps are derived from the tissue maps of the template (ICBM 2009a, part of nilearn): voxels with
    more than 90% white matter or 80% gray matter, and voxels in the inner brain with less than 5% of
    both.

    Parameters
    ----------
    template_brain : nib.Nifti1Image
        Brain mask of the template, on any grid.

    Returns
    -------
    dict of str to nib.Nifti1Image of uint8
        ``white``, ``gray`` and ``fluid``, at 2 mm.
    """
    from nilearn.datasets import load_mni152_gm_template, load_mni152_wm_template

    gray_map = load_mni152_gm_template(resolution=2)
    gray = gray_map.get_fdata(dtype=np.float32)
    white = grid.resample(load_mni152_wm_template(resolution=2), gray_map).get_fdata(dtype=np.float32)
    brain = grid.resample(template_brain, gray_map).get_fdata(dtype=np.float32) > 0.5
    deep = ndimage.distance_transform_edt(brain, voxel_sizes(gray_map.affine)) > 15
    parts = {"white": white > 0.9, "gray": gray > 0.8, "fluid": (white + gray < 0.05) & deep}
    return {name: image.like(part, gray_map, np.uint8) for name, part in parts.items()}


def column_prefix(contrast: str, reference: str | None) -> str:
    """Return the prefix of the columns of an image in the group table; empty for the reference.

    >>> column_prefix("FLAIR", reference="T1w"), column_prefix("T1w", reference="T1w")
    ('flair_', '')
    """
    return "" if contrast == reference else f"{contrast.lower()}_"


def head_and_air(raw: nib.Nifti1Image, brain: nib.Nifti1Image) -> tuple[np.ndarray, np.ndarray]:
    """Extract intensities of the head, and of air at least 10 mm from it, on a grid of about 3 mm.

    Parameters
    ----------
    raw, brain : nib.Nifti1Image, (x, y, z)
        Raw image and brain mask on the same grid.

    Returns
    -------
    tuple of 1D float32 array
        The air is empty if the background was removed (zeros) or little air is in the field of view.
    """
    steps = np.maximum(np.round(COARSE / voxel_sizes(raw.affine)), 1).astype(int)
    coarse = tuple(slice(None, None, step) for step in steps)
    data = raw.get_fdata(dtype=np.float32)[coarse]
    inside = np.asanyarray(brain.dataobj)[coarse] > 0
    if not inside.any():
        return np.empty(0), np.empty(0)
    smooth = ndimage.gaussian_filter(data, 1)
    noise_floor = np.percentile(smooth, 20)
    bright = smooth > noise_floor + 0.15 * (np.median(data[inside]) - noise_floor)
    parts, _ = ndimage.label(ndimage.binary_opening(bright) | inside)
    head = ndimage.binary_closing(parts == np.argmax(np.bincount(parts[inside])), iterations=3) | inside
    outside = ndimage.distance_transform_edt(~head, voxel_sizes(raw.affine) * steps) > AIR_MM
    air = data[outside & (data != 0)]
    has_air = air.size >= max(500, outside.sum() / 2)
    return data[head], air if has_air else np.empty(0)


def cut_area(brain: nib.Nifti1Image) -> float:
    """Measure the largest area (cm²) of a mask in the six outermost slices of its image.

    >>> mask = np.zeros((10, 10, 10), np.uint8)
    >>> mask[2:8, 2:8, :5] = 1  # reaches the lowest slice with 6×6 voxels of 100 mm²
    >>> round(cut_area(nib.Nifti1Image(mask, np.diag([10, 10, 10, 1]))), 6)
    36.0
    """
    mask, areas = np.asanyarray(brain.dataobj) > 0, []
    for axis, mm in enumerate(voxel_sizes(brain.affine)):
        faces = np.moveaxis(mask, axis, 0)[[0, -1]]
        areas.append(faces.sum((1, 2)).max() * grid.voxel_volume(brain) / mm / 100)
    return float(max(areas))


def bright_ratio(inside: np.ndarray, white: np.ndarray) -> float:
    """Compute the 99.5th percentile of brain intensities over the median of white matter.

    ``inside`` and ``white`` are one-dimensional; the result is NaN if one of them is empty.
    """
    if not inside.size:
        return np.nan
    return ratio_or_nan(float(np.percentile(inside, 99.5)), median_or_nan(white))


def entropy_focus(data: np.ndarray) -> float:
    """Compute the entropy focus criterion, 0 (all energy in one voxel) to 1 (uniform image).

    Atkinson et al. 1997, IEEE Trans Med Imaging 16:903-910, equation 3, over its maximum for the number
    of voxels.

    Examples
    --------
    >>> round(entropy_focus(np.ones((4, 4, 4))), 6), abs(entropy_focus(np.eye(4)[0]))
    (1.0, 0.0)
    """
    values = np.abs(np.asarray(data, np.float64)).ravel()
    energy = np.sqrt((values**2).sum())
    if not energy:
        return np.nan
    share = values[values > 0] / energy
    maximum = np.sqrt(values.size) * np.log(np.sqrt(values.size))
    return float(-(share * np.log(share)).sum() / maximum)


def mutual_information(a: np.ndarray, b: np.ndarray, bins: int = 64) -> float:
    """Compute the normalized mutual information of paired values: (H(a) + H(b)) / H(a, b), 1 to 2.

    ``a`` and ``b`` have the shape (n,), and are divided into ``bins`` bins of equal width.

    Studholme et al. 1999, Pattern Recognit 32:71-86.

    Examples
    --------
    >>> values = np.arange(64.0)
    >>> round(mutual_information(values, values), 6)
    2.0
    """
    if not a.size:
        return np.nan
    joint = np.histogram2d(_clipped(a), _clipped(b), bins)[0] / a.size
    return ratio_or_nan(_entropy(joint.sum(0)) + _entropy(joint.sum(1)), _entropy(joint))


def _clipped(values: np.ndarray) -> np.ndarray:
    """Clip values to their 0.5th and 99.5th percentiles."""
    low, high = np.percentile(values, (0.5, 99.5))
    return np.clip(values, low, high)


def _entropy(shares: NDArray[np.float64]) -> float:
    """Compute the entropy (nats) of a distribution."""
    positive = shares[shares > 0]
    return float(-(positive * np.log(positive)).sum())


def signal_to_noise(data: np.ndarray, mask: np.ndarray) -> float:
    """Compute the median signal in the eroded mask over the noise.

    The noise is estimated from the median absolute Laplacian difference (Immerkær 1996, in three
    dimensions).

    Parameters
    ----------
    data, mask : ndarray, (x, y, z)
        Intensities, and brain mask.

    Returns
    -------
    float
        NaN if the eroded mask is empty, infinite without noise.
    """
    inside = ndimage.binary_erosion(np.asarray(mask) > 0, iterations=2)
    data = np.asarray(data, np.float32)
    if not inside.any():
        return float("nan")
    kernel = np.array([1.0, -2.0, 1.0])
    difference = data
    for axis in range(3):
        difference = ndimage.convolve1d(difference, kernel, axis=axis)
    # Second differences along three axes multiply white noise by sqrt(6)^3.
    noise = 1.4826 * np.median(np.abs(difference[inside])) / 6**1.5
    return float(np.median(data[inside]) / noise) if noise > 0 else float("inf")
