"""Random draws and volume operations on torch, the same on CPU and GPU.

Volumes are float32 tensors ``(x, y, z)``; widths are in voxels.
"""

from collections.abc import Sequence
from typing import TypeAlias, TypeVar

import numpy as np
import torch
from torch.nn import functional

Item = TypeVar("Item")
#: What decides all draws, as NumPy takes it.
Seed: TypeAlias = int | Sequence[int]


class Draw:
    """Random draws from one seed: scalars on the host, volumes on ``device``."""

    def __init__(self, seed: Seed, device: str | torch.device = "cpu") -> None:
        self.rng = np.random.default_rng(seed)
        self.device = torch.device(device)
        self.generator = torch.Generator(self.device)
        self.generator.manual_seed(int(self.rng.integers(2**62)))

    def uniform(self, low: float, high: float) -> float:
        """A number between two others."""
        return float(self.rng.uniform(low, high))

    def chance(self, probability: float) -> bool:
        """True with a probability."""
        return bool(self.rng.random() < probability)

    def pick(self, items: Sequence[Item], weights: Sequence[float] | None = None) -> Item:
        """One of ``items``, by ``weights`` that sum to any positive number."""
        shares = None if weights is None else np.array(weights) / np.sum(weights)
        return items[self.rng.choice(len(items), p=shares)]

    def noise(self, shape: Sequence[int]) -> torch.Tensor:
        """White noise of unit variance."""
        return torch.randn(tuple(shape), generator=self.generator, device=self.device)

    def field(self, shape: Sequence[int], width: float) -> torch.Tensor:
        """Random field of unit variance that varies over ``width`` voxels."""
        nodes = [max(2, round(side / width) + 1) for side in shape]
        field = resize(self.noise(nodes), shape)
        return field / field.std().clamp_min(1e-6)


def resize(volume: torch.Tensor, shape: Sequence[int]) -> torch.Tensor:
    """Trilinear interpolation between the centers of the outer voxels; ``(x, y, z)`` or channels
    first."""
    batch = volume[(None,) * (5 - volume.ndim)]
    resized = functional.interpolate(batch, tuple(shape), mode="trilinear", align_corners=True)
    return resized.reshape(*volume.shape[:-3], *shape)


def blur(volume: torch.Tensor, sigma: float) -> torch.Tensor:
    """Gaussian smoothing; wide kernels work at half the resolution."""
    volume = volume.float()
    if sigma > 2.5 and min(volume.shape) > 8:
        half = functional.avg_pool3d(volume[None], 2, ceil_mode=True)[0]
        # Averaging over two voxels adds a variance of 1/4 voxel, interpolation about as much.
        return resize(blur(half, (sigma**2 - 0.5) ** 0.5 / 2), volume.shape)
    if sigma < 0.2:
        return volume
    reach = int(np.ceil(2.5 * sigma))
    weights = np.exp(-0.5 * (np.arange(reach + 1) / sigma) ** 2)
    weights /= weights[0] + 2 * weights[1:].sum()
    for axis, side in enumerate(volume.shape):
        out = volume * float(weights[0])
        for step, weight in enumerate(weights[1 : min(reach, side - 1) + 1], 1):
            length = side - step
            later, earlier = (volume.narrow(axis, start, length) for start in (step, 0))
            out.narrow(axis, 0, length).add_(later, alpha=float(weight))
            out.narrow(axis, step, length).add_(earlier, alpha=float(weight))
        volume = out
    return volume


def dilate(mask: torch.Tensor, radius: int) -> torch.Tensor:
    """Binary dilation by a cube of ``radius`` voxels each way."""
    pooled = mask.float()[None]
    for axis in range(3):
        sides = [radius if other == axis else 0 for other in range(3)]
        pooled = functional.max_pool3d(pooled, [2 * side + 1 for side in sides], 1, sides)
    return pooled[0] > 0.5


def erode(mask: torch.Tensor, radius: int) -> torch.Tensor:
    """Binary erosion by a cube of ``radius`` voxels each way."""
    return ~dilate(~mask, radius)


def lerp(image: torch.Tensor, value: torch.Tensor | float, weight: torch.Tensor) -> torch.Tensor:
    """``value`` where ``weight`` is 1, ``image`` where it is 0."""
    return image + weight * (value - image)


def ramp(values: torch.Tensor, threshold: float, width: float) -> torch.Tensor:
    """0 below ``threshold``, 1 above, linear over ``width``."""
    return ((values - threshold) / width + 0.5).clamp(0, 1)


def standardize(image: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Zero mean and unit variance inside ``mask``, zero outside (as inference does)."""
    inside = image[mask]
    return torch.where(mask, (image - inside.mean()) / inside.std(correction=0).clamp_min(1e-6), 0)
