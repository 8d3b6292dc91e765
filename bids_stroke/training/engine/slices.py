"""Slices of patients' scans for the training loop."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from zlib import crc32

import numpy as np
import torch
from torch.nn import functional
from torch.utils.data import Dataset

from bids_stroke.training.patients import arrays
from bids_stroke.training.recipe_settings import Augmentation, SplitRules

from .samples import Tensors

PARTS = ("validation", "test", "training")


class Slices(Dataset[Tensors]):
    """Random slices of each scan, drawn again for every access, or all slices.

    Slices without brain are excluded. An item is a tuple of tensors: images (slices, channels, rows,
    columns), labels and brain masks (slices, 1, rows, columns).

    Parameters
    ----------
    paths : sequence of Path
        Archives written by :func:`bids_stroke.training.patients.arrays.arrays`.
    tile : sequence of int
        Size (voxels), 1 along the axis across the slices. Slices are padded with zeros or cropped
        around their center.
    number : int or None
        Number of slices per scan and access; None for all.
    augmentation : Augmentation, optional
        Augmentation of random slices; sagittal slices are not mirrored.
    held_out : SplitRules, optional
        Shares of the slices of each scan that are held out for ``validation`` and ``test``; every scan
        then belongs to all parts.
    part : {"training", "validation"}
    """

    def __init__(
        self,
        paths: Sequence[Path],
        tile: Sequence[int],
        number: int | None = None,
        augmentation: Augmentation | None = None,
        held_out: SplitRules | None = None,
        part: str = "training",
    ) -> None:
        self.paths = list(paths)
        self.axis = list(tile).index(1)
        self.shape = [side for axis, side in enumerate(tile) if axis != self.axis]
        self.number = number
        self.augmentation = augmentation
        self.held_out = held_out or SplitRules()
        self.part = part

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> Tensors:
        volumes = arrays.read(self.paths[index])
        others = tuple(axis for axis in range(3) if axis != self.axis)
        indices = np.flatnonzero(volumes.mask.any(others))
        indices = indices[self._in_part(self.paths[index].stem, len(indices))]
        if self.number:
            # The generator of torch differs between workers and epochs.
            indices = indices[torch.randint(len(indices), (self.number,)).numpy()]
        parts = (volumes.image, volumes.label[None], volumes.mask[None])
        slices = [np.moveaxis(part.take(indices, self.axis + 1), self.axis + 1, 0) for part in parts]
        image, label, mask = (
            self._pad_or_crop(torch.from_numpy(part.astype(np.float32))) for part in slices
        )
        if not self.augmentation:
            return image, label, mask
        flip = self.augmentation.flip and self.axis != 0
        return augment((image, label, mask), replace(self.augmentation, flip=flip))

    def _in_part(self, name: str, number: int) -> np.ndarray:
        """Return which slices of a scan belong to the part (bool), the same in every run."""
        drawn = np.random.default_rng(crc32(name.encode())).random(number)
        ends = np.cumsum([self.held_out.validation, self.held_out.test])
        return np.searchsorted(ends, drawn, side="right") == PARTS.index(self.part)

    def _pad_or_crop(self, slices: torch.Tensor) -> torch.Tensor:
        missing = [target - side for target, side in zip(self.shape, slices.shape[2:], strict=True)]
        pads = [pad for gap in missing[::-1] for pad in (gap // 2, gap - gap // 2)]
        return functional.pad(slices, pads)  # negative padding crops


def collate(items: Sequence[Tensors]) -> Tensors:
    """Concatenate the slices of several scans to one batch."""
    image, label, mask = (torch.cat(parts) for parts in zip(*items, strict=True))
    return image, label, mask


def augment(tensors: Tensors, augmentation: Augmentation) -> Tensors:
    """Apply a random rotation, zoom and shift to each slice of images, labels and masks; ``flip``
    mirrors half of the slices along their rows."""
    number = len(tensors[0])

    def draw(limit: float) -> torch.Tensor:
        return (2 * torch.rand(number) - 1) * limit

    angle, size = torch.deg2rad(draw(augmentation.rotation)), 1 + draw(augmentation.zoom)
    side = torch.ones(number)
    if augmentation.flip:
        side = torch.where(torch.rand(number) < 0.5, -1.0, 1.0)
    shift = 2 * augmentation.shift
    rows, columns = tensors[0].shape[2:]
    cosine, sine = torch.cos(angle) / size, torch.sin(angle) / size
    # Coordinates of grid_sample range from -1 to 1 on each side; the ratio of sides avoids shear.
    theta = torch.stack(
        [
            torch.stack([cosine, -sine * side * rows / columns, draw(shift)], 1),
            torch.stack([sine * columns / rows, cosine * side, draw(shift)], 1),
        ],
        1,
    )
    grid = functional.affine_grid(theta, [number, 1, rows, columns], align_corners=False)
    image, label, mask = (functional.grid_sample(part, grid, align_corners=False) for part in tensors)
    mask = (mask >= 0.5).float()
    return image * mask, (label >= 0.5).float() * mask, mask
