"""Brain atrophy by a smooth displacement.

Every voxel samples the subject a few mm towards the nearest fluid. Ventricles, sulci and cisterns
therefore widen, and the brain surface retracts from the skull. Lengths are in mm. Values are drawn
uniformly from their ranges.
"""

from collections.abc import Sequence

import torch
from torch.nn import functional

from .appearance import FLUIDS
from .fields import Draw, blur, ramp, resize
from .pose import sample_labels
from .subjects import Subject

STEP = 2  # voxels between the nodes of the displacement
#: Range of the largest displacement, relative to the width of the smoothing. Above 1.66, the
#: displacement of a single smoothed edge folds.
REACH = (0.3, 1.4)
WIDTH = (2.0, 9.0)  # range of the width of the smoothing (mm)


def shrink(
    subject: Subject, grid: torch.Tensor, tile: Sequence[int], spacing: float, draw: Draw
) -> torch.Tensor:
    """Displace the sampling positions of a subject so that its brain shrinks.

    Parameters
    ----------
    subject : Subject
    grid : tensor, (1, X, Y, Z, 3)
        Sampling position of each voxel of the tile in ``grid_sample`` coordinates
        (:func:`bids_stroke.training.simulation.pose.draw_pose`).
    tile : sequence of int
        Tile size (voxels).
    spacing : float
        Voxel size (mm).
    draw : Draw

    Returns
    -------
    tensor, (1, X, Y, Z, 3)
        Displaced sampling positions.
    """
    coarse = grid[:, ::STEP, ::STEP, ::STEP]
    tissue, mask = sample_labels(subject, coarse, coarse.shape[1:4])
    fluid = ~mask | torch.isin(tissue, torch.tensor(FLUIDS, device=tissue.device))
    width = draw.uniform(*WIDTH)
    slope = torch.stack(torch.gradient(blur(fluid, width / (STEP * spacing))))
    # The steepest slope of a smoothed step edge is 1 / (width sqrt(2 pi)).
    scale = 2.5 * (width / (STEP * spacing)) * draw.uniform(*REACH) * width / spacing
    weights = draw_region(fluid.shape, STEP * spacing, draw)
    displacement = resize(scale * weights * slope, grid.shape[1:4])
    side = torch.tensor(grid.shape[1:4], device=grid.device) - 1
    shift = 2 * displacement / side[:, None, None, None]
    identity = functional.affine_grid(
        torch.eye(3, 4, device=grid.device)[None], [1, 1, *grid.shape[1:4]], align_corners=True
    )
    positions = identity + shift.flip(0).permute(1, 2, 3, 0)
    channels = grid.permute(0, 4, 1, 2, 3)
    displaced = functional.grid_sample(channels, positions, padding_mode="border", align_corners=True)
    return displaced.permute(0, 2, 3, 4, 1)


def draw_region(shape: Sequence[int], spacing: float, draw: Draw) -> torch.Tensor:
    """Draw the weights of a smooth region: everywhere, one half (x), a random part, or near a point."""
    kind = draw.pick(("everywhere", "half", "part", "point"))
    if kind == "half":
        side = torch.linspace(-1, 1, shape[0], device=draw.device)[:, None, None]
        return ramp(side * draw.pick((-1, 1)), 0, 0.2).expand(*shape)
    if kind == "part":
        return ramp(draw.field(shape, 60 / spacing), 0, 2)
    if kind == "point":
        width = draw.uniform(15, 35) / spacing
        center = [side * draw.uniform(0.15, 0.85) for side in shape]
        profiles = [
            torch.exp(-(((torch.arange(side, device=draw.device) - position) / width) ** 2) / 2)
            for side, position in zip(shape, center, strict=True)
        ]
        return torch.einsum("i,j,k->ijk", *profiles)
    return torch.ones(tuple(shape), device=draw.device)
