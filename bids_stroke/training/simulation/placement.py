"""Placement of real lesion shapes at their location in the template."""

from collections.abc import Sequence

import numpy as np
import torch
from nibabel.affines import from_matvec
from scipy.spatial.transform import Rotation
from torch.nn import functional

from bids_stroke.spatial.grid import bounding_box
from bids_stroke.training.recipe_settings import Section

from .fields import Draw, blur, resize
from .pose import STRIDE
from .subjects import Lesion

MARGIN = 8  # voxels around a lesion whose appearance may change


class LesionShapes:
    """Collection of lesion shapes sorted by volume."""

    def __init__(self, lesions: Sequence[Lesion]) -> None:
        self.lesions = sorted(lesions, key=lambda lesion: lesion.volume)
        self.volumes = np.array([lesion.volume for lesion in self.lesions])

    def choose(self, volume: float, draw: Draw) -> tuple[Lesion, float]:
        """Draw a lesion of about ``volume`` ml, and return it with the length scale to that volume."""
        candidates = np.flatnonzero(np.abs(np.log(self.volumes / volume)) < np.log(1.5)).tolist()
        if not candidates:
            candidates = [int(np.abs(np.log(self.volumes / volume)).argmin())]
        lesion = self.lesions[draw.pick(candidates)]
        return lesion, float(np.clip((volume / lesion.volume) ** (1 / 3), 0.6, 1.6))


def place(
    lesion: Lesion,
    scale: float,
    nodes: torch.Tensor,
    tile: Sequence[int],
    spacing: float,
    ranges: Section,
    draw: Draw,
) -> tuple[torch.Tensor, list[int]] | None:
    """Place a lesion in the tile.

    Parameters
    ----------
    lesion : Lesion
    scale : float
        Scale of lengths.
    nodes : float tensor, (3, i, j, k)
        Template coordinates (mm) of every ``STRIDE``-th voxel of the tile.
    tile : sequence of int
        Tile size (voxels).
    spacing : float
        Voxel size (mm).
    ranges : dict
        The recipe's ``synthesis`` section.
    draw : Draw

    Returns
    -------
    tuple of (Tensor, list of int), or None
        Lesion weights in a part of the tile, and the first voxel of the part; None if the lesion is
        outside the tile.
    """
    to_voxels = _variation(lesion, scale, ranges, draw)
    amplitude = draw.uniform(0, ranges["lesion_warp"])
    width = draw.uniform(12, 30) / (STRIDE * spacing)
    wave = torch.stack([draw.field(nodes.shape[1:], width) for _ in range(3)]) * amplitude
    linear, constant = (
        torch.from_numpy(part.copy()).float().to(nodes.device)
        for part in (to_voxels[:3, :3], to_voxels[:3, 3])
    )
    voxels = torch.einsum("ab,bijk->aijk", linear, nodes + wave) + constant[:, None, None, None]
    last = torch.tensor(np.array(lesion.data.shape) - 1, device=nodes.device)
    upper = last[:, None, None, None]
    inside = ((voxels > -1) & (voxels < upper + 1)).all(0).cpu().numpy()
    if not inside.any():
        return None
    part = bounding_box(inside, int(np.ceil(MARGIN / STRIDE)))
    fine = [STRIDE * (p.stop - p.start - 1) + 1 for p in part]
    positions = resize(2 * voxels[(slice(None), *part)] / upper - 1, fine)
    data = torch.from_numpy(lesion.data).float().to(nodes.device)[None, None]
    positions = positions.flip(0).permute(1, 2, 3, 0)[None]
    weights = functional.grid_sample(data, positions, align_corners=True)[0, 0]
    corner = [STRIDE * p.start for p in part]
    inner = tuple(slice(n - c) for n, c in zip(tile, corner, strict=True))
    return blur(weights[inner], 0.5), corner


def _variation(lesion: Lesion, scale: float, ranges: Section, draw: Draw) -> np.ndarray:
    """Draw an affine (4, 4) from template coordinates to the lesion's voxels.

    The lesion is randomly mirrored, rotated, scaled and shifted.
    """
    center = (lesion.affine @ [*((np.array(lesion.data.shape) - 1) / 2), 1])[:3]
    angles = draw.rng.uniform(-1, 1, 3) * ranges["lesion_rotation"]
    matrix = Rotation.from_euler("xyz", angles, degrees=True).as_matrix()
    matrix = matrix @ np.diag(1 / (scale * draw.rng.uniform(0.9, 1.1, 3)))
    shift = draw.rng.uniform(-1, 1, 3) * ranges["lesion_shift"]
    mirror = np.diag([draw.pick((-1, 1)), 1, 1])
    # template -> mirrored -> rotated about the lesion's center -> voxels of the lesion
    variation = from_matvec(matrix @ mirror, center + shift - matrix @ center)
    return np.linalg.inv(lesion.affine) @ variation
