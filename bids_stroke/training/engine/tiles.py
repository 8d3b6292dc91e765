"""Tiles of patients' scans for the training loop."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch.utils.data import Dataset

from bids_stroke.errors import DatasetError
from bids_stroke.training.patients import arrays

from .samples import Tensors

FILLED = 0.5  # smallest share of a tile that scans must fill; the rest is padding


class Tiles(Dataset[Tensors]):
    """Random tile of each scan, drawn again for every access, or the central tile.

    Parameters
    ----------
    paths : sequence of Path
        Archives written by :func:`bids_stroke.training.patients.arrays.arrays`.
    tile : sequence of int
        Tile size (voxels); smaller volumes are padded with zeros.
    channels : sequence of str
        Contrasts in the order of the network's channels.
    inputs : sequence of sequence of str
        Sets of contrasts that are presented together. For random tiles, one of the sets available in
        the scan is drawn; for central tiles, the first available set is used.
    flip : bool
        Mirror left-right at random.
    random : bool
        Whether tiles are random; otherwise the central tile is used.
    """

    def __init__(
        self,
        paths: Sequence[Path],
        tile: Sequence[int],
        channels: Sequence[str],
        inputs: Sequence[Sequence[str]],
        flip: bool = False,
        random: bool = True,
    ) -> None:
        self.paths = list(paths)
        self.tile = np.array(tile)
        self.inputs = [[contrast in group for contrast in channels] for group in inputs]
        self.flip = flip
        self.random = random

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> Tensors:
        volumes = arrays.read(self.paths[index])
        # The generator of torch differs between workers and epochs.
        rng = np.random.default_rng(int(torch.randint(2**62, (1,)))) if self.random else None
        channels = volumes.image.astype(np.float32)
        available = np.asarray(channels.any((1, 2, 3)))
        groups = [group for group in self.inputs if available[group].all()]
        group = groups[rng.integers(len(groups)) if rng else 0]
        channels[~np.array(group)] = 0
        parts = (channels, volumes.label[None], volumes.mask[None])
        window = self._window(np.array(channels.shape[1:]), rng)
        tiles = [torch.from_numpy(self._crop(part, window).astype(np.float32)) for part in parts]
        if self.flip and rng and rng.integers(2):
            tiles = [tile.flip(1) for tile in tiles]
        image, label, mask = tiles
        return image, label, mask

    def _window(self, shape: np.ndarray, rng: np.random.Generator | None) -> list[slice]:
        last = np.maximum(shape - self.tile, 0)
        start = rng.integers(last + 1) if rng else last // 2
        return [slice(a, a + side) for a, side in zip(start, self.tile, strict=True)]

    def _crop(self, array: np.ndarray, window: Sequence[slice]) -> np.ndarray:
        part = array[(slice(None), *window)]
        missing = self.tile - part.shape[1:]
        return np.pad(part, [(0, 0), *((gap // 2, gap - gap // 2) for gap in missing)])


def check(paths: Sequence[Path], tile: Sequence[int], part: str) -> None:
    """Check that the scans of a part contain lesions and fill the tile.

    Raises
    ------
    DatasetError
        If no scan contains a lesion, or the tile is too large.
    """
    shapes, lesions = [], 0
    for path in paths:
        label = arrays.read_array(path, "label")
        shapes.append(label.shape)
        lesions += int(label.any())
    if not lesions:
        raise DatasetError(
            f"None of the {len(paths)} scans for {part} contains a lesion; add scans with lesions."
        )
    filled = [np.prod(np.minimum(shape, tile)) / np.prod(tile) for shape in shapes]
    if np.median(filled) < FILLED:
        sizes = ["×".join(f"{side:g}" for side in sides) for sides in (tile, np.median(shapes, axis=0))]
        raise DatasetError(
            f"The tile of {sizes[0]} voxels is too large for the scans for {part} (median {sizes[1]}); "
            "set a smaller tile or a finer spacing in the recipe."
        )
