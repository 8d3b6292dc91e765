"""Small derivatives of a session whose reference image has any axis order, on an oblique, anisotropic
grid, with a raw image."""

import json

import derived
import nibabel as nib
import numpy as np
from nibabel.eulerangles import euler2mat
from scipy import ndimage

from bids_stroke.bids.record import Record
from bids_stroke.lesion.postprocessing import threshold
from bids_stroke.spatial import image
from bids_stroke.spatial.grid import regrid, voxel_volume

ZOOMS = (3.0, 2.5, 4.0)
SHAPE = (22, 28, 18)
THRESHOLD, MIN_COMPONENT_MM3 = 0.335, 700.0


def reference(axes="RAS", tilt=0.0):
    """Return a scan of an ellipsoid in the axis order ``axes``, rotated by ``tilt`` radians."""
    affine = np.eye(4)
    affine[:3, :3] = euler2mat(tilt, -tilt, tilt) @ np.diag(ZOOMS)
    affine[:3, 3] = -affine[:3, :3] @ (np.array(SHAPE) / 2) + (3.25, -7.5, 11.125)
    voxels = np.moveaxis(np.indices(SHAPE), 0, -1)
    distance = np.linalg.norm((voxels - np.array(SHAPE) / 2) / (np.array(SHAPE) / 2.4), axis=-1)
    data = np.random.default_rng(0).integers(60, 90, SHAPE) * (distance < 1)
    img = nib.Nifti1Image(data.astype(np.int16), affine)
    order = nib.orientations.axcodes2ornt(axes)
    img = img.as_reoriented(nib.orientations.ornt_transform(nib.io_orientation(affine), order))
    img.set_sform(img.affine, 2)
    img.set_qform(img.affine, 1)
    img.header.set_xyzt_units("mm", "sec")
    return img


def probability(img):
    """Return a smooth lesion probability with components of several sizes on the grid of a scan."""
    noise = np.random.default_rng(1).normal(size=img.shape)
    smooth = ndimage.gaussian_filter(noise, 1.3) * (np.asanyarray(img.dataobj) > 0)
    return np.clip(smooth / smooth.max(), 0, 1).astype(np.float32)


def session(out, name="sub-01", axes="RAS", tilt=0.0, contrast="T1w", entities="", flair=False):
    """Write the raw reference image and the derivatives of a session, and return its record.

    ``entities`` are further entities of the raw image. With ``flair``, the session has a FLAIR in the
    position of the reference image, with larger voxels.
    """
    raw = reference(axes, tilt)
    folder = out.joinpath(*name.split("_"), "anat")
    folder.mkdir(parents=True)
    (out / "raw").mkdir(exist_ok=True)
    raw_path = out / "raw" / f"{name}{entities}_{contrast}.nii.gz"
    nib.save(raw, raw_path)
    data = np.asanyarray(raw.dataobj)
    lesion_probability = probability(raw)
    mask = threshold(lesion_probability, THRESHOLD, MIN_COMPONENT_MM3, voxel_volume(raw))
    arrays = {
        ("image", f"desc-preproc_{contrast}"): data.astype(np.float32),
        ("brain_mask", f"space-{contrast}_desc-brain_mask"): (data > 0).astype(np.uint8),
        ("lesion_mask", f"space-{contrast}_label-L_desc-T1lesion_mask"): mask,
        ("lesion_probability", f"space-{contrast}_label-L_desc-T1lesion_probseg"): lesion_probability,
    }
    outputs = {}
    for (kind, suffix), array in arrays.items():
        path = image.save(image.like(array, raw), folder / f"{name}_{suffix}.nii.gz")
        outputs[kind] = path.relative_to(out).as_posix()
    sidecar = {"Threshold": THRESHOLD, "MinimumComponentVolume": MIN_COMPONENT_MM3}
    path = folder / f"{name}_space-{contrast}_label-L_desc-T1lesion_mask.json"
    path.write_text(json.dumps(sidecar))
    if flair:
        coarse = regrid(image.like(data.astype(np.float32), raw), [4.0, 5.0, 6.0])
        paths = image.save(coarse, folder / f"{name}_desc-preproc_FLAIR.nii.gz"), folder / "flair.mat"
        derived.identity(paths[1])
        for kind, path in zip(("image", "transform_to_reference"), paths, strict=True):
            outputs[f"{kind}@FLAIR"] = path.relative_to(out).as_posix()
    record = Record(
        name,
        "identity",
        "ok",
        model="simstroke",
        weights_sha256="0123abcd",
        reference=contrast,
        contrasts=[contrast],
        inputs={contrast: str(raw_path)},
        outputs=outputs,
    )
    record.write(out)
    return record
