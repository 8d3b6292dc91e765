"""Artifacts of scanner, patient motion and brain extraction in images and masks.

Intensities are relative to white matter. Lengths are in mm. Values are drawn uniformly from their
ranges.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch.nn import functional

from bids_stroke.training.recipe_settings import Section

from .fields import Draw, blur, dilate, erode

SLICE_MM = (2.0, 6.0)


def shift(image: torch.Tensor, offset: Sequence[float] | np.ndarray) -> torch.Tensor:
    """Shift an image by fractions of a voxel with linear interpolation."""
    for axis, step in enumerate(offset):
        moved = image.roll(1 if step > 0 else -1, axis)
        image = image + abs(step) * (moved - image)
    return image


def bias(image: torch.Tensor, spacing: float, draw: Draw) -> torch.Tensor:
    """Apply a random receive field."""
    return image * torch.exp(draw.uniform(0, 0.2) * draw.field(image.shape, 70 / spacing))


def thick_slices(
    image: torch.Tensor, spacing: float, draw: Draw, thickness: Sequence[float] = SLICE_MM
) -> torch.Tensor:
    """Average slices of a random ``thickness`` (range in mm) along one axis and interpolate back."""
    axis = int(draw.rng.integers(3))
    factor = max(2, round(draw.uniform(*thickness) / spacing))
    kernel = [factor if other == axis else 1 for other in range(3)]
    pooled = functional.avg_pool3d(image[None], kernel, ceil_mode=True)[0]
    shape = [side * k for side, k in zip(pooled.shape, kernel, strict=True)]
    batch = functional.interpolate(pooled[None, None], shape, mode="trilinear", align_corners=False)
    return batch[0, 0][tuple(slice(side) for side in image.shape)]


def motion(image: torch.Tensor, spacing: float, draw: Draw) -> torch.Tensor:
    """Add motion artifacts: some k-space lines are acquired with the head shifted by a few mm."""
    axis, step = int(draw.rng.integers(3)), round(draw.uniform(1, 5) / spacing)
    lines = image.shape[axis] // 2 + 1
    position = torch.linspace(0, 1, lines, device=image.device)
    start = draw.uniform(0.08, 0.6)
    moved = (position > start) & (position < start + draw.uniform(0.05, 0.3))
    moved = moved.reshape([-1 if other == axis else 1 for other in range(3)])
    kspace = torch.fft.rfft(image, dim=axis)
    other = torch.fft.rfft(image.roll(max(step, 1), (axis + 1) % 3), dim=axis)
    mixed = torch.where(moved, other, kspace)
    return torch.fft.irfft(mixed, n=image.shape[axis], dim=axis)


def zipper(image: torch.Tensor, draw: Draw) -> torch.Tensor:
    """Add a stripe of noise across the volume."""
    axis = int(draw.rng.integers(3))
    position = int(draw.rng.integers(image.shape[axis]))
    image = image.clone()
    stripe = image.narrow(axis, position, 1)
    stripe += draw.uniform(0.2, 0.8) * draw.noise(stripe.shape)
    return image


def noise(image: torch.Tensor, draw: Draw, level: Sequence[float] | None = None) -> torch.Tensor:
    """Add Rician noise of a random ``level`` (range); by default up to 0.03, or 0.08 in 5% of scans."""
    if level is None:
        level = (0.04, 0.08) if draw.chance(0.05) else (0.0, 0.03)
    sigma = draw.uniform(*level)
    real = image + sigma * draw.noise(image.shape)
    return torch.hypot(real, sigma * draw.noise(image.shape))


def scan(
    image: torch.Tensor, contrast: str, spacing: float, ranges: Section, draw: Draw
) -> torch.Tensor:
    """Simulate a scan of an image: receive field, contrast curve, resolution, motion, noise.

    ``ranges`` is the ``scanner`` section of the recipe: probability of each artifact and, optionally,
    ``noise_level`` by contrast (relative to white matter) and ``slice_mm``.
    """
    level = ranges.get("noise_level", {}).get(contrast)
    image = bias(image, spacing, draw).clamp_min(0)
    image = image ** draw.rng.lognormal(0, 0.15)
    if draw.chance(ranges["noise"]):
        image = noise(image, draw, level)
    if draw.chance(ranges["thick_slices"]):
        image = thick_slices(image, spacing, draw, ranges.get("slice_mm", SLICE_MM))
    elif draw.chance(ranges["blur"]):
        image = blur(image, draw.uniform(0.4, 1.1) / spacing)
    if draw.chance(ranges["motion"]):
        image = motion(image, spacing, draw)
    if draw.chance(ranges["zipper"]):
        image = zipper(image, draw)
    return noise(image, draw, level) if draw.chance(ranges["noise"]) else image


def simulate_extraction(
    mask: torch.Tensor, fluid: torch.Tensor, spacing: float, draw: Draw
) -> torch.Tensor:
    """Return a brain mask with errors of brain extraction.

    The mask is either smooth and includes surrounding ``fluid`` (bool), or it is a few mm too wide or,
    less often, too narrow in some regions.
    """
    if draw.chance(0.5):
        return _round_mask(mask, fluid, spacing, draw)
    region = draw.field(mask.shape, 25 / spacing) > draw.uniform(-1.5, 1)
    if draw.chance(0.6):
        return torch.where(region, dilate(mask, max(1, round(draw.uniform(1, 4) / spacing))), mask)
    return torch.where(region, erode(mask, max(1, round(draw.uniform(1, 2) / spacing))), mask)


def _round_mask(mask: torch.Tensor, fluid: torch.Tensor, spacing: float, draw: Draw) -> torch.Tensor:
    """Close and smooth the mask and include surrounding fluid, as networks for brain extraction do."""
    closing, margin = (max(1, round(draw.uniform(*span) / spacing)) for span in ((2, 9), (1, 12)))
    closed = erode(dilate(mask, closing), closing)
    wide = closed | (fluid & dilate(mask, margin))
    return mask | (blur(wide, draw.uniform(1, 3) / spacing) > 0.5)


def exclude_cavity(
    mask: torch.Tensor,
    cavity: torch.Tensor,
    box: tuple[slice, ...],
    spacing: float,
    draw: Draw,
) -> torch.Tensor:
    """Exclude cavities near the brain surface from the mask, as brain extraction may do."""
    depth = max(1, round(draw.uniform(2, 8) / spacing))
    surface = ~erode(mask[box], depth)
    mask = mask.clone()
    mask[box] &= ~((cavity > 0.5) & surface)
    return mask


def crop_field_of_view(
    mask: torch.Tensor, spacing: float, draw: Draw
) -> tuple[torch.Tensor, torch.Tensor]:
    """Crop the field of view within the brain at the bottom or top, or by excessive defacing.

    Returns the cropped mask and the field of view (bool).
    """
    kept = torch.ones_like(mask)
    inside = mask.any(0)
    slices = inside.any(0).nonzero()[:, 0]
    low, high = int(slices[0]), int(slices[-1])
    kind = draw.rng.random()
    depth = round(draw.uniform(4, 30) / spacing)
    if kind < 0.5:
        kept[:, :, : low + depth] = False
    elif kind < 0.7:
        kept[:, :, high - depth :] = False
    else:
        y = torch.linspace(-1, 1, mask.shape[1], device=mask.device)[:, None]
        z = torch.linspace(-1, 1, mask.shape[2], device=mask.device)[None]
        slope = draw.uniform(0.5, 1.2)
        height = y - slope * z  # largest at the front and bottom of the brain
        kept &= (height < height[inside].max() - draw.uniform(0.02, 0.15))[None]
    return mask & kept, kept
