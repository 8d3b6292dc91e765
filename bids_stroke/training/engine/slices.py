"""Slices of patients' scans for the training loop."""

from zlib import crc32

import numpy as np
import torch
from torch.nn import functional
from torch.utils.data import Dataset

PARTS = ("validation", "test", "training")


class Slices(Dataset):
    """Some random slices of each scan, anew every time; or all of them.

    Only slices that hold brain count. An item is a tuple of tensors: images (slices, channels, rows,
    columns), labels and brain masks (slices, 1, rows, columns).

    Parameters
    ----------
    paths : sequence of Path
        Archives of :func:`bids_stroke.training.patients.preparation.arrays`.
    tile : sequence of int
        Voxels; 1 on the axis across the slices. They are padded with zeros, or cut around their centre.
    number : int or None
        Slices of a scan at a time; None for all.
    augmentation : dict
        Of random slices: ``rotation`` (degrees), ``zoom`` and ``shift`` (shares), each the largest to
        either side, and ``flip`` (left to right; sagittal slices have no such side).
    held_out : dict
        Shares of the slices of each scan that are held out for ``validation`` and ``test``: scans are
        in all parts then.
    part : {"training", "validation"}
    """

    def __init__(self, paths, tile, number=None, augmentation=None, held_out=None, part="training"):
        self.paths = list(paths)
        self.axis = list(tile).index(1)
        self.shape = [side for axis, side in enumerate(tile) if axis != self.axis]
        self.number = number
        self.augmentation = augmentation
        self.held_out = held_out or {}
        self.part = part

    def __len__(self):
        return len(self.paths)

    def __getitem__(self, index):
        with np.load(self.paths[index]) as kept:
            content = {key: kept[key] for key in ("image", "label", "mask")}
        others = tuple(axis for axis in range(3) if axis != self.axis)
        chosen = np.flatnonzero(content["mask"].any(others))
        chosen = chosen[self._of_part(self.paths[index].stem, len(chosen))]
        if self.number:
            # torch's generator is another one in every worker and epoch.
            chosen = chosen[torch.randint(len(chosen), (self.number,)).numpy()]
        arrays = (content["image"], content["label"][None], content["mask"][None])
        slices = [np.moveaxis(one.take(chosen, self.axis + 1), self.axis + 1, 0) for one in arrays]
        tensors = [self._fit(torch.from_numpy(one.astype(np.float32))) for one in slices]
        if not self.augmentation:
            return tuple(tensors)
        flip = self.augmentation["flip"] and self.axis != 0
        return augmented(tensors, **self.augmentation | {"flip": flip})

    def _of_part(self, name, number):
        """Which slices of a scan are those of the part; the same in every run."""
        drawn = np.random.default_rng(crc32(name.encode())).random(number)
        ends = np.cumsum([self.held_out.get(part, 0) for part in PARTS[:2]])
        return np.searchsorted(ends, drawn, side="right") == PARTS.index(self.part)

    def _fit(self, slices):
        missing = [side - have for side, have in zip(self.shape, slices.shape[2:], strict=True)]
        pads = [pad for gap in missing[::-1] for pad in (gap // 2, gap - gap // 2)]
        return functional.pad(slices, pads)  # negative padding cuts


def together(items):
    """The slices of several scans as one batch."""
    return tuple(torch.cat(parts) for parts in zip(*items, strict=True))


def augmented(tensors, rotation=0.0, zoom=0.0, shift=0.0, flip=False):
    """Move images, labels and masks alike, each slice by its own rotation (degrees), zoom and shift
    (shares); ``flip`` mirrors half of the slices along their rows."""
    number = len(tensors[0])

    def drawn(reach):
        return (2 * torch.rand(number) - 1) * reach

    angle, size = torch.deg2rad(drawn(rotation)), 1 + drawn(zoom)
    side = torch.where(torch.rand(number) < 0.5, -1.0, 1.0) if flip else torch.ones(number)
    rows, columns = tensors[0].shape[2:]
    cosine, sine = torch.cos(angle) / size, torch.sin(angle) / size
    # grid_sample counts each side from -1 to 1: a rotation must not shear slices that are no squares.
    theta = torch.stack(
        [
            torch.stack([cosine, -sine * side * rows / columns, drawn(2 * shift)], 1),
            torch.stack([sine * columns / rows, cosine * side, drawn(2 * shift)], 1),
        ],
        1,
    )
    grid = functional.affine_grid(theta, (number, 1, rows, columns), align_corners=False)
    image, label, mask = (functional.grid_sample(one, grid, align_corners=False) for one in tensors)
    mask = (mask >= 0.5).float()
    return image * mask, (label >= 0.5).float() * mask, mask
