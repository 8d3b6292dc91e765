"""Digital heads with a chronic stroke lesion, scanned as T1w and FLAIR.

A head is painted tissue by tissue, partial volumes included, around the MNI152 template (ICBM
2009a symmetric, inside nilearn). A scan pulls it back through pose, size, shape and ex-vacuo
shift, composed, so that every volume is interpolated once. World coordinates are RAS, in mm;
``head`` coordinates are the patient's own, before the pose.
"""

from dataclasses import dataclass

import nibabel as nib
import numpy as np
from nibabel.affines import apply_affine, from_matvec
from scipy import ndimage
from scipy.spatial.transform import Rotation

from bids_stroke.spatial.grid import resample

CONTRASTS = ("T1w", "FLAIR")
# Relative intensities in T1w and FLAIR.
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
# Extracranial organs: tissue, centre and radii (mm); mirrored to the left.
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
# The outline of the head below the skull, as ellipsoids: face, jaw, neck, nose, ear.
OUTLINE = (
    ((0, 30, -55), (68, 66, 70)),
    ((0, 45, -95), (48, 48, 35)),
    ((0, -30, -150), (60, 62, 120)),
    ((0, 96, -48), (13, 22, 20)),
    ((80, -18, -38), (7, 15, 28)),
)
# Points of the right lateral ventricle: horn, body, atrium.
VENTRICLE = ((14, 20, 8), (16, -10, 22), (26, -42, 14))
CORNERS = np.array([[-93, -128, -148], [93, 121, 107]])  # of the template's extended grid (mm)
COARSE = 3.0  # mm between the samples of random fields, whatever the resolution of the head
CONTROL = 40.0  # mm between the control points of the deformation


@dataclass(frozen=True)
class Template:
    """What all heads share.

    On a grid of ``resolution`` mm: mean ``T1w``, fractions of ``gm``, ``wm`` and ``brain`` (cord
    included). At ``COARSE`` spacing: smoothed fluid (``csf``), and the distances (mm, positive
    outside) from ``skull`` (its inner surface) and ``skin``.
    """

    resolution: float
    T1w: np.ndarray
    gm: np.ndarray
    wm: np.ndarray
    brain: np.ndarray
    csf: np.ndarray
    skull: np.ndarray
    skin: np.ndarray


@dataclass(frozen=True)
class Warp:
    """Map from head to template: affine, then cubic B-spline deformation and ex-vacuo shift.

    Control displacements below 0.4 of their spacing keep the deformation one to one (Rueckert et
    al., MICCAI 2006).
    """

    affine: np.ndarray
    control: np.ndarray
    centre: np.ndarray
    shift: np.ndarray

    def __call__(self, points):
        """Map ``points`` (..., 3)."""
        points = apply_affine(self.affine, points)
        knots = np.moveaxis((points - CORNERS[0]) / CONTROL + 1, -1, 0)
        free = [
            ndimage.map_coordinates(values, knots, order=3, prefilter=False, mode="nearest")
            for values in self.control
        ]
        near = np.exp(-((points - self.centre) ** 2).sum(-1, keepdims=True) / (2 * 12**2))
        return points + np.stack(free, -1) + near * self.shift


@dataclass(frozen=True)
class Head:
    """Relative intensities ``T1w``, ``FLAIR`` and fractions ``lesion``, ``brain`` in ``volumes``,
    on the grid of the template; ``warp`` maps head to template coordinates."""

    resolution: float
    volumes: dict
    warp: Warp


def template(resolution=1.0):
    """Build what all heads share, on a grid of ``resolution`` mm (1 or coarser)."""
    from nilearn import datasets

    loaders = (
        datasets.load_mni152_template,
        datasets.load_mni152_gm_template,
        datasets.load_mni152_wm_template,
    )
    images = [load(resolution=1) for load in loaders]
    where = _box(images[0].get_fdata() > 0, margin=6)
    affine = images[0].slicer[where].affine
    t1w, gm, wm = (img.get_fdata(dtype=np.float32)[where] for img in images)
    brain = (t1w > 0).astype(np.float32)
    fluid = np.maximum(brain - gm - wm, 0)
    csf = ndimage.gaussian_filter(_extend(fluid, affine, COARSE), 1)
    # Fissures closed and 2.5 mm of fluid added.
    dilated = _outwards(_extend(brain, affine, COARSE) > 0.5) < 15
    skull = ndimage.gaussian_filter(_outwards(_outwards(dilated) < -15), 1) - 2.5
    head = skull < 13
    for centre, radii in OUTLINE:
        for mirror in (-1, 1):
            where, depth = _ellipsoid(centre * np.array([mirror, 1, 1]), radii, COARSE)
            head[where] |= depth > 0
    skin = ndimage.gaussian_filter(_outwards(head), 1)
    t1w, gm, wm, brain = (_extend(data, affine, resolution) for data in (t1w, gm, wm, brain))
    t1w /= np.maximum(brain, 0.01)
    return Template(resolution, t1w, gm, wm, brain, csf, skull, skin)


def head(template, side, rng):
    """Draw a head with one lesion in the territory of the middle cerebral artery.

    Parameters
    ----------
    side : {"left", "right"}
        Hemisphere of the lesion; its volume is drawn around 27 to 70 ml.
    """
    sign = {"left": -1, "right": 1}[side]
    centre = np.array([43, -8, 10]) + rng.normal(0, (2, 9, 6))
    ventricle = min(VENTRICLE, key=lambda point: np.linalg.norm(centre - point))
    outward = (centre - ventricle) / np.linalg.norm(centre - ventricle)
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
    lesion = _lesion(template, mirror * centre, ml, rng)
    _paint_hyperintensities(contrasts, template, lesion, rng)
    _paint_lesion(contrasts, template, lesion, rng)
    above = _axes(template.resolution)[2] > -72  # the cord below is not brain
    volumes = dict(zip(CONTRASTS, contrasts, strict=True), lesion=lesion, brain=template.brain * above)
    return Head(template.resolution, volumes, warp)


def _surroundings(template, rng):
    """Paint everything but the brain; returns the two contrasts."""
    resolution = template.resolution
    contrasts = [np.full(template.gm.shape, value, np.float32) for value in INTENSITY["air"]]
    thickness = 1 + 0.12 * _noise(12, rng)
    depth = _fine(-template.skin / thickness, template)
    _paint(contrasts, _step(depth, resolution), "skin")
    _paint(contrasts, _step(depth - 2, resolution), "fat")
    _paint(contrasts, _step(depth - 6.5, resolution), "muscle")
    streaks = _fine(_noise(3, rng), template)
    _paint(contrasts, np.clip(streaks - 0.6, 0, 1) * (depth > 6), "fat")
    for tissue, centre, radii in ORGANS:
        for mirror in (-1, 1):
            where, inside = _ellipsoid(centre * np.array([mirror, 1, 1]), radii, resolution)
            _paint([volume[where] for volume in contrasts], _step(inside, resolution), tissue)
    height = _fine(template.skull / thickness, template)
    _paint(contrasts, _step(7 - height, resolution), "bone")
    _paint(contrasts, _step(np.minimum(height - 2.5, 5 - height), resolution), "marrow")
    _paint(contrasts, _step(0.8 - height, resolution), "dura")
    _paint(contrasts, _step(-height, resolution), "csf")
    return contrasts


def _paint_brain(contrasts, template, rng):
    """Paint the brain: sharpened fractions, and the texture of the mean T1w."""
    where = _box(template.brain > 0)
    gm, wm, brain = (getattr(template, name)[where] for name in ("gm", "wm", "brain"))
    mottle = _fine(_noise(6, rng), template)[where]
    # Atrophy, uneven; the square undoes some of the blur of an average of many brains.
    csf = np.clip(brain - gm - wm, 0, 1) * np.exp(rng.uniform(0, 0.5) + 0.4 * mottle)
    fractions = np.stack([csf, gm, wm]) ** 2 + 1e-6
    fractions /= fractions.sum(0)
    for index, volume in enumerate(contrasts):
        values = [INTENSITY[tissue][index] for tissue in ("csf", "gm", "wm")]
        tissue = np.tensordot(np.float32(values), fractions, 1)
        if index == 0:
            tissue = 0.6 * tissue + 0.4 * template.T1w[where]
        volume[where] += brain * (tissue * (1 + 0.02 * mottle) - volume[where])


def _lesion(template, centre, ml, rng):
    """Fraction of lesion: a noisy ellipsoid cut to the territory, of ``ml`` before the warp."""
    resolution = template.resolution
    x, y, z = axes = _axes(COARSE)
    radii = 25 * np.array([0.8, 1.2, 1.0]) * rng.uniform(0.9, 1.1, 3)
    core = 25 * (1 - _radius(axes, centre, radii)) + 5 * _noise(7, rng) + 1.5 * _noise(3, rng)
    # In one hemisphere, above the tentorium, and out of the ventricles.
    tissue = 15 * (0.5 - template.csf)
    above = z + 22 + 0.4 * y + 3 * _noise(6, rng)
    territory = np.minimum(np.minimum(np.sign(centre[0]) * x - 8, above), tissue)
    core, territory = _fine(core, template), _fine(territory, template)
    candidates = core[(territory > 0) & (template.brain > 0.5)]
    rank = candidates.size - round(ml * 1000 / resolution**3)
    depth = np.minimum(core - np.partition(candidates, rank)[rank], territory)
    labels, _ = ndimage.label(depth > -resolution / 2)
    largest = labels == np.bincount(labels.ravel())[1:].argmax() + 1
    return _step(depth, resolution) * largest * template.brain


def _paint_lesion(contrasts, template, lesion, rng):
    """Paint gliosis, and a cavity where the spared tissue is further than the rim is wide."""
    where = _box(lesion > 0, margin=round(12 / template.resolution))
    spared = (template.brain[where] > 0.5) & (lesion[where] < 0.5)
    depth = ndimage.distance_transform_edt(~spared) * template.resolution
    noise = _fine(_noise(5, rng), template)[where]
    parts = [volume[where] for volume in contrasts]
    _paint(parts, lesion[where] * np.clip(0.75 + 0.12 * noise, 0, 1), "gliosis")
    cavity = _step(depth - np.clip(5 + 2 * noise, 2, 10), template.resolution)
    _paint(parts, lesion[where] * cavity, "csf")


def _paint_hyperintensities(contrasts, template, lesion, rng):
    """Paint a few spots in the deep white matter."""
    x, _, z = _axes(template.resolution)
    deep = (template.wm > 0.95) & (lesion == 0) & (np.abs(x) < 36) & (z > 5)
    for index in rng.choice(np.flatnonzero(deep), rng.integers(4, 10)):
        spot = CORNERS[0] + np.multiply(np.unravel_index(index, deep.shape), template.resolution)
        where, depth = _ellipsoid(spot, rng.uniform(2, 5, 3), template.resolution)
        weight = _step(depth, 2 * template.resolution) * template.wm[where] * (1 - lesion[where])
        _paint([volume[where] for volume in contrasts], weight, "hyperintensity")


def _paint(contrasts, weight, tissue):
    for volume, value in zip(contrasts, INTENSITY[tissue], strict=True):
        volume += weight * (np.float32(value) - volume)


def _step(depth, width):
    """Fraction of a voxel of ``width`` mm inside a surface, ``depth`` mm below it."""
    return np.clip(0.5 + depth / width, 0, 1)


def _ellipsoid(centre, radii, resolution):
    """Box around an ellipsoid (slices of the grid) and, in it, the depth in mm, roughly."""
    axes = [axis.ravel() for axis in _axes(resolution)]
    where = tuple(
        slice(*np.searchsorted(axis, (c - r - 4, c + r + 4)))
        for axis, c, r in zip(axes, centre, radii, strict=True)
    )
    axes = np.ix_(*(axis[part] for axis, part in zip(axes, where, strict=True)))
    return where, (1 - _radius(axes, centre, radii)) * min(radii)


def _radius(axes, centre, radii):
    """Distance from the centre of an ellipsoid, 1 on its surface."""
    terms = zip(axes, centre, radii, strict=True)
    return sum(((axis - c) / r) ** 2 for axis, c, r in terms) ** 0.5


def _box(mask, margin=0):
    """Slices around a mask."""
    parts = ndimage.find_objects(mask.astype(np.uint8))[0]
    return tuple(slice(max(part.start - margin, 0), part.stop + margin) for part in parts)


def _shape(resolution):
    return tuple(map(int, (CORNERS[1] - CORNERS[0]) // resolution + 1))


def _axes(resolution):
    """Coordinates (mm) along the template's extended grid, as three open arrays."""
    return np.ix_(
        *(
            np.float32(low) + np.arange(size, dtype=np.float32) * np.float32(resolution)
            for low, size in zip(CORNERS[0], _shape(resolution), strict=True)
        )
    )


def _extend(data, affine, resolution):
    """Volume of the template on the extended grid, the cord continued downwards."""
    # The lowest slice of the template is cut short; the next one is repeated.
    below = int(affine[2, 3] - CORNERS[0, 2]) + 1
    data = np.pad(data[:, :, 1:], ((0, 0), (0, 0), (below, 0)), mode="edge")
    data = ndimage.gaussian_filter(data, (resolution - 1) / 2)
    blank = np.broadcast_to(np.uint8(0), _shape(resolution))
    grid = nib.Nifti1Image(blank, from_matvec(np.eye(3) * resolution, CORNERS[0]))
    source = nib.Nifti1Image(data, affine @ from_matvec(np.eye(3), (0, 0, 1 - below)))
    return np.asanyarray(resample(source, grid).dataobj)


def _outwards(mask):
    """Signed distance (mm, negative inside) from the surface of a mask at ``COARSE`` spacing."""
    edt = ndimage.distance_transform_edt
    return (COARSE * (edt(~mask) - edt(mask))).astype(np.float32)


def _noise(width, rng):
    """Gaussian random field of unit variance at ``COARSE`` spacing, ``width`` mm smooth."""
    field = rng.standard_normal(_shape(COARSE), dtype=np.float32)
    field = ndimage.gaussian_filter(field, width / COARSE)
    return field / field.std()


def _fine(field, template):
    """Bring a field from ``COARSE`` spacing to the template's grid."""
    scale = np.eye(3) * template.resolution / COARSE
    return ndimage.affine_transform(
        field, scale, output_shape=template.gm.shape, order=1, mode="nearest"
    )


def enlarge(array, shape):
    """Interpolate over ``shape``, first and last samples kept in place."""
    return ndimage.zoom(array, np.divide(shape, array.shape), np.float32, order=1)
