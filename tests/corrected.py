"""Corrected masks as the viewer saves them: a mask on the grid of the image, and its sidecar."""

import gzip
import hashlib
import json

import nibabel as nib
import numpy as np
from nibabel.eulerangles import euler2mat

SHAPE = (20, 24, 12)
#: Axes of the T1w: oblique, anisotropic, and stored from right to left.
AFFINE = np.eye(4)
AFFINE[:3, :3] = euler2mat(0.1, 0.05, 0.2) @ np.diag([-8, 8, 14])
AFFINE[:3, 3] = 60, -90, -70


def drawing(*corner, size=3, shape=SHAPE):
    """A cube of ``size`` voxels."""
    mask = np.zeros(shape, np.uint8)
    if size:
        mask[tuple(slice(index, index + size) for index in corner)] = 1
    return mask


def download(
    folder,
    name="sub-01",
    mask=None,
    rater="Ada",
    date="2026-05-04T10:30:00Z",
    number="",
    affine=AFFINE,
    sidecar=True,
    **more,
):
    """Write a download and return its path; ``more`` are further fields of the sidecar. A value of None
    removes a field."""
    folder.mkdir(parents=True, exist_ok=True)
    mask = drawing(4, 5, 6) if mask is None else mask
    stem = f"{name}_space-T1w_label-L_desc-corrected_mask{number}"
    img = nib.Nifti1Image(mask, affine)
    img.set_sform(affine, 1)
    path = folder / f"{stem}.nii.gz"
    nib.save(img, path)
    content = {
        "Rater": rater,
        "Date": date,
        "ReferenceImage": f"{name}_T1w.nii.gz",
        "ReferenceShape": list(mask.shape),
        "ReferenceAffine": np.asarray(affine).tolist(),
        "Model": "simstroke",
        "SourceMask": f"{name}_space-T1w_label-L_desc-T1lesion_mask.nii.gz",
        "MaskSHA256": hashlib.sha256(gzip.decompress(path.read_bytes())).hexdigest(),
        **more,
    }
    if sidecar:
        content = {key: value for key, value in content.items() if value is not None}
        (folder / f"{stem}.json").write_text(json.dumps(content))
    return path
