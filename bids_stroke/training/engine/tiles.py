"""Tiles of patients' scans for the training loop."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch.utils.data import Dataset

from bids_stroke.errors import DatasetError
from bids_stroke.training.patients import arrays

from .samples import Tensors

FILLED = 0.5  # share of a tile that scans must fill; the rest is padding


class Tiles(Dataset[Tensors]):
    """One random tile of each case, anew every time; or always the tile at the center.

    Parameters
    ----------
    paths : sequence of Path
        Archives of :func:`bids_stroke.training.patients.arrays.arrays`.
    tile : sequence of int
        Voxels; smaller volumes are padded with zeros.
    channels : sequence of str
        Contrasts, in the order of the network's channels.
    inputs : sequence of sequence of str
        Sets of contrasts that may be shown together; one of those that a case has is drawn. The
        first one that it has is taken at the center.
    flip : bool
        Mirror left to right at random.
    random : bool
        False for the tile at the center.
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
        # torch's generator is another one in every worker and epoch.
        rng = np.random.default_rng(int(torch.randint(2**62, (1,)))) if self.random else None
        channels = volumes.image.astype(np.float32)
        present = np.asarray(channels.any((1, 2, 3)))
        groups = [group for group in self.inputs if present[group].all()]
        shown = groups[rng.integers(len(groups)) if rng else 0]
        channels[~np.array(shown)] = 0
        parts = (channels, volumes.label[None], volumes.mask[None])
        window = self._window(np.array(channels.shape[1:]), rng)
        tiles = [torch.from_numpy(self._cut(part, window).astype(np.float32)) for part in parts]
        if self.flip and rng and rng.integers(2):
            tiles = [tile.flip(1) for tile in tiles]
        image, label, mask = tiles
        return image, label, mask

    def _window(self, shape: np.ndarray, rng: np.random.Generator | None) -> list[slice]:
        spare = np.maximum(shape - self.tile, 0)
        start = rng.integers(spare + 1) if rng else spare // 2
        return [slice(a, a + side) for a, side in zip(start, self.tile, strict=True)]

    def _cut(self, array: np.ndarray, window: Sequence[slice]) -> np.ndarray:
        part = array[(slice(None), *window)]
        missing = self.tile - part.shape[1:]
        return np.pad(part, [(0, 0), *((gap // 2, gap - gap // 2) for gap in missing)])


def check(paths: Sequence[Path], tile: Sequence[int], what: str) -> None:
    """Refuse data that cannot fill a tile or holds no lesion.

    Raises
    ------
    DatasetError
    """
    shapes, lesions = [], 0
    for path in paths:
        label = arrays.read_array(path, "label")
        shapes.append(label.shape)
        lesions += int(label.any())
    if not lesions:
        raise DatasetError(f"None of the {len(paths)} scans for {what} holds a lesion; add some.")
    filled = [np.prod(np.minimum(shape, tile)) / np.prod(tile) for shape in shapes]
    if np.median(filled) < FILLED:
        sizes = ["×".join(f"{side:g}" for side in sides) for sides in (tile, np.median(shapes, axis=0))]
        raise DatasetError(
            f"The tile of {sizes[0]} voxels is too large for the scans for {what} (median {sizes[1]}); "
            "make tile smaller in the recipe, or spacing finer."
        )
