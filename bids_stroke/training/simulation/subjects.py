"""What samples are made of: healthy heads and brains, and shapes of real lesions.

A subject is prepared once and kept in a cache: tissue labels, the T1w where there is one, and
where its points lie in the template (a registration). Label maps follow FreeSurfer's numbers, with
tissues outside the brain from 500 (SynthSeg's training maps, Billot et al., Med Image Anal 2023).
"""

from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np
from nibabel.affines import apply_affine, from_matvec, voxel_sizes
from scipy import ndimage

from bids_stroke.errors import DatasetError
from bids_stroke.spatial.grid import regrid
from bids_stroke.spatial.image import conform, load
from bids_stroke.spatial.registration import register
from bids_stroke.utils.files import atomic

TISSUES = (
    *("air", "csf", "ventricle", "cortex", "striatum", "thalamus", "white", "brainstem"),
    *("cerebellar cortex", "cerebellar white", "vessel", "soft", "bone", "fat", "fluid"),
)
BRAIN = tuple(TISSUES.index(name) for name in TISSUES[2:10])
# FreeSurfer label -> tissue; labels from 500 are outside the brain, all others within are cortex.
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
WHITE = 160  # stored intensity of white matter
NODES = 4.0  # mm between the nodes of the map to the template
LATERAL = ((-32, 32), (-60, 42), (-18, 38))  # box of the ventricles in MNI (mm); spares the insula
FLUID = 0.45  # darker than this, relative to white matter, may be fluid


@dataclass(frozen=True)
class Subject:
    """A head or brain on a 1 mm RAS grid.

    Attributes
    ----------
    tissue : array of uint8, (x, y, z)
        Indices into :data:`TISSUES`.
    mask : array of bool, (x, y, z)
        Brain, sulci and ventricles included.
    t1w : array of uint8, (x, y, z), or None
        Skull-stripped T1w, white matter at :data:`WHITE`; None for a label map.
    levels : array of 3 floats, or None
        Median T1w of fluid, gray and white matter, relative to white matter.
    affine : array, (4, 4)
        Voxels to mm of the subject.
    template : array of float16, (3, i, j, k)
        MNI coordinates (mm) of nodes, every ``NODES`` voxels from the first voxel.
    """

    name: str
    tissue: np.ndarray
    mask: np.ndarray
    t1w: np.ndarray | None
    levels: np.ndarray | None
    affine: np.ndarray
    template: np.ndarray

    def centre(self):
        """Centre of the brain's bounding box, in voxels."""
        box = bounding_box(self.mask, 0)
        return np.array([(part.start + part.stop - 1) / 2 for part in box])


@dataclass(frozen=True)
class Lesion:
    """A lesion mask in template space, cropped to its bounding box."""

    name: str
    data: np.ndarray  # (x, y, z) bool
    affine: np.ndarray
    volume: float  # ml


def scans(folders):
    """Sorted NIfTI files of some folders."""
    found = sorted(path for folder in folders for path in Path(folder).glob("*.nii*"))
    if not found:
        raise DatasetError(f"No NIfTI file lies in {', '.join(map(str, folders))}.")
    return found


def split(paths, validation, test, seed):
    """Divide files at random into (training, validation, test); the shares are counts or, below
    one, fractions."""
    counts = [round(share * len(paths)) if share < 1 else share for share in (validation, test)]
    order = np.random.default_rng(seed).permutation(len(paths))
    shuffled = [paths[i] for i in order]
    first, second = counts[0], sum(counts)
    return shuffled[second:], shuffled[:first], shuffled[first:second]


def bounding_box(mask, margin):
    """Slices around the true voxels of ``mask``, ``margin`` voxels wider on each side."""
    box = []
    for axis, side in enumerate(mask.shape):
        others = tuple(other for other in range(mask.ndim) if other != axis)
        hits = np.flatnonzero(mask.any(axis=others))
        box.append(slice(max(hits[0] - margin, 0), min(hits[-1] + 1 + margin, side)))
    return tuple(box)


def subject(path, cache):
    """Prepare a label map or a skull-stripped T1w, or read it from ``cache``.

    Integer images with values of at least 500 are label maps.
    """
    name = Path(path).name.split(".")[0]
    kept = Path(cache) / f"{name}.npz"
    if not kept.exists():
        arrays = _prepare(conform(load(path)))
        kept.parent.mkdir(parents=True, exist_ok=True)
        with atomic(kept) as partial, partial.open("wb") as stream:
            np.savez_compressed(stream, **arrays)
    return cached(kept)


def cached(path):
    """Read a prepared subject."""
    with np.load(path) as kept:
        arrays = {key: kept[key] for key in kept.files}
    arrays = {"t1w": None, "levels": None} | arrays
    return Subject(Path(path).stem, **arrays)


def lesion(path):
    """Load a lesion mask in template space and crop it; None where it is empty."""
    img = conform(load(path))
    data = np.asanyarray(img.dataobj) > 0
    if not data.any():
        return None
    box = bounding_box(data, 1)
    start = from_matvec(np.eye(3), [part.start for part in box])
    volume = data.sum() * abs(np.linalg.det(img.affine[:3, :3])) / 1000
    # The folder is part of the name: two cohorts may number their patients alike.
    name = f"{Path(path).parent.name}/{Path(path).name}"
    return Lesion(name, data[box], img.affine @ start, float(volume))


def _prepare(img):
    data = np.asanyarray(img.dataobj)
    if np.issubdtype(img.get_data_dtype(), np.integer) and data.max() >= 500:
        return _prepare_labels(img, data)
    return _prepare_brain(img)


def _prepare_labels(img, data):
    if not np.allclose(voxel_sizes(img.affine), 1, atol=0.05):
        raise DatasetError(f"A label map has voxels of {voxel_sizes(img.affine)} mm; 1 mm is needed.")
    table = np.full(int(data.max()) + 1, TISSUES.index("cortex"), np.uint8)
    table[500:] = TISSUES.index("soft")
    for name, labels in FREESURFER.items():
        table[[label for label in labels if label < len(table)]] = TISSUES.index(name)
    tissue = table[data]
    mask = _closed(np.isin(tissue, BRAIN), 4)
    look = {"cortex": 0.7, "striatum": 0.72, "cerebellar cortex": 0.7, "ventricle": 0.2, "csf": 0.2}
    values = np.array([look.get(name, 0.95) for name in TISSUES])
    values[TISSUES.index("thalamus")] = 0.85
    t1w = ndimage.gaussian_filter((values[tissue] * mask).astype(np.float32), 0.6)
    return {
        "tissue": tissue,
        "mask": mask,
        "affine": img.affine,
        "template": _template_coordinates(nib.Nifti1Image(t1w, img.affine), mask),
    }


def _prepare_brain(img):
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


def _closed(mask, radius):
    """Close gaps of up to twice ``radius`` voxels and fill holes."""
    padded = np.pad(mask, radius + 1)
    far = ndimage.distance_transform_edt(~padded) > radius
    closed = ndimage.distance_transform_edt(~far) > radius
    inner = (slice(radius + 1, -radius - 1),) * 3
    return ndimage.binary_fill_holes(closed | padded)[inner]


def _central(template, shape):
    """Voxels whose template coordinates lie in the box of the ventricles."""
    zoom = [np.arange(side) / NODES for side in shape]
    grid = np.stack(np.meshgrid(*zoom, indexing="ij"))
    inside = True
    for (low, high), nodes in zip(LATERAL, template.astype(np.float32), strict=True):
        values = ndimage.map_coordinates(nodes, grid, order=1, mode="nearest")
        inside = inside & (values > low) & (values < high)
    return inside


def _template_coordinates(t1w, mask):
    """MNI coordinates of the nodes of a brain, by ANTs SyN at 3 mm (subject fixed)."""
    import ants
    import pandas as pd
    from nilearn.datasets import load_mni152_template

    brain = nib.Nifti1Image(t1w.get_fdata(dtype=np.float32) * mask, t1w.affine)
    fixed = ants.from_nibabel_nifti(regrid(brain, (3, 3, 3)))
    moving = ants.from_nibabel_nifti(load_mni152_template(resolution=2))
    settings = {"reg_iterations": (40, 20), "aff_iterations": (500, 200, 50)}
    settings |= {"aff_shrink_factors": (4, 2, 1), "aff_smoothing_sigmas": (2, 1, 0)}
    result = register(fixed, moving, type_of_transform="SyN", **settings)
    counts = [int(np.ceil((side - 1) / NODES)) + 1 for side in mask.shape]
    nodes = np.stack(np.meshgrid(*[np.arange(n) * NODES for n in counts], indexing="ij"), -1)
    points = apply_affine(t1w.affine, nodes.reshape(-1, 3)) * (-1, -1, 1)  # ITK counts in LPS
    moved = ants.apply_transforms_to_points(
        3, pd.DataFrame(points, columns=list("xyz")), result["fwdtransforms"]
    )
    found = moved[["x", "y", "z"]].to_numpy() * (-1, -1, 1)
    return np.moveaxis(found.reshape(*counts, 3), -1, 0).astype(np.float16)
