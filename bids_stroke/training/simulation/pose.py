"""Position of a subject in the tile of a sample: pose, smooth warp, transform to the template."""

from collections.abc import Sequence

import numpy as np
import torch
from scipy.spatial.transform import Rotation
from torch.nn import functional

from bids_stroke.training.recipe_settings import Section

from .fields import Draw, resize
from .subject_preparation import FLAIR_WHITE, NODES, WHITE
from .subjects import Subject

STRIDE = 4  # voxels of the tile between the nodes of the map to the template


def draw_pose(
    subject: Subject, tile: Sequence[int], spacing: float, ranges: Section, draw: Draw
) -> torch.Tensor:
    """Where each voxel of the tile samples the subject: ``(1, X, Y, Z, 3)`` for grid_sample."""
    side = np.array(subject.mask.shape)
    size = draw.uniform(*ranges["scale"]) * draw.rng.uniform(0.95, 1.05, 3)
    angles = draw.rng.uniform(-1, 1, 3) * ranges["rotation"]
    turn = Rotation.from_euler("xyz", angles, degrees=True).as_matrix()
    flip = np.diag([draw.pick((-1, 1)), 1, 1])
    matrix = turn @ np.diag(spacing / size) @ flip
    shape = [STRIDE * int(np.ceil((n - 1) / STRIDE)) + 1 for n in tile]
    middle = (np.array(tile) - 1) / 2
    move = draw.rng.uniform(-1, 1, 3) * ranges["shift"]
    offset = subject.center() + move - matrix @ middle
    # grid_sample counts from -1 to 1 between the centers of the outer voxels, last axis first.
    half = (np.array(shape) - 1) / 2
    linear = np.diag(2 / (side - 1)) @ matrix @ np.diag(half)
    constant = 2 * (matrix @ half + offset) / (side - 1) - 1
    affine = np.column_stack([linear, constant])[::-1][:, [2, 1, 0, 3]]
    theta = torch.from_numpy(affine.copy()).float().to(draw.device)
    grid = functional.affine_grid(theta[None], [1, 1, *shape], align_corners=True)
    return grid + _warp(shape, side, spacing, ranges["warp"], draw)


def _warp(
    shape: Sequence[int], side: np.ndarray, spacing: float, reach: float, draw: Draw
) -> torch.Tensor:
    """Smooth diffeomorphic displacement: a stationary velocity field, squared five times
    (Arsigny et al., MICCAI 2006)."""
    nodes = [max(4, round(n * spacing / 24)) for n in shape]  # every 24 mm
    amplitude = draw.uniform(0, reach)
    scale = torch.tensor([float(2 * amplitude / (n - 1)) for n in side[::-1]], device=draw.device)
    flow = scale[:, None, None, None] * draw.noise((3, *nodes)) / 32
    identity = functional.affine_grid(
        torch.eye(3, 4, device=draw.device)[None], [1, 1, *nodes], align_corners=True
    )
    for _ in range(5):
        where = identity + flow.permute(1, 2, 3, 0)[None]
        moved = functional.grid_sample(flow[None], where, padding_mode="border", align_corners=True)
        flow = flow + moved[0]
    return resize(flow, shape).permute(1, 2, 3, 0)[None]


def sample_labels(
    subject: Subject, grid: torch.Tensor, tile: Sequence[int]
) -> tuple[torch.Tensor, torch.Tensor]:
    """Tissue and brain mask of a subject on the tile."""
    inner = tuple(slice(n) for n in tile)
    numbers = subject.tissue + 16 * subject.mask.astype(np.uint8)
    codes = torch.from_numpy(numbers)[None, None].to(grid.device).float()
    codes = functional.grid_sample(codes, grid, mode="nearest", align_corners=True)[0, 0][inner]
    codes = codes.round().to(torch.uint8)
    return codes % 16, codes >= 16


def sample_scans(subject: Subject, grid: torch.Tensor, tile: Sequence[int]) -> dict[str, torch.Tensor]:
    """Scans of a subject on the tile by contrast, white matter 1; none for a label map."""
    inner = tuple(slice(n) for n in tile)
    stored = {"T1w": (subject.t1w, WHITE), "FLAIR": (subject.flair, FLAIR_WHITE)}
    scans = {}
    for contrast, (data, white) in stored.items():
        if data is not None:
            volume = torch.from_numpy(data)[None, None].to(grid.device).float()
            moved = functional.grid_sample(volume, grid, align_corners=True)[0, 0][inner]
            scans[contrast] = moved / white
    return scans


def template_nodes(subject: Subject, grid: torch.Tensor) -> torch.Tensor:
    """Template coordinates (3, i, j, k) of every ``STRIDE``-th voxel of the tile."""
    field = torch.from_numpy(subject.template).to(grid.device).float()
    side = torch.tensor(subject.mask.shape[::-1], device=grid.device) - 1
    nodes = torch.tensor(field.shape[:0:-1], device=grid.device) - 1
    coarse = grid[:, ::STRIDE, ::STRIDE, ::STRIDE]
    where = (coarse + 1) * side / (NODES * nodes) - 1
    points = functional.grid_sample(field[None], where, padding_mode="border", align_corners=True)
    return points[0]


def affine_to_template(nodes: torch.Tensor, mask: torch.Tensor) -> np.ndarray:
    """Least-squares affine map (4, 4) from voxels of the tile to template coordinates (mm).

    Parameters
    ----------
    nodes : tensor, (3, i, j, k)
        As :func:`template_nodes` returns them.
    mask : bool tensor, (x, y, z)
        Brain; nodes outside are left out.
    """
    points = nodes.cpu().numpy().astype(float)
    voxels = np.indices(points.shape[1:]) * STRIDE
    last = np.array(mask.shape)[:, None, None, None] - 1
    inside = mask.cpu().numpy()[tuple(np.minimum(voxels, last))]
    source = np.column_stack([voxels[:, inside].T, np.ones(inside.sum())])
    solution = np.linalg.lstsq(source, points[:, inside].T, rcond=None)[0]
    return np.vstack([solution.T, [0, 0, 0, 1]])
