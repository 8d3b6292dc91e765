"""Findings that resemble a stroke: widened sulci, hyperintensities, perivascular spaces.

Lengths are in mm. Values are drawn uniformly from their ranges.
"""

import torch

from .appearance import Box, Head
from .fields import Draw, blur, lerp, ramp


def widen(head: Head, region: torch.Tensor, draw: Draw, box: Box = ...) -> None:
    """Widen ventricles and sulci in a ``region`` (weights), as in atrophy."""
    spacing = head.spacing
    sulci = blur(head.fluid[box], draw.uniform(0.8, 2.8) / spacing) * draw.uniform(0.8, 2.4)
    weight = sulci.clamp(0, 1) ** 1.5
    ventricles = head.ventricles[box]
    if ventricles.any():
        spread = blur(ventricles, draw.uniform(2, 6) / spacing)
        wide = ramp(spread, draw.uniform(0.1, 0.4), 0.15)
        weight = torch.maximum(weight, wide)
        head.ventricles[box] = ventricles | ((wide * region > 0.5) & head.mask[box])
    weight = weight * region * head.mask[box]
    head.fluid[box] = torch.maximum(head.fluid[box], weight)
    head.blend("fluid", weight, box)


def hyperintensities(head: Head, draw: Draw) -> None:
    """Paint white matter hyperintensities: caps around the ventricles and spots in white matter."""
    shape, spacing = head.mask.shape, head.spacing
    weight = torch.zeros(shape, device=head.mask.device)
    if draw.chance(0.7):
        near = blur(head.ventricles, draw.uniform(3, 7) / spacing)
        uneven = 0.15 * draw.field(shape, 12 / spacing)
        weight = ramp(near + uneven, draw.uniform(0.15, 0.5), 0.15)
    if draw.chance(0.7):
        number = int(draw.rng.integers(2, 40))
        weight = torch.maximum(
            weight, _spots(head.white, number, draw.uniform(0.8, 2.5), draw, spacing)
        )
    weight = weight * blur(head.white, 1 / spacing) * draw.uniform(0.3, 1)
    for contrast, image in head.images.items():
        drawn = head.intensities[contrast]
        mild = draw.uniform(0, 0.5) if contrast == "T1w" else draw.uniform(0.5, 1)
        level = 1 + mild * (drawn["gliosis"] - 1)
        image.copy_(lerp(image, level, weight))


def perivascular(head: Head, draw: Draw) -> None:
    """Paint perivascular spaces: thin fluid-filled streaks in white matter and basal ganglia."""
    number = int(draw.rng.integers(5, 60))
    streaks = _spots(head.white, number, draw.uniform(0.5, 0.9), draw, head.spacing)
    axis, reach = int(draw.rng.integers(3)), int(draw.rng.integers(1, 4))
    rolled = [streaks.roll(step, axis) for step in range(-reach, reach + 1)]
    streaks = torch.stack(rolled).amax(0)
    head.blend("fluid", streaks * head.mask * draw.uniform(0.2, 0.7))


def _spots(mask: torch.Tensor, number: int, sigma: float, draw: Draw, spacing: float) -> torch.Tensor:
    """Return blurred points at random voxels of ``mask``, each about 1 at its center."""
    points = torch.zeros(mask.shape, device=mask.device)
    voxels = mask.flatten().nonzero()[:, 0]
    if not len(voxels):
        return points
    indices = draw.rng.integers(len(voxels), size=number)
    points.view(-1)[voxels[torch.from_numpy(indices).to(voxels.device)]] = 1
    spread = blur(points, sigma / spacing)
    return (spread / spread.max().clamp_min(1e-6)).clamp(0, 1)
