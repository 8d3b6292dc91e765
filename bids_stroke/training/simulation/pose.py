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
    """Draw the position at which each voxel of the tile samples the subject.

    Returns a tensor (1, X, Y, Z, 3) of ``grid_sample`` coordinates.
    """
    side = np.array(subject.mask.shape)
    size = draw.uniform(*ranges["scale"]) * draw.rng.uniform(0.95, 1.05, 3)
    angles = draw.rng.uniform(-1, 1, 3) * ranges["rotation"]
    rotation = Rotation.from_euler("xyz", angles, degrees=True).as_matrix()
    flip = np.diag([draw.pick((-1, 1)), 1, 1])
    matrix = rotation @ np.diag(spacing / size) @ flip
    shape = [STRIDE * int(np.ceil((n - 1) / STRIDE)) + 1 for n in tile]
    tile_center = (np.array(tile) - 1) / 2
    shift = draw.rng.uniform(-1, 1, 3) * ranges["shift"]
    offset = subject.center() + shift - matrix @ tile_center
    # Coordinates of grid_sample: -1 and 1 are the centers of the outer voxels, last axis first.
    half = (np.array(shape) - 1) / 2
    linear = np.diag(2 / (side - 1)) @ matrix @ np.diag(half)
    constant = 2 * (matrix @ half + offset) / (side - 1) - 1
    affine = np.column_stack([linear, constant])[::-1][:, [2, 1, 0, 3]]
    theta = torch.from_numpy(affine.copy()).float().to(draw.device)
    grid = functional.affine_grid(theta[None], [1, 1, *shape], align_corners=True)
    return grid + _warp(shape, side, spacing, ranges["warp"], draw)


def _warp(
    shape: Sequence[int], side: np.ndarray, spacing: float, limit: float, draw: Draw
) -> torch.Tensor:
    """Draw a smooth diffeomorphic displacement from a stationary velocity field by five squarings
    (Arsigny et al., MICCAI 2006)."""
    nodes = [max(4, round(n * spacing / 24)) for n in shape]  # every 24 mm
    amplitude = draw.uniform(0, limit)
    scale = torch.tensor([float(2 * amplitude / (n - 1)) for n in side[::-1]], device=draw.device)
    flow = scale[:, None, None, None] * draw.noise((3, *nodes)) / 32
    identity = functional.affine_grid(
        torch.eye(3, 4, device=draw.device)[None], [1, 1, *nodes], align_corners=True
    )
    for _ in range(5):
        positions = identity + flow.permute(1, 2, 3, 0)[None]
        composed = functional.grid_sample(
            flow[None], positions, padding_mode="border", align_corners=True
        )
        flow = flow + composed[0]
    return resize(flow, shape).permute(1, 2, 3, 0)[None]


def sample_labels(
    subject: Subject, grid: torch.Tensor, tile: Sequence[int]
) -> tuple[torch.Tensor, torch.Tensor]:
    """Sample the tissue labels and the brain mask of a subject on the tile."""
    inner = tuple(slice(n) for n in tile)
    numbers = subject.tissue + 16 * subject.mask.astype(np.uint8)
    codes = torch.from_numpy(numbers)[None, None].to(grid.device).float()
    codes = functional.grid_sample(codes, grid, mode="nearest", align_corners=True)[0, 0][inner]
    codes = codes.round().to(torch.uint8)
    return codes % 16, codes >= 16


def sample_scans(subject: Subject, grid: torch.Tensor, tile: Sequence[int]) -> dict[str, torch.Tensor]:
    """Sample the scans of a subject (white matter 1) on the tile by contrast; empty for a label map."""
    inner = tuple(slice(n) for n in tile)
    stored = {"T1w": (subject.t1w, WHITE), "FLAIR": (subject.flair, FLAIR_WHITE)}
    scans = {}
    for contrast, (data, white) in stored.items():
        if data is not None:
            volume = torch.from_numpy(data)[None, None].to(grid.device).float()
            sampled = functional.grid_sample(volume, grid, align_corners=True)[0, 0][inner]
            scans[contrast] = sampled / white
    return scans


def template_nodes(subject: Subject, grid: torch.Tensor) -> torch.Tensor:
    """Return the template coordinates (3, i, j, k) of every ``STRIDE``-th voxel of the tile."""
    field = torch.from_numpy(subject.template).to(grid.device).float()
    side = torch.tensor(subject.mask.shape[::-1], device=grid.device) - 1
    nodes = torch.tensor(field.shape[:0:-1], device=grid.device) - 1
    coarse = grid[:, ::STRIDE, ::STRIDE, ::STRIDE]
    positions = (coarse + 1) * side / (NODES * nodes) - 1
    points = functional.grid_sample(field[None], positions, padding_mode="border", align_corners=True)
    return points[0]


def affine_to_template(nodes: torch.Tensor, mask: torch.Tensor) -> np.ndarray:
    """Fit an affine (4, 4) from voxels of the tile to template coordinates (mm) by least squares.

    Parameters
    ----------
    nodes : tensor, (3, i, j, k)
        Template coordinates from :func:`template_nodes`.
    mask : bool tensor, (x, y, z)
        Brain mask; nodes outside are excluded.
    """
    points = nodes.cpu().numpy().astype(float)
    voxels = np.indices(points.shape[1:]) * STRIDE
    last = np.array(mask.shape)[:, None, None, None] - 1
    inside = mask.cpu().numpy()[tuple(np.minimum(voxels, last))]
    source = np.column_stack([voxels[:, inside].T, np.ones(inside.sum())])
    solution = np.linalg.lstsq(source, points[:, inside].T, rcond=None)[0]
    return np.vstack([solution.T, [0, 0, 0, 1]])
