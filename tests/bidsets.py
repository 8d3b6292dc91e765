"""Tiny BIDS datasets of patients in the layouts of public cohorts: textured brain, bright lesion."""

import nibabel as nib
import numpy as np
from nibabel.affines import apply_affine

from bids_stroke.spatial import image, templates
from bids_stroke.spatial.grid import regrid

CENTER = np.array([-30.0, -15.0, 20.0])  # of the lesion, mm
SPACE = "MNI152NLin2009aSym"


def grid(voxel=4):
    """The template's brain at ``voxel`` mm."""
    return regrid(templates.template().brain, (voxel,) * 3, order=0)


def scan(seed, radius=14, contrast=1.0, shift=(0, 0, 0), voxel=4):
    """A skull-stripped head on the grid of the template: image and lesion, moved by ``shift`` (mm)."""
    brain = grid(voxel)
    affine = brain.affine.copy()
    affine[:3, 3] += shift
    world = apply_affine(brain.affine, np.moveaxis(np.indices(brain.shape), 0, -1))
    inside = np.asanyarray(brain.dataobj) > 0
    lesion = inside & (np.linalg.norm(world - CENTER, axis=-1) <= radius)
    texture = np.sin(world / 11 + seed).sum(-1)
    data = np.where(inside, 100 + 12 * contrast * texture - 60 * contrast * lesion, 0)
    data += np.random.default_rng(seed).normal(size=data.shape) * inside
    return nib.Nifti1Image(data.astype(np.float32), affine), nib.Nifti1Image(
        lesion.astype(np.uint8), affine
    )


def empty_dataset(folder):
    """A dataset without participants."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "dataset_description.json").write_text('{"Name": "toy", "BIDSVersion": "1.10.0"}')
    return folder


def atlas(folder, number, radii=(14,)):
    """ATLAS v2.0: T1w and masks in template space in one folder; sites r001 and r002 alternate."""
    empty_dataset(folder)
    for n in range(number):
        name = f"sub-r{n % 2 + 1:03d}s{n:03d}"
        anat = folder / name / "ses-1" / "anat"
        stem = f"{name}_ses-1_space-{SPACE}"
        img, lesion = scan(n, radii[n % len(radii)])
        image.save(img, anat / f"{stem}_T1w.nii.gz")
        image.save(lesion, anat / f"{stem}_label-L_desc-T1lesion_mask.nii.gz")
    return folder


def arc(folder):
    """ARC: a mask of a run of the T2w in ``derivatives``; the T2w is shifted 8 mm from the T1w."""
    empty_dataset(folder)
    stem = "sub-M2001_ses-1"
    anat = folder / "sub-M2001" / "ses-1" / "anat"
    t1w, _ = scan(1)
    t2w, lesion = scan(1, contrast=-1.0, shift=(8, 0, 0))
    image.save(t1w, anat / f"{stem}_acq-tfl3_run-3_T1w.nii.gz")
    image.save(t2w, anat / f"{stem}_acq-spc3_run-4_T2w.nii.gz")
    masks = folder / "derivatives" / "lesion_masks"
    name = f"{stem}_acq-spc3_run-4_T2w_desc-lesion_mask.nii.gz"
    image.save(lesion, masks / "sub-M2001" / "ses-1" / "anat" / name)
    return folder, masks


def soop(folder):
    """SOOP: a mask of the TRACE, which is shifted 8 mm from T1w and FLAIR."""
    empty_dataset(folder)
    (folder / "participants.tsv").write_text("participant_id\tsite\nsub-1\tGreenville\n")
    t1w, _ = scan(2)
    flair, _ = scan(2, contrast=-1.0)
    trace, lesion = scan(2, contrast=-1.5, shift=(8, 0, 0))
    image.save(t1w, folder / "sub-1/anat/sub-1_T1w.nii.gz")
    image.save(flair, folder / "sub-1/anat/sub-1_FLAIR.nii.gz")
    image.save(trace, folder / "sub-1/dwi/sub-1_rec-TRACE_dwi.nii.gz")
    masks = folder / "derivatives" / "lesion_masks"
    image.save(lesion, masks / "sub-1/dwi/sub-1_space-TRACE_desc-lesion_mask.nii.gz")
    return folder, masks
