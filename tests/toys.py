"""Toy head for the tests of training: a spherical brain with a ventricle, in template space."""

import numpy as np

from bids_stroke.spatial.grid import bounding_box
from bids_stroke.training.recipes import read_content
from bids_stroke.training.simulation import subject_preparation, subjects, synthesis

SIDE = 64  # voxels and mm
RECIPE = read_content("embedded")


def ball(radius, center=(0, 0, 0)):
    """Voxels within ``radius`` mm of a point on the grid of :func:`head`."""
    grid = np.indices((SIDE,) * 3) - SIDE / 2
    return sum((g - c) ** 2 for g, c in zip(grid, center, strict=True)) <= radius**2


def affine():
    """Affine from voxels to mm, with the origin at the center of the grid."""
    matrix = np.eye(4)
    matrix[:3, 3] = -SIDE / 2
    return matrix


def head(t1w=False):
    """A label map, or a brain with a T1w, in template space."""
    tissue = np.full((SIDE,) * 3, subject_preparation.TISSUES.index("bone"), np.uint8)
    for radius, name in ((28, "csf"), (26, "cortex"), (22, "white"), (6, "ventricle")):
        tissue[ball(radius)] = subject_preparation.TISSUES.index(name)
    mask = ball(27)
    levels = np.array([0.2, 0.7, 1.0])
    image = np.select([ball(6), ball(22), ball(26)], [0.2, 1.0, 0.7], 0.2) * subject_preparation.WHITE
    nodes = np.arange(0, SIDE + subject_preparation.NODES, subject_preparation.NODES) - SIDE / 2
    template = np.stack(np.meshgrid(nodes, nodes, nodes, indexing="ij")).astype(np.float16)
    return subjects.Subject(
        name="brain" if t1w else "labels",
        tissue=tissue,
        mask=mask,
        t1w=(image * mask).astype(np.uint8) if t1w else None,
        levels=levels if t1w else None,
        affine=affine(),
        template=template,
    )


def lesion(radius=9, center=(-13, 0, 0)):
    """A ball in the left hemisphere of the template."""
    data = ball(radius, center)
    box = bounding_box(data, 1)
    start = affine()
    start[:3, 3] += [part.start for part in box]
    return subjects.Lesion(f"ball-{radius}", data[box], start, float(data.sum() / 1000))


def simulator(**ranges):
    """A simulator of the toy heads at 2 mm; ``ranges`` replaces settings of the recipe."""
    return synthesis.Simulator(
        [head(), head(t1w=True)], [lesion(), lesion(5)], (32, 32, 32), 2.0, RECIPE["synthesis"] | ranges
    )


STILL = {  # no pose, warp or artifact: the head stays in place
    "scale": [1, 1],
    "rotation": 0,
    "shift": 0,
    "warp": 0,
    "lesion_rotation": 0,
    "lesion_shift": 0,
    "lesion_warp": 0,
    "lost_cavity": 0,
    "misalignment": 0,
    "cut": 0,
    "arbitrary": 0,
    "distractors": {"atrophy": 0, "hyperintensities": 0, "perivascular": 0},
}
