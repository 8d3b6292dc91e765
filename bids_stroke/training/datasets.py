"""Real brains and real lesion masks, and the endless stream of samples made of them."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from nibabel.affines import voxel_sizes
from scipy import ndimage
from torch.nn import functional
from torch.utils.data import Dataset, IterableDataset, get_worker_info

from bids_stroke.errors import DatasetError
from bids_stroke.image import atomic, conform, load, regrid

from . import synthesis

LPS = np.diag([-1.0, -1.0, 1.0, 1.0])
VENTRICLES = ((-30, 30), (-58, 40), (-15, 36))  # box around them in MNI, mm; spares the insula


@dataclass(frozen=True)
class Brain:
    """A skull-stripped T1w on its own grid, smoothed for sampling at the recipe's spacing."""

    name: str
    data: np.ndarray  # (3, x, y, z) float32: intensity, mask, ventricles
    affine: np.ndarray
    centre: np.ndarray  # of the brain's bounding box, in voxels
    to_template: np.ndarray  # world of the brain (mm, RAS) to world of the template


@dataclass(frozen=True)
class Lesion:
    """A lesion mask in template space, cropped to its bounding box."""

    name: str
    data: np.ndarray  # (1, x, y, z) float32
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


def affine_to_template(img):
    """World-to-world affine (4x4, RAS mm) from a skull-stripped T1w to MNI, by ANTs at 2 mm."""
    import ants
    from nilearn.datasets import load_mni152_template

    fixed = ants.from_nibabel_nifti(load_mni152_template(resolution=2))
    moving = ants.from_nibabel_nifti(regrid(img, (2, 2, 2)))
    result = ants.registration(fixed, moving, type_of_transform="AffineFast", random_seed=1)
    transform = ants.read_transform(result["fwdtransforms"][0])
    matrix = transform.parameters[:9].reshape(3, 3)
    centre = transform.fixed_parameters
    to_brain = np.eye(4)
    to_brain[:3, :3] = matrix
    to_brain[:3, 3] = transform.parameters[9:] + centre - matrix @ centre
    return np.linalg.inv(LPS @ to_brain @ LPS)


def prepare_brain(path, spacing, cache):
    """Load a skull-stripped T1w, its mask, ventricles and affine to MNI (kept in ``cache``)."""
    name = Path(path).name.split(".")[0]
    img = conform(load(path))
    kept = Path(cache) / f"{name}.txt"
    if not kept.exists():
        with atomic(kept) as partial:
            np.savetxt(partial, affine_to_template(img))
    data = img.get_fdata(dtype=np.float32)
    to_template = np.loadtxt(kept)
    mask = ndimage.binary_fill_holes(ndimage.binary_closing(data > 0, iterations=2))
    dark = mask & (data < synthesis.SULCAL * np.percentile(data[mask], 85))
    central = within(VENTRICLES, to_template @ img.affine, data.shape)
    ratio = np.maximum(np.asarray(spacing) / voxel_sizes(img.affine), 1)
    smooth = ndimage.gaussian_filter(data, (ratio - 1) / 2)
    ventricles = ndimage.binary_opening(dark & central)
    box = synthesis.bounding_box(mask, 0)
    return Brain(
        name,
        np.stack([smooth, mask, ventricles]).astype(np.float32),
        img.affine,
        np.array([(s.start + s.stop - 1) / 2 for s in box]),
        to_template,
    )


def within(box, affine, shape):
    """Voxels whose world coordinates lie within ``box`` (three pairs, mm)."""
    grid = np.indices(shape, np.float32, sparse=True)
    inside = True
    for (low, high), row in zip(box, affine, strict=False):
        world = sum(weight * axis for weight, axis in zip(row, grid, strict=False)) + row[3]
        inside = inside & (world > low) & (world < high)
    return inside


def read_lesion(path):
    """Load a lesion mask in template space and crop it; None where it is empty."""
    img = conform(load(path))
    data = np.asanyarray(img.dataobj) > 0
    if not data.any():
        return None
    box = synthesis.bounding_box(data, 1)
    start = np.eye(4)
    start[:3, 3] = [s.start for s in box]
    volume = data.sum() * abs(np.linalg.det(img.affine[:3, :3])) / 1000
    # The folder is part of the name: two cohorts may number their patients alike.
    name = f"{Path(path).parent.name}/{Path(path).name}"
    return Lesion(name, data[box][None].astype(np.float32), img.affine @ start, float(volume))


def rotation(angles):
    """Rotation matrix (4x4) from three angles in degrees."""
    x, y, z = np.deg2rad(angles)
    matrices = [
        [[1, 0, 0], [0, np.cos(x), -np.sin(x)], [0, np.sin(x), np.cos(x)]],
        [[np.cos(y), 0, np.sin(y)], [0, 1, 0], [-np.sin(y), 0, np.cos(y)]],
        [[np.cos(z), -np.sin(z), 0], [np.sin(z), np.cos(z), 0], [0, 0, 1]],
    ]
    turn = np.eye(4)
    turn[:3, :3] = matrices[0] @ np.array(matrices[1]) @ np.array(matrices[2])
    return turn


def shift(offset):
    matrix = np.eye(4)
    matrix[:3, 3] = offset
    return matrix


def scale(factors):
    return np.diag([*factors, 1.0])


def sample_at(data, mapping, shape):
    """Linear interpolation where ``mapping`` (4x4, voxels to voxels) says, 0 outside.

    Parameters
    ----------
    data : array
        Channels first: ``(channels, x, y, z)``.
    shape : tuple of int
        Shape ``(x, y, z)`` of the result.
    """
    # grid_sample counts from -1 to 1 between the centres of the outer voxels, last axis first.
    source, target = (np.array(size) - 1 for size in (data.shape[1:], shape))
    normalized = scale(2 / source) @ shift(-source / 2) @ mapping
    normalized = normalized @ shift(target / 2) @ scale(target / 2)
    theta = torch.from_numpy(normalized[:3][::-1][:, [2, 1, 0, 3]].copy()).float()
    grid = functional.affine_grid(theta[None], (1, 1, *shape), align_corners=True)
    batch = torch.from_numpy(data)[None]
    return functional.grid_sample(batch, grid, align_corners=True)[0].numpy()


def pose(brain, tile, spacing, rng, ranges):
    """Random pose of a brain in the tile: 4x4 from the tile's voxels to the brain's voxels."""
    flip = rng.choice([-1, 1])
    size = rng.uniform(*ranges["scale"]) * rng.uniform(0.97, 1.03, 3)
    return (
        shift(brain.centre)
        @ scale(1 / voxel_sizes(brain.affine))
        @ rotation(rng.uniform(-1, 1, 3) * ranges["rotation"])
        @ scale(np.array(spacing) * size * [flip, 1, 1])
        @ shift(rng.uniform(-1, 1, 3) * ranges["shift"] - (np.array(tile) - 1) / 2)
    )


def place(lesion, brain, mapping, tile, rng, ranges):
    """Lesion weights in the tile, flipped, scaled and moved a little in template space."""
    centre = lesion.affine @ [*((np.array(lesion.data.shape[1:]) - 1) / 2), 1]
    factors = 1 / (rng.uniform(*ranges["lesion_scale"]) * rng.uniform(0.9, 1.1, 3))
    vary = (
        shift(centre[:3])
        @ rotation(rng.uniform(-1, 1, 3) * ranges["lesion_rotation"])
        @ scale(factors)
        @ shift(rng.uniform(-1, 1, 3) * ranges["lesion_shift"] - centre[:3])
        @ scale([rng.choice([-1, 1]), 1, 1])
    )
    to_template = vary @ brain.to_template @ brain.affine @ mapping
    return sample_at(lesion.data, np.linalg.inv(lesion.affine) @ to_template, tile)[0]


class Simulator:
    """Draws a brain and lesions and simulates a sample.

    Lesions are drawn by volume class, so that small ones are as frequent as the recipe says.
    """

    def __init__(self, brains, lesions, recipe):
        self.brains = brains
        self.tile = tuple(recipe["tile"])
        self.spacing = recipe["spacing"]
        self.ranges = recipe["synthesis"]
        edges = self.ranges["volume_classes"]
        classes = np.digitize([lesion.volume for lesion in lesions], edges[1:-1])
        self.classes = [
            [lesion for lesion, c in zip(lesions, classes, strict=True) if c == index]
            for index in range(len(edges) - 1)
        ]
        shares = np.array(self.ranges["volume_shares"]) * [bool(c) for c in self.classes]
        self.shares = shares / shares.sum()

    def draw(self, rng):
        """One lesion, from a random volume class."""
        members = self.classes[rng.choice(len(self.classes), p=self.shares)]
        return members[rng.integers(len(members))]

    def sample(self, rng):
        """``(image, label, mask)``, each ``(1, x, y, z)`` float32."""
        brain = self.brains[rng.integers(len(self.brains))]
        mapping = pose(brain, self.tile, self.spacing, rng, self.ranges)
        image, mask, ventricles = sample_at(brain.data, mapping, self.tile)
        number = rng.choice(len(self.ranges["lesion_counts"]), p=self.ranges["lesion_counts"])
        lesions = [
            place(self.draw(rng), brain, mapping, self.tile, rng, self.ranges)
            for _ in range(number)
        ]
        arrays = synthesis.simulate(
            image, mask > 0.5, ventricles > 0.5, lesions, rng, self.ranges
        )
        return tuple(array[None].astype(np.float32) for array in arrays)


class Stream(IterableDataset):
    """Endless samples, different in every worker."""

    def __init__(self, simulator, seed):
        self.simulator = simulator
        self.seed = seed

    def __iter__(self):
        worker = get_worker_info()
        rng = np.random.default_rng([self.seed, worker.id if worker else 0])
        while True:
            yield self.simulator.sample(rng)


class Fixed(Dataset):
    """The same few samples every time, for validation."""

    def __init__(self, simulator, size, seed):
        self.samples = [
            simulator.sample(np.random.default_rng([seed, index])) for index in range(size)
        ]

    def __len__(self):
        return len(self.samples)

    def __getitem__(self, index):
        return self.samples[index]
