"""Image quality measures of a session, robust and quick; definitions after MRIQC (Esteban et al.
2017, PLoS ONE 12:e0184661), with medians in the place of means."""

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
        "Description": "Dice coefficient of the session's normalized brain mask and the template's"
    },
    "similarity": {
        "Description": "Normalized mutual information (Studholme et al. 1999) with the reference "
        "image, registered to it, in the brain: 1 (none) to 2"
    },
    "snr": {"Description": "Median signal of the brain over the standard deviation of the noise"},
    "cnr": {
        "Description": "Contrast of white and gray matter over their joint noise (Magnotta et al. 2006)"
    },
    "snr_dietrich": {
        "Description": "Median signal of the brain over the standard deviation of the air around the "
        "head, times 0.655 (Dietrich et al. 2007); n/a where the air was removed"
    },
    "efc": {
        "Description": "Entropy focus criterion (Atkinson et al. 1997), 0-1: more ghosts and blur, "
        "larger"
    },
    "fber": {"Description": "Median energy of the head over that of the air; n/a where it was removed"},
    "white_gray_ratio": {
        "Description": "Median intensity of white matter over that of gray matter, where the "
        "template has them"
    },
    "fluid_gray_ratio": {
        "Description": "Median intensity of cerebrospinal fluid over that of gray matter, where the "
        "template has them"
    },
    "cut_area_cm2": {
        "Description": "Largest area of the brain mask in an outermost plane of the image",
        "Units": "cm^2",
    },
    "bright_ratio": {
        "Description": "99.5th percentile of the brain's intensities over the median of white matter"
    },
}
#: What a session tells of its reference image, and of each other image.
REFERENCE_MEASURES = tuple(name for name in COLUMNS if name not in ("contrast", "similarity"))
OTHER_IMAGE_MEASURES = tuple(
    name
    for name in COLUMNS
    if name not in ("contrast", "brain_volume_ml", "template_brain_dice", "cut_area_cm2")
)
#: What the ratios of white to gray matter and of fluid to gray matter are in a contrast.
CONTRASTS = {"T1w": (">", "<"), "FLAIR": ("<", "<"), "T2w": ("<", ">")}
COARSE = 3.0  # mm, for the head and the air around it
AIR_MM = 10  # from the head
RAYLEIGH = 0.655  # noise of a magnitude image in air over that in tissue: sqrt(2 - pi / 2)


def measure(
    raw: nib.Nifti1Image,
    img: nib.Nifti1Image,
    brain: nib.Nifti1Image,
    tissues: Mapping[str, nib.Nifti1Image],
    reference: nib.Nifti1Image | None = None,
) -> dict[str, float]:
    """Measure one image.

    Parameters
    ----------
    raw, img, brain : nib.Nifti1Image
        The image before and after bias correction, and its brain mask, on one grid.
    tissues : mapping of str to nib.Nifti1Image
        :func:`bids_stroke.qc.image_quality.tissue_maps`, brought to that grid.
    reference : nib.Nifti1Image, optional
        The reference image on that grid, where this is another one.

    Returns
    -------
    dict
        Keys as in :data:`bids_stroke.qc.image_quality.COLUMNS`, without ``contrast`` and
        ``template_brain_dice``.
    """
    mask = np.asanyarray(brain.dataobj) > 0
    raw_data, data = (volume.get_fdata(dtype=np.float32) for volume in (raw, img))
    head, air = head_and_air(raw, brain)
    noise = robust_sd(air)
    white, gray, fluid = (
        data[mask & (tissues[name].get_fdata(dtype=np.float32) > 0.5)]
        for name in ("white", "gray", "fluid")
    )
    joint = np.sqrt(np.nan_to_num(noise) ** 2 + robust_sd(white) ** 2 + robust_sd(gray) ** 2)
    return {
        "brain_volume_ml": mask.sum() * grid.voxel_volume(brain) / 1000,
        "similarity": np.nan
        if reference is None
        else mutual_information(data[mask], reference.get_fdata(dtype=np.float32)[mask]),
        "snr": signal_to_noise(data, mask),
        "cnr": ratio_or_nan(abs(median_or_nan(white) - median_or_nan(gray)), joint),
        "snr_dietrich": ratio_or_nan(RAYLEIGH * median_or_nan(raw_data[mask]), noise),
        "efc": entropy_focus(raw_data),
        "fber": ratio_or_nan(median_or_nan(head**2), median_or_nan(air**2)),
        "white_gray_ratio": ratio_or_nan(median_or_nan(white), median_or_nan(gray)),
        "fluid_gray_ratio": ratio_or_nan(median_or_nan(fluid), median_or_nan(gray)),
        "cut_area_cm2": cut_area(brain),
        "bright_ratio": bright_ratio(data[mask], white),
    }


def tissue_maps(template_brain: nib.Nifti1Image) -> dict[str, nib.Nifti1Image]:
    """Where the template has white matter, gray matter and fluid beyond doubt, 0 or 1.

    The tissues are the template's own (ICBM 2009a, inside nilearn): voxels of at least 90% white or
    80% gray matter, and those of the inner brain with less than 5% of both.

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
    """Start of the columns of an image in the cohort's table; none for the reference image."""
    return "" if contrast == reference else f"{contrast.lower()}_"


def head_and_air(raw: nib.Nifti1Image, brain: nib.Nifti1Image) -> tuple[np.ndarray, np.ndarray]:
    """Intensities of the head, and of the air at least 10 mm from it, on a grid of about 3 mm.

    Returns
    -------
    tuple of 1D float32 array
        The air is empty where it was removed (zeros), or where hardly any was scanned.
    """
    steps = np.maximum(np.round(COARSE / voxel_sizes(raw.affine)), 1).astype(int)
    coarse = tuple(slice(None, None, step) for step in steps)
    data = raw.get_fdata(dtype=np.float32)[coarse]
    inside = np.asanyarray(brain.dataobj)[coarse] > 0
    if not inside.any():
        return np.empty(0), np.empty(0)
    smooth = ndimage.gaussian_filter(data, 1)
    floor = np.percentile(smooth, 20)  # of the noise
    bright = smooth > floor + 0.15 * (np.median(data[inside]) - floor)
    parts, _ = ndimage.label(ndimage.binary_opening(bright) | inside)
    head = ndimage.binary_closing(parts == np.argmax(np.bincount(parts[inside])), iterations=3) | inside
    away = ndimage.distance_transform_edt(~head, voxel_sizes(raw.affine) * steps) > AIR_MM
    air = data[away & (data != 0)]
    scanned = air.size >= max(500, away.sum() / 2)
    return data[head], air if scanned else np.empty(0)


def cut_area(brain: nib.Nifti1Image) -> float:
    """Largest area (cm²) of a mask in one of the six outermost planes of its image."""
    mask, areas = np.asanyarray(brain.dataobj) > 0, []
    for axis, mm in enumerate(voxel_sizes(brain.affine)):
        faces = np.moveaxis(mask, axis, 0)[[0, -1]]
        areas.append(faces.sum((1, 2)).max() * grid.voxel_volume(brain) / mm / 100)
    return float(max(areas))


def bright_ratio(inside: np.ndarray, white: np.ndarray) -> float:
    """99.5th percentile of a brain's intensities over the median of its white matter."""
    if not inside.size:
        return np.nan
    return ratio_or_nan(float(np.percentile(inside, 99.5)), median_or_nan(white))


def entropy_focus(data: np.ndarray) -> float:
    """Entropy focus criterion (Atkinson et al. 1997, IEEE Trans Med Imaging 16:903-910, equation 3)
    over its largest value for the number of voxels: 0 (all energy in one) to 1 (even)."""
    values = np.abs(np.asarray(data, np.float64)).ravel()
    energy = np.sqrt((values**2).sum())
    if not energy:
        return np.nan
    share = values[values > 0] / energy
    most = np.sqrt(values.size) * np.log(np.sqrt(values.size))
    return float(-(share * np.log(share)).sum() / most)


def mutual_information(a: np.ndarray, b: np.ndarray, bins: int = 64) -> float:
    """Normalized mutual information (Studholme et al. 1999, Pattern Recognit 32:71-86) of pairs of
    values: (H(a) + H(b)) / H(a, b), 1 to 2."""
    if not a.size:
        return np.nan
    joint = np.histogram2d(_clipped(a), _clipped(b), bins)[0] / a.size
    return ratio_or_nan(_entropy(joint.sum(0)) + _entropy(joint.sum(1)), _entropy(joint))


def _clipped(values: np.ndarray) -> np.ndarray:
    """Values between their 0.5th and 99.5th percentiles."""
    low, high = np.percentile(values, (0.5, 99.5))
    return np.clip(values, low, high)


def _entropy(shares: NDArray[np.float64]) -> float:
    """Entropy (nats) of a distribution."""
    positive = shares[shares > 0]
    return float(-(positive * np.log(positive)).sum())


def signal_to_noise(data: np.ndarray, mask: np.ndarray) -> float:
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
