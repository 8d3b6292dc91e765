"""Random draws and volume operations with torch, on CPU and GPU.

Volumes are float32 tensors (x, y, z). Widths are in voxels.
"""

from collections.abc import Sequence
from typing import TypeAlias, TypeVar

import numpy as np
import torch
from torch.nn import functional

Item = TypeVar("Item")
#: Seed of all draws, as in NumPy.
Seed: TypeAlias = int | Sequence[int]


class Draw:
    """Random draws from one seed: scalars on the CPU, volumes on ``device``."""

    def __init__(self, seed: Seed, device: str | torch.device = "cpu") -> None:
        self.rng = np.random.default_rng(seed)
        self.device = torch.device(device)
        self.generator = torch.Generator(self.device)
        self.generator.manual_seed(int(self.rng.integers(2**62)))

    def uniform(self, low: float, high: float) -> float:
        """Draw a number from a uniform distribution."""
        return float(self.rng.uniform(low, high))

    def chance(self, probability: float) -> bool:
        """Return True with the given probability."""
        return bool(self.rng.random() < probability)

    def pick(self, items: Sequence[Item], weights: Sequence[float] | None = None) -> Item:
        """Draw one of ``items``, optionally with unnormalized ``weights``."""
        shares = None if weights is None else np.array(weights) / np.sum(weights)
        return items[self.rng.choice(len(items), p=shares)]

    def noise(self, shape: Sequence[int]) -> torch.Tensor:
        """Draw white noise of unit variance."""
        return torch.randn(tuple(shape), generator=self.generator, device=self.device)

    def field(self, shape: Sequence[int], width: float) -> torch.Tensor:
        """Draw a smooth random field of unit variance with a correlation length of ``width`` voxels."""
        nodes = [max(2, round(side / width) + 1) for side in shape]
        field = resize(self.noise(nodes), shape)
        return field / field.std().clamp_min(1e-6)


def resize(volume: torch.Tensor, shape: Sequence[int]) -> torch.Tensor:
    """Resize a volume (x, y, z), or (channels, x, y, z), by trilinear interpolation.

    The centers of the outer voxels are aligned.
    """
    batch = volume[(None,) * (5 - volume.ndim)]
    resized = functional.interpolate(batch, tuple(shape), mode="trilinear", align_corners=True)
    return resized.reshape(*volume.shape[:-3], *shape)


def blur(volume: torch.Tensor, sigma: float) -> torch.Tensor:
    """Smooth with a Gaussian; wide kernels are applied at half the resolution."""
    volume = volume.float()
    if sigma > 2.5 and min(volume.shape) > 8:
        half = functional.avg_pool3d(volume[None], 2, ceil_mode=True)[0]
        # Averaging over two voxels adds a variance of 1/4 voxel; interpolation adds about the same.
        return resize(blur(half, (sigma**2 - 0.5) ** 0.5 / 2), volume.shape)
    if sigma < 0.2:
        return volume
    radius = int(np.ceil(2.5 * sigma))
    weights = np.exp(-0.5 * (np.arange(radius + 1) / sigma) ** 2)
    weights /= weights[0] + 2 * weights[1:].sum()
    for axis, side in enumerate(volume.shape):
        out = volume * float(weights[0])
        for step, weight in enumerate(weights[1 : min(radius, side - 1) + 1], 1):
            length = side - step
            later, earlier = (volume.narrow(axis, start, length) for start in (step, 0))
            out.narrow(axis, 0, length).add_(later, alpha=float(weight))
            out.narrow(axis, step, length).add_(earlier, alpha=float(weight))
        volume = out
    return volume


def dilate(mask: torch.Tensor, radius: int) -> torch.Tensor:
    """Dilate a mask by a cube of ``radius`` voxels in each direction."""
    pooled = mask.float()[None]
    for axis in range(3):
        sides = [radius if other == axis else 0 for other in range(3)]
        pooled = functional.max_pool3d(pooled, [2 * side + 1 for side in sides], 1, sides)
    return pooled[0] > 0.5


def erode(mask: torch.Tensor, radius: int) -> torch.Tensor:
    """Erode a mask by a cube of ``radius`` voxels in each direction."""
    return ~dilate(~mask, radius)


def lerp(image: torch.Tensor, value: torch.Tensor | float, weight: torch.Tensor) -> torch.Tensor:
    """Interpolate linearly from ``image`` (``weight`` 0) to ``value`` (``weight`` 1)."""
    return image + weight * (value - image)


def ramp(values: torch.Tensor, threshold: float, width: float) -> torch.Tensor:
    """Return a soft threshold: 0 below ``threshold``, 1 above, linear over ``width``."""
    return ((values - threshold) / width + 0.5).clamp(0, 1)


def standardize(image: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Standardize to zero mean and unit variance inside ``mask``, zero outside, as in inference."""
    inside = image[mask]
    return torch.where(mask, (image - inside.mean()) / inside.std(correction=0).clamp_min(1e-6), 0)
