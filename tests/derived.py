"""Small derivatives of a session in the layout of the pipelines: ellipsoid heads and lesions."""

import ants
import nibabel as nib
import numpy as np
import pandas as pd
from nibabel.affines import apply_affine
from nibabel.eulerangles import euler2mat

from bids_stroke.bids.record import Record
from bids_stroke.spatial.templates import TEMPLATE, template

LESION_MM = (-30.0, 10.0, 20.0)
TRACT = f"space-{TEMPLATE}_<img src=x onerror=alert(1)>.nii.gz"  # a name that must be escaped in HTML
DESC = "label-L_desc-T1lesion"


def affine(zooms=(2, 2, 2), tilt=0.0):
    """Return the affine of a grid that covers the head, rotated about all axes by ``tilt`` radians."""
    matrix = np.eye(4)
    matrix[:3, :3] = euler2mat(tilt, tilt, tilt) @ np.diag(zooms)
    matrix[:3, 3] = -matrix[:3, :3] @ (np.array(shape(zooms)) - 1) / 2
    return matrix


def shape(zooms):
    return tuple(int(mm / zoom) for mm, zoom in zip((150, 180, 150), zooms, strict=True))


def ball(grid, center, radii, size=None):
    """Return an ellipsoid with a soft edge (0-1) on a grid given by its affine and shape (default: that
    of a head)."""
    size = size or shape(np.linalg.norm(grid[:3, :3], axis=0))
    points = apply_affine(grid, np.moveaxis(np.indices(size), 0, -1))
    return np.clip(8 * (1 - np.linalg.norm((points - center) / radii, axis=-1)) + 0.5, 0, 1)


def session(out, name="sub-01", zooms=(2, 2, 2), tilt=0.0, flair=True, probability=True):
    """Write the derivatives of a session with a T1w, and return its record."""
    folder = out.joinpath(*name.split("_"), "anat")
    folder.mkdir(parents=True)
    grid = affine(zooms, tilt)
    brain = ball(grid, 0, (60, 75, 60))
    head = 300 * ball(grid, 0, (70, 85, 70)) + 500 * brain
    lesion = ball(grid, LESION_MM, (12, 12, 12))
    rng = np.random.default_rng(0)

    def save(data, affine, suffix, dtype=np.float32):
        nib.save(nib.Nifti1Image(data.astype(dtype), affine), folder / f"{name}_{suffix}.nii.gz")

    t1w = (head - 400 * lesion) * rng.uniform(0.9, 1.1, head.shape)
    save(t1w, grid, "desc-preproc_T1w")
    save(brain > 0.5, grid, "space-T1w_desc-brain_mask", np.uint8)
    save(lesion > 0.5, grid, f"space-T1w_{DESC}_mask", np.uint8)
    if probability:
        save(lesion, grid, f"space-T1w_{DESC}_probseg")
    if flair:
        coarse = affine((2, 2, 6))
        data = 200 * ball(coarse, 0, (60, 75, 60)) + 600 * ball(coarse, LESION_MM, (12, 12, 12))
        save(data, coarse, "desc-preproc_FLAIR")
        identity(folder / f"{name}_from-FLAIR_to-T1w_mode-image_xfm.mat")
    identity(folder / f"{name}_from-{TEMPLATE}_to-T1w_mode-image_xfm.h5")
    return _record(out, name, folder, "T1w", ["T1w"])


def template_session(out, name="sub-02"):
    """Write the derivatives of a user-supplied mask in the template space, without any image."""
    folder = out / name / "anat"
    folder.mkdir(parents=True)
    grid = template().t1w
    lesion = ball(grid.affine, LESION_MM, (12, 12, 12), grid.shape) > 0.5
    mask = nib.Nifti1Image(lesion.astype(np.uint8), grid.affine)
    stem = f"{name}_space-{TEMPLATE}_res-1_label-L_desc-ownlesion"
    nib.save(mask, folder / f"{stem}_mask.nii.gz")
    return _record(out, name, folder, TEMPLATE, [])


def tract(folder):
    """Write a user-supplied tract, two columns in the template space, and return its path."""
    grid = affine((3, 3, 3))
    data = sum(ball(grid, (x, -15, 15), (7, 7, 50)) for x in (-22, 22))
    path = folder / TRACT
    nib.save(nib.Nifti1Image(data.astype(np.float32), grid), path)
    return path


def identity(path):
    """Write the transform between two images in the same position."""
    ants.write_transform(
        ants.create_ants_transform(transform_type="AffineTransform", dimension=3), str(path)
    )


def _record(out, name, folder, reference, contrasts):
    desc = DESC if contrasts else "label-L_desc-ownlesion"
    table = folder / f"{name}_space-{TEMPLATE}_atlas-imgsrcxonerroralert1_{desc}_morph.tsv"
    pd.DataFrame({"side": []}).to_csv(table, sep="\t")
    space = "T1w" if contrasts else TEMPLATE
    components = folder / f"{name}_space-{space}_{desc}_morph.tsv"
    columns = ("volume_ml", "volume_template_ml", "outside_brain_share", "mean_probability")
    row = dict.fromkeys((*columns, "max_probability"), 0.5) | {"hemisphere": "left"}
    pd.DataFrame([row]).to_csv(components, sep="\t", index=False)
    files = {path.name.removeprefix(f"{name}_"): path.relative_to(out) for path in folder.iterdir()}
    outputs = {
        role: files[suffix].as_posix()
        for suffix, role in {
            "desc-preproc_T1w.nii.gz": "image",
            "desc-preproc_FLAIR.nii.gz": "image@FLAIR",
            "space-T1w_desc-brain_mask.nii.gz": "brain_mask",
            f"space-T1w_{desc}_mask.nii.gz": "lesion_mask",
            f"space-T1w_{desc}_probseg.nii.gz": "lesion_probability",
            f"space-{TEMPLATE}_res-1_{desc}_mask.nii.gz": f"lesion_mask@{TEMPLATE}",
            "from-FLAIR_to-T1w_mode-image_xfm.mat": "transform_to_reference@FLAIR",
            f"from-{TEMPLATE}_to-T1w_mode-image_xfm.h5": f"transform_from_template@{TEMPLATE}",
            table.name.removeprefix(f"{name}_"): "loads@imgsrcxonerroralert1",
            f"space-T1w_{desc}_morph.tsv": "components",
            f"space-{TEMPLATE}_{desc}_morph.tsv": f"components@{TEMPLATE}",
        }.items()
        if suffix in files
    }
    assert len(outputs) == len(files), "a file has no role"
    record = Record(name, "identity", "ok", reference=reference, contrasts=contrasts, outputs=outputs)
    record.write(out)
    return record
