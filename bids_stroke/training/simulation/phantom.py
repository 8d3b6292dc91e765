"""Digital head phantoms with a chronic stroke lesion, in T1w and FLAIR.

A head is painted tissue by tissue, with partial volumes, around the MNI152 template (ICBM 2009a
symmetric, from nilearn). Pose, size, shape and ex-vacuo shift are composed for a scan, so that every
volume is interpolated once. World coordinates are RAS, in mm; ``head`` coordinates are those of the
patient before the pose.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from nibabel.affines import apply_affine, from_matvec
from scipy import ndimage
from scipy.spatial.transform import Rotation

from bids_stroke.spatial.grid import bounding_box

from .phantom_grid import COARSE, CORNERS, ellipsoid, grid_axes, radius, random_field, step
from .phantom_template import Template

CONTRASTS = ("T1w", "FLAIR")
# Relative intensities on T1w and FLAIR.
INTENSITY = {
    "air": (0.02, 0.02),
    "csf": (0.20, 0.10),
    "gm": (0.60, 0.62),
    "wm": (0.90, 0.50),
    "gliosis": (0.48, 0.95),
    "hyperintensity": (0.72, 0.88),
    "dura": (0.45, 0.30),
    "bone": (0.07, 0.06),
    "marrow": (0.55, 0.28),
    "muscle": (0.42, 0.22),
    "fat": (0.95, 0.50),
    "skin": (0.50, 0.38),
    "vitreous": (0.20, 0.10),
}
# Extracranial structures: tissue, center and radii (mm); mirrored to the left.
ORGANS = (
    ("fat", (31, 56, -38), (17, 22, 15)),
    ("vitreous", (32, 66, -39), (12, 12, 12)),
    ("air", (5, 62, -54), (7, 28, 22)),
    ("air", (5, 24, -44), (7, 11, 8)),
    ("air", (33, 52, -64), (12, 15, 15)),
    ("air", (2, 10, -92), (10, 8, 36)),
    ("air", (52, -30, -48), (8, 10, 10)),
    ("bone", (0, -20, -110), (17, 12, 34)),
    ("marrow", (0, -20, -110), (14, 9, 32)),
)
# Points of the right lateral ventricle: frontal horn, body, atrium.
VENTRICLE = ((14, 20, 8), (16, -10, 22), (26, -42, 14))
CONTROL = 40.0  # mm between the control points of the deformation


@dataclass(frozen=True)
class Warp:
    """Map from head to template: affine, then cubic B-spline deformation and ex-vacuo shift.

    Control displacements below 0.4 of their spacing keep the deformation invertible (Rueckert et al.,
    MICCAI 2006).
    """

    affine: np.ndarray
    control: np.ndarray
    center: np.ndarray
    shift: np.ndarray

    def __call__(self, points: np.ndarray) -> np.ndarray:
        """Map ``points`` (..., 3)."""
        points = apply_affine(self.affine, points)
        knots = np.moveaxis((points - CORNERS[0]) / CONTROL + 1, -1, 0)
        free = [
            ndimage.map_coordinates(values, knots, order=3, prefilter=False, mode="nearest")
            for values in self.control
        ]
        near = np.exp(-((points - self.center) ** 2).sum(-1, keepdims=True) / (2 * 12**2))
        return points + np.stack(free, -1) + near * self.shift


@dataclass(frozen=True)
class Head:
    """Head phantom.

    ``volumes`` holds relative intensities (``T1w``, ``FLAIR``) and fractions (``lesion``, ``brain``) on
    the grid of the template; ``warp`` maps head to template coordinates.
    """

    resolution: float
    volumes: dict[str, np.ndarray]
    warp: Warp


def head(template: Template, side: str, rng: np.random.Generator) -> Head:
    """Draw a head with one lesion in the territory of the middle cerebral artery.

    Parameters
    ----------
    side : {"left", "right"}
        Hemisphere of the lesion; its volume is drawn around 27 to 70 ml.
    """
    sign = {"left": -1, "right": 1}[side]
    center = np.array([43, -8, 10]) + rng.normal(0, (2, 9, 6))
    ventricle = min(VENTRICLE, key=lambda point: np.linalg.norm(center - point))
    outward = (center - ventricle) / np.linalg.norm(center - ventricle)
    mirror = np.array([sign, 1, 1])
    size = rng.uniform(0.9, 1.0) * rng.uniform(0.98, 1.02, 3)
    turn = Rotation.from_rotvec(rng.normal(0, 0.02, 3)).as_matrix()
    knots = np.ceil((CORNERS[1] - CORNERS[0]) / CONTROL).astype(int) + 3
    warp = Warp(
        from_matvec(turn @ np.diag(1 / size)),
        np.clip(rng.normal(0, 4.5, (3, *knots)), -0.35 * CONTROL, 0.35 * CONTROL),
        mirror * (ventricle + 7 * outward),
        mirror * outward * -rng.uniform(3, 5),
    )
    contrasts = _surroundings(template, rng)
    _paint_brain(contrasts, template, rng)
    ml = rng.uniform(27, 70) * np.linalg.det(warp.affine)
    lesion = _lesion(template, mirror * center, ml, rng)
    _paint_hyperintensities(contrasts, template, lesion, rng)
    _paint_lesion(contrasts, template, lesion, rng)
    above = grid_axes(template.resolution)[2] > -72  # the cord below is not brain
    volumes = dict(zip(CONTRASTS, contrasts, strict=True), lesion=lesion, brain=template.brain * above)
    return Head(template.resolution, volumes, warp)


def _surroundings(template: Template, rng: np.random.Generator) -> list[np.ndarray]:
    """Paint all tissues outside the brain and return the two contrasts."""
    resolution = template.resolution
    contrasts = [np.full(template.gm.shape, value, np.float32) for value in INTENSITY["air"]]
    thickness = 1 + 0.12 * random_field(12, rng)
    depth = template.fine(-template.skin / thickness)
    _paint(contrasts, step(depth, resolution), "skin")
    _paint(contrasts, step(depth - 2, resolution), "fat")
    _paint(contrasts, step(depth - 6.5, resolution), "muscle")
    streaks = template.fine(random_field(3, rng))
    _paint(contrasts, np.clip(streaks - 0.6, 0, 1) * (depth > 6), "fat")
    for tissue, center, radii in ORGANS:
        for mirror in (-1, 1):
            where, inside = ellipsoid(center * np.array([mirror, 1, 1]), radii, resolution)
            _paint([volume[where] for volume in contrasts], step(inside, resolution), tissue)
    height = template.fine(template.skull / thickness)
    _paint(contrasts, step(7 - height, resolution), "bone")
    _paint(contrasts, step(np.minimum(height - 2.5, 5 - height), resolution), "marrow")
    _paint(contrasts, step(0.8 - height, resolution), "dura")
    _paint(contrasts, step(-height, resolution), "csf")
    return contrasts


def _paint_brain(contrasts: Sequence[np.ndarray], template: Template, rng: np.random.Generator) -> None:
    """Paint the brain with sharpened tissue fractions and the texture of the mean T1w."""
    where = bounding_box(template.brain > 0)
    gm, wm, brain = (getattr(template, name)[where] for name in ("gm", "wm", "brain"))
    mottle = template.fine(random_field(6, rng))[where]
    # Uneven atrophy. The square reduces the blur of the average of many brains.
    csf = np.clip(brain - gm - wm, 0, 1) * np.exp(rng.uniform(0, 0.5) + 0.4 * mottle)
    fractions = np.stack([csf, gm, wm]) ** 2 + 1e-6
    fractions /= fractions.sum(0)
    for index, volume in enumerate(contrasts):
        values = [INTENSITY[tissue][index] for tissue in ("csf", "gm", "wm")]
        tissue = np.tensordot(np.array(values, np.float32), fractions, 1)
        if index == 0:
            tissue = 0.6 * tissue + 0.4 * template.T1w[where]
        volume[where] += brain * (tissue * (1 + 0.02 * mottle) - volume[where])


def _lesion(template: Template, center: np.ndarray, ml: float, rng: np.random.Generator) -> np.ndarray:
    """Draw the lesion fraction: a noisy ellipsoid within the territory, of ``ml`` before the warp."""
    resolution = template.resolution
    x, y, z = axes = grid_axes(COARSE)
    radii = 25 * np.array([0.8, 1.2, 1.0]) * rng.uniform(0.9, 1.1, 3)
    core = (
        25 * (1 - radius(axes, center, radii)) + 5 * random_field(7, rng) + 1.5 * random_field(3, rng)
    )
    # In one hemisphere, above the tentorium and outside the ventricles.
    tissue = 15 * (0.5 - template.csf)
    above = z + 22 + 0.4 * y + 3 * random_field(6, rng)
    territory = np.minimum(np.minimum(np.sign(center[0]) * x - 8, above), tissue)
    core, territory = template.fine(core), template.fine(territory)
    candidates = core[(territory > 0) & (template.brain > 0.5)]
    rank = candidates.size - round(ml * 1000 / resolution**3)
    depth = np.minimum(core - np.partition(candidates, rank)[rank], territory)
    labels, _ = ndimage.label(depth > -resolution / 2)
    largest = labels == np.bincount(labels.ravel())[1:].argmax() + 1
    return step(depth, resolution) * largest * template.brain


def _paint_lesion(
    contrasts: Sequence[np.ndarray],
    template: Template,
    lesion: np.ndarray,
    rng: np.random.Generator,
) -> None:
    """Paint gliosis, and a cavity where the distance to spared tissue exceeds the width of the rim."""
    where = bounding_box(lesion > 0, margin=round(12 / template.resolution))
    spared = (template.brain[where] > 0.5) & (lesion[where] < 0.5)
    depth = ndimage.distance_transform_edt(~spared) * template.resolution
    noise = template.fine(random_field(5, rng))[where]
    parts = [volume[where] for volume in contrasts]
    _paint(parts, lesion[where] * np.clip(0.75 + 0.12 * noise, 0, 1), "gliosis")
    cavity = step(depth - np.clip(5 + 2 * noise, 2, 10), template.resolution)
    _paint(parts, lesion[where] * cavity, "csf")


def _paint_hyperintensities(
    contrasts: Sequence[np.ndarray],
    template: Template,
    lesion: np.ndarray,
    rng: np.random.Generator,
) -> None:
    """Paint a few spots in the deep white matter."""
    x, _, z = grid_axes(template.resolution)
    deep = (template.wm > 0.95) & (lesion == 0) & (np.abs(x) < 36) & (z > 5)
    for index in rng.choice(np.flatnonzero(deep), rng.integers(4, 10)):
        spot = CORNERS[0] + np.multiply(np.unravel_index(index, deep.shape), template.resolution)
        where, depth = ellipsoid(spot, rng.uniform(2, 5, 3), template.resolution)
        weight = step(depth, 2 * template.resolution) * template.wm[where] * (1 - lesion[where])
        _paint([volume[where] for volume in contrasts], weight, "hyperintensity")


def _paint(contrasts: Sequence[np.ndarray], weight: np.ndarray, tissue: str) -> None:
    """Blend the contrasts towards a tissue."""
    for volume, value in zip(contrasts, INTENSITY[tissue], strict=True):
        volume += weight * (np.float32(value) - volume)
