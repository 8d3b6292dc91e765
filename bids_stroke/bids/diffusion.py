"""Names of diffusion-weighted images and maps in ``dwi`` folders."""

from pathlib import Path

from bids_stroke.utils.files import PathLike

#: Contrast of a diffusion-weighted image (trace, or one strong weighting). It is the reference of a
#: session without a T1w, FLAIR or T2w whose lesion mask was drawn on it.
TRACE = "TRACE"
#: Contrast of a map of the apparent diffusion coefficient.
ADC = "ADC"
DIFFUSION = (TRACE, ADC)


def contrast_of_suffix(suffix: str, reconstruction: str | None, path: PathLike) -> str | None:
    """Return the contrast of a file in a ``dwi`` folder by its suffix and its ``rec-``.

    A ``_dwi`` without ``rec-`` is a diffusion-weighted image if it is a single volume without gradients
    (``.bval``), as in ISLES; otherwise, it is a series.

    >>> contrast_of_suffix("adc", None, "sub-1_adc.nii"), contrast_of_suffix("dwi", "TRACE", "a.nii")
    ('ADC', 'TRACE')
    """
    if suffix.upper() in DIFFUSION:
        return suffix.upper()
    if suffix != "dwi":
        return None
    if reconstruction:
        return reconstruction if reconstruction in DIFFUSION else None
    return TRACE if _is_single_volume(Path(path)) else None


def _is_single_volume(path: Path) -> bool:
    """Return whether an image has three dimensions and no file of gradients; False if unreadable."""
    from nibabel import Nifti1Image  # slow to load

    if path.with_name(f"{path.name.partition('.')[0]}.bval").exists():
        return False
    try:
        return len(Nifti1Image.from_filename(path).shape) == 3
    except Exception:  # nibabel raises errors of many types
        return False
