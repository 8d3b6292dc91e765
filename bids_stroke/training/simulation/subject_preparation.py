"""Preparation of heads and brains for the simulator: tissues, brain mask, map to the template.

Label maps use FreeSurfer's labels; labels from 500 are tissues outside the brain (SynthSeg's training
maps, Billot et al., Med Image Anal 2023).
"""

from collections.abc import Sequence
from tempfile import TemporaryDirectory

import nibabel as nib
import numpy as np
from nibabel.affines import apply_affine, from_matvec, voxel_sizes
from scipy import ndimage

from bids_stroke.errors import DatasetError
from bids_stroke.spatial import brain_extraction, image, transforms
from bids_stroke.spatial.bias import correct_bias
from bids_stroke.spatial.grid import bounding_box, regrid
from bids_stroke.spatial.linear_registration import rigid
from bids_stroke.spatial.registration import register_single_threaded

TISSUES = (
    *("air", "csf", "ventricle", "cortex", "striatum", "thalamus", "white", "brainstem"),
    *("cerebellar cortex", "cerebellar white", "vessel", "soft", "bone", "fat", "fluid"),
)
BRAIN = tuple(TISSUES.index(name) for name in TISSUES[2:10])
# FreeSurfer labels of each tissue. Other labels are cortex or, from 500, soft tissue.
FREESURFER = {
    "csf": (24,),
    "ventricle": (4, 5, 14, 15, 43, 44, 72),
    "striatum": (11, 12, 17, 18, 26, 50, 51, 53, 54, 58),
    "thalamus": (10, 13, 28, 49, 52, 60),
    "white": (2, 25, 41, 57, 85),
    "brainstem": (16,),
    "cerebellar cortex": (8, 47),
    "cerebellar white": (7, 46),
    "vessel": (30, 62),
    "fluid": (502, 530),
    "air": (0, 506),
    "bone": (511, 512, 514, 515),
    "fat": (516,),
}
WHITE = 160  # stored intensity of white matter on T1w
FLAIR_WHITE = 80  # stored intensity on FLAIR, which leaves range for bright lesions
FLUID_ON_FLAIR = 0.4  # relative to white matter, as on real FLAIR images
NODES = 4.0  # mm between the nodes of the map to the template
LATERAL = ((-32, 32), (-60, 42), (-18, 38))  # box of the ventricles in MNI (mm) without the insula
FLUID = 0.45  # intensity, relative to white matter, below which a voxel may be fluid


def prepare(img: nib.Nifti1Image) -> dict[str, np.ndarray]:
    """Prepare the arrays of a :class:`~bids_stroke.training.simulation.subjects.Subject`.

    Integer images with values of at least 500 are label maps; all others are skull-stripped T1w images.
    """
    data = np.asanyarray(img.dataobj)
    if np.issubdtype(img.get_data_dtype(), np.integer) and data.max() >= 500:
        return _prepare_labels(img, data)
    return _prepare_brain(img)


def prepare_pair(t1w: nib.Nifti1Image, flair: nib.Nifti1Image) -> dict[str, np.ndarray]:
    """Prepare the arrays of a :class:`~bids_stroke.training.simulation.subjects.Subject` from a T1w and
    a FLAIR with skull, by brain extraction, registration and bias correction."""
    brain = brain_extraction.extract(t1w, "deepbet")
    inside = np.asanyarray(brain.dataobj) > 0
    corrected = correct_bias(t1w, brain).get_fdata(dtype=np.float32)
    arrays = _prepare_brain(image.like(np.clip(corrected, 0, None) * inside, t1w))
    mask = nib.Nifti1Image(arrays["mask"].astype(np.uint8), arrays["affine"])
    with TemporaryDirectory() as folder:
        forward, _ = rigid(flair, t1w, brain, folder)
        moved = transforms.apply(flair, mask, [forward])
    values = correct_bias(moved, mask).get_fdata(dtype=np.float32)
    white = np.median(values[arrays["tissue"] == TISSUES.index("white")])
    scaled = np.clip(np.round(values * FLAIR_WHITE / white), 0, 255)
    return arrays | {"flair": scaled.astype(np.uint8) * arrays["mask"]}


def _prepare_labels(img: nib.Nifti1Image, data: np.ndarray) -> dict[str, np.ndarray]:
    if not np.allclose(voxel_sizes(img.affine), 1, atol=0.05):
        sizes = "×".join(f"{size:g}" for size in voxel_sizes(img.affine))
        raise DatasetError(f"A label map has voxels of {sizes} mm; resample it to 1 mm.")
    table = np.full(int(data.max()) + 1, TISSUES.index("cortex"), np.uint8)
    table[500:] = TISSUES.index("soft")
    for name, labels in FREESURFER.items():
        table[[label for label in labels if label < len(table)]] = TISSUES.index(name)
    tissue = table[data]
    mask = _closed(np.isin(tissue, BRAIN), 4)
    levels = {"cortex": 0.7, "striatum": 0.72, "cerebellar cortex": 0.7, "ventricle": 0.2, "csf": 0.2}
    values = np.array([levels.get(name, 0.95) for name in TISSUES])
    values[TISSUES.index("thalamus")] = 0.85
    t1w = ndimage.gaussian_filter((values[tissue] * mask).astype(np.float32), 0.6)
    return {
        "tissue": tissue,
        "mask": mask,
        "affine": img.affine,
        "template": _template_coordinates(nib.Nifti1Image(t1w, img.affine), mask),
    }


def _prepare_brain(img: nib.Nifti1Image) -> dict[str, np.ndarray]:
    from sklearn.mixture import GaussianMixture

    img = regrid(img, (1, 1, 1))
    data = img.get_fdata(dtype=np.float32)
    mask = _closed(data > 0.05 * np.percentile(data[data > 0], 85), 3)
    box = bounding_box(mask, 6)
    start = from_matvec(np.eye(3), [part.start for part in box])
    data, mask, affine = data[box], mask[box], img.affine @ start
    values = data[mask][:, None]
    quantiles = np.percentile(values, (3, 40, 85))
    mixture = GaussianMixture(3, means_init=quantiles[:, None], random_state=0).fit(values[::10])
    order = np.argsort(mixture.means_[:, 0])
    classes = np.argsort(order)[mixture.predict(values)]
    white = np.median(values[classes == 2])
    levels = np.array([np.median(values[classes == c]) for c in range(3)]) / white
    names = np.array([TISSUES.index(name) for name in ("csf", "cortex", "white")], np.uint8)
    tissue = np.zeros(data.shape, np.uint8)
    tissue[mask] = names[classes]
    t1w = np.clip(np.round(data * WHITE / white), 0, 255).astype(np.uint8) * mask
    template = _template_coordinates(nib.Nifti1Image(t1w.astype(np.float32), affine), mask)
    dark = mask & (data < FLUID * white) & _central(template, mask.shape)
    tissue[ndimage.binary_opening(dark)] = TISSUES.index("ventricle")
    return {
        "tissue": tissue,
        "mask": mask,
        "t1w": t1w,
        "levels": levels,
        "affine": affine,
        "template": template,
    }


def _closed(mask: np.ndarray, radius: int) -> np.ndarray:
    """Close gaps of up to twice ``radius`` voxels and fill holes."""
    padded = np.pad(mask, radius + 1)
    far = ndimage.distance_transform_edt(~padded) > radius
    closed = ndimage.distance_transform_edt(~far) > radius
    inner = (slice(radius + 1, -radius - 1),) * 3
    return ndimage.binary_fill_holes(closed | padded)[inner]


def _central(template: np.ndarray, shape: Sequence[int]) -> np.ndarray:
    """Return the voxels whose template coordinates are in the box of the ventricles."""
    zoom = [np.arange(side) / NODES for side in shape]
    grid = np.stack(np.meshgrid(*zoom, indexing="ij"))
    inside = np.ones(shape, bool)
    for (low, high), nodes in zip(LATERAL, template.astype(np.float32), strict=True):
        values = ndimage.map_coordinates(nodes, grid, order=1, mode="nearest")
        inside = inside & (values > low) & (values < high)
    return inside


def _template_coordinates(t1w: nib.Nifti1Image, mask: np.ndarray) -> np.ndarray:
    """Compute the MNI coordinates of the nodes of a brain by ANTs SyN at 3 mm (subject fixed)."""
    from nilearn.datasets import load_mni152_template

    brain = nib.Nifti1Image(t1w.get_fdata(dtype=np.float32) * mask, t1w.affine)
    images = {"fixed": regrid(brain, (3, 3, 3)), "moving": load_mni152_template(resolution=2)}
    counts = [int(np.ceil((side - 1) / NODES)) + 1 for side in mask.shape]
    nodes = np.stack(np.meshgrid(*[np.arange(n) * NODES for n in counts], indexing="ij"), -1)
    points = apply_affine(t1w.affine, nodes.reshape(-1, 3))
    with TemporaryDirectory() as folder:
        result = register_single_threaded(
            images,
            f"{folder}/",
            type_of_transform="SyN",
            reg_iterations=(40, 20),
            aff_iterations=(500, 200, 50),
            aff_shrink_factors=(4, 2, 1),
            aff_smoothing_sigmas=(2, 1, 0),
        )
        coordinates = transforms.move_points(points, result.forward)
    return np.moveaxis(coordinates.reshape(*counts, 3), -1, 0).astype(np.float16)
