"""Simulated strokes on a T1w brain: arrays in, arrays out.

Every function takes arrays on one 2 mm grid and a :class:`numpy.random.Generator`. Intensities
are relative to white matter (1). Ranges come from the recipe's ``synthesis`` section and are drawn
uniformly.
"""

import numpy as np
import torch
from scipy import ndimage

from bids_stroke.image import zscore

SULCAL = 0.45  # darker than this, relative to white matter, counts as fluid


def smooth_field(shape, scale, rng):
    """Random field of unit variance that varies over ``scale`` voxels."""
    nodes = [max(2, round(side / scale) + 1) for side in shape]
    coarse = torch.from_numpy(rng.standard_normal(nodes).astype(np.float32))
    field = torch.nn.functional.interpolate(
        coarse[None, None], size=tuple(shape), mode="trilinear", align_corners=True
    )[0, 0].numpy()
    return field / max(float(field.std()), 1e-6)


def bounding_box(mask, margin):
    """Slices around the true voxels of ``mask``, ``margin`` voxels wider on each side."""
    box = []
    for axis, side in enumerate(mask.shape):
        others = tuple(other for other in range(mask.ndim) if other != axis)
        hits = np.flatnonzero(mask.any(axis=others))
        box.append(slice(max(hits[0] - margin, 0), min(hits[-1] + 1 + margin, side)))
    return tuple(box)


def blend(image, value, weight):
    """``value`` where ``weight`` is 1, ``image`` where it is 0."""
    return image + weight * (value - image)


def blur(data, sigma):
    return ndimage.gaussian_filter(np.asarray(data, np.float32), sigma, truncate=3)


def widen(image, ventricles, region, csf, rng, ranges):
    """Widen the ventricles and the sulci within ``region`` (weights 0-1), as atrophy does."""
    sulci = np.clip((SULCAL + 0.05 - image) / 0.25, 0, 1)
    sulci = blur(sulci, rng.uniform(*ranges["sulcal_sigma"])) * rng.uniform(0.8, 2.2)
    sulci = np.clip(sulci, 0, 1)
    image = blend(image, csf, sulci**1.5 * region)
    if ventricles.any():
        spread = blur(ventricles, rng.uniform(*ranges["ventricle_sigma"]))
        threshold = rng.uniform(*ranges["ventricle_threshold"])
        wide = np.clip((spread - threshold) / 0.15 + 0.5, 0, 1)
        image = blend(image, csf, wide * region)
    return image


def random_region(shape, rng):
    """A smooth region: everywhere, one half (x), or a random part of the brain."""
    kind = rng.choice(["everywhere", "half", "part"])
    if kind == "everywhere":
        return np.float32(1)
    if kind == "half":
        ramp = np.linspace(-1, 1, shape[0], dtype=np.float32)[:, None, None]
        return np.clip(0.5 + 10 * ramp * rng.choice([-1, 1]), 0, 1)
    return np.clip(0.5 + smooth_field(shape, 30, rng), 0, 1)


def roughen(lesion, mask, ventricles, rng, amount):
    """Binary lesion from resampled weights, its border slightly deformed, within the brain.

    The ventricles are left out, as tracers do. What the deformation would erase stays undeformed.
    """
    soft = blur(lesion, 0.6)
    allowed = mask & ~ventricles
    deformed = soft + rng.uniform(0, amount) * smooth_field(lesion.shape, 4, rng) * (soft > 0.05)
    binary = (deformed > 0.5) & allowed
    if 2 * binary.sum() < (soft > 0.5).sum():
        binary = (lesion >= 0.5) & allowed
    return binary


def chronic(image, lesion, csf, rng, ranges):
    """A cavity with strands of tissue inside and a gliotic rim."""
    edge = blur(lesion, rng.uniform(0.4, 0.9))
    inner = blur(lesion, rng.uniform(*ranges["rim_sigma"]))
    inner = inner / max(float(inner.max()), 1e-6)
    threshold = rng.uniform(*ranges["cavity_threshold"])
    cavity = np.clip((inner - threshold) / rng.uniform(0.1, 0.4) + 0.5, 0, 1) * edge
    field = smooth_field(image.shape, rng.uniform(2, 5), rng)
    strands = np.exp(-((field / rng.uniform(0.1, 0.35)) ** 2)) * rng.uniform(0, 0.8)
    cavity = cavity * (1 - strands)
    halo = blur(lesion, rng.uniform(1, 2))
    image = image * (1 - edge * rng.uniform(*ranges["gliosis"]))
    image = image * (1 - halo * rng.uniform(0, ranges["halo"]))
    fluid = csf * rng.uniform(0.8, 1.4) + 0.03 * smooth_field(image.shape, 3, rng)
    return blend(image, fluid, cavity)


def subacute(image, lesion, rng, ranges):
    """Moderately dark tissue with soft edges."""
    edge = blur(lesion, rng.uniform(0.5, 1.2))
    texture = 1 + 0.2 * smooth_field(image.shape, rng.uniform(2, 6), rng)
    return image * (1 - edge * rng.uniform(*ranges["subacute"]) * texture)


def paste(image, mask, ventricles, lesion, csf, rng, ranges):
    """Paste one lesion.

    Parameters
    ----------
    image : array of float
        T1w relative to white matter.
    mask, ventricles : arrays of bool
        Brain, and its ventricles.
    lesion : array of float
        Lesion weights 0-1 on the same grid.

    Returns
    -------
    image, label : arrays
        The image with the lesion; the lesion, inside the brain and outside the ventricles.
    """
    label = np.zeros(image.shape, bool)
    image = image.copy()
    if not (lesion >= 0.5).any():
        return image, label
    box = bounding_box(lesion >= 0.5, 8)
    part, inside, lakes = image[box], mask[box], ventricles[box]
    binary = roughen(lesion[box], inside, lakes, rng, ranges["deformation"])
    if not binary.any():
        return image, label
    if rng.random() < ranges["subacute_share"]:
        pasted = subacute(part, binary, rng, ranges)
    else:
        pasted = chronic(part, binary, csf, rng, ranges)
        if rng.random() < ranges["ex_vacuo"]:
            near = np.clip(3 * blur(binary, 3), 0, 1)
            pasted = widen(pasted, lakes, near * ~binary, csf, rng, ranges)
    image[box] = np.where(inside, pasted, part)
    label[box] = binary
    return image, label


def spots(image, rng, ranges):
    """Small, mildly dark spots of white matter that are no stroke lesion."""
    white = np.argwhere(image > 0.85)
    if not len(white):
        return image
    number = rng.integers(*ranges["spots"])
    seeds = np.zeros(image.shape, np.float32)
    seeds[tuple(white[rng.integers(len(white), size=number)].T)] = 1
    spread = blur(seeds, rng.uniform(*ranges["spot_sigma"]))
    spread = np.clip(spread / spread.max(), 0, 1)
    return image * (1 - spread * rng.uniform(*ranges["spot_depth"]))


def scanner(image, rng, ranges):
    """Bias field, contrast change, thick slices or blur, and noise."""
    image = image * np.exp(rng.uniform(0, ranges["bias"]) * smooth_field(image.shape, 40, rng))
    image = np.clip(image, 0, None) ** np.exp(rng.normal(0, ranges["log_gamma"]))
    kind = rng.random()
    if kind < ranges["thick_slices"]:
        axis = rng.integers(3)
        image = ndimage.gaussian_filter1d(image, rng.uniform(0.5, 1.3), axis=axis)
    elif kind < ranges["thick_slices"] + ranges["blurred"]:
        image = blur(image, rng.uniform(0.3, 0.8))
    noise = rng.standard_normal(image.shape, dtype=np.float32)
    return image + rng.uniform(0, ranges["noise"]) * noise


def misjudge(mask, rng, ranges):
    """A brain mask that is 2-4 mm too wide, or 2 mm too narrow, in places; or cut off below."""
    kind = rng.random()
    where = smooth_field(mask.shape, 15, rng) > rng.uniform(-1.5, 1)
    if kind < ranges["wide_mask"]:
        wide = ndimage.binary_dilation(mask, iterations=int(rng.integers(1, 3)))
        mask = np.where(where, wide, mask)
    elif kind < ranges["wide_mask"] + ranges["narrow_mask"]:
        mask = np.where(where, ndimage.binary_erosion(mask), mask)
    if rng.random() < ranges["cut_below"]:
        floor = bounding_box(mask, 0)[2].start
        mask = mask.copy()
        mask[:, :, : floor + rng.integers(2, 15)] = False
    return mask


def simulate(image, mask, ventricles, lesions, rng, ranges):
    """One training sample.

    Parameters
    ----------
    image : array of float
        T1w in any unit, with anything outside the brain.
    mask, ventricles : arrays of bool
    lesions : list of arrays of float
        Lesion weights on the same grid; may be empty.
    ranges : dict
        The recipe's ``synthesis`` section.

    Returns
    -------
    image, label, mask : arrays
        Standardized image (float32), lesion and the brain mask that the network is given (bool).
    """
    image = image / np.percentile(image[mask], 85)
    csf = rng.uniform(*ranges["csf"])
    image = np.where(mask, image, csf * rng.uniform(0.3, 1.1)).astype(np.float32)
    if rng.random() < ranges["atrophy"]:
        region = random_region(image.shape, rng)
        image = np.where(mask, widen(image, ventricles, region, csf, rng, ranges), image)
    if rng.random() < ranges["spotted"]:
        image = spots(image, rng, ranges)
    label = np.zeros(image.shape, bool)
    for lesion in lesions:
        image, pasted = paste(image, mask, ventricles, lesion, csf, rng, ranges)
        label |= pasted
    image = scanner(image, rng, ranges)
    mask = misjudge(mask, rng, ranges)
    return zscore(image, mask), label & mask, mask
