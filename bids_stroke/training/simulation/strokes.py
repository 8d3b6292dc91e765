"""Appearance of chronic and subacute strokes in each contrast.

Intensities are relative to white matter. Values are drawn uniformly from their ranges. Lengths are in
mm.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import torch

from bids_stroke.lesion.postprocessing import threshold

from .appearance import Head
from .distractors import widen
from .fields import Draw, blur, lerp, ramp

ISLAND_MM3 = 30  # smaller islands (mm³) are removed, because human raters do not draw them
#: Change of intensity (white matter 1) at which a lesion voxel is fully visible.
FULLY_VISIBLE = 0.25
#: Part of a volume.
Box: TypeAlias = tuple[slice, ...]


@dataclass(frozen=True)
class PastedLesion:
    """Lesion in a part of the volume.

    ``box`` is the part of the volume. ``label`` (bool) is the lesion within the brain and outside the
    ventricles, as human raters draw it. ``visibility`` (0 to 1) is the largest change of intensity over
    the images, relative to :data:`FULLY_VISIBLE`. ``cavity`` (0 to 1) is the fluid fraction of a
    chronic lesion.
    """

    box: Box
    label: torch.Tensor
    visibility: torch.Tensor
    cavity: torch.Tensor | None


def paste(
    head: Head, weights: torch.Tensor, corner: Sequence[int], stage: str, draw: Draw
) -> PastedLesion | None:
    """Paste one lesion.

    Parameters
    ----------
    weights : float tensor (i, j, k)
        Lesion weights, 0 to 1, of a part of the volume with some margin.
    corner : tuple of int
        First voxel of the part.
    stage : {"chronic", "subacute"}

    Returns
    -------
    PastedLesion or None
        None if the lesion is outside the brain.
    """
    box = tuple(slice(c, c + side) for c, side in zip(corner, weights.shape, strict=True))
    lesion = _remove_islands(_roughen_border(head, weights, box, draw), head.spacing)
    if not lesion.any():
        return None
    before = {contrast: image[box].clone() for contrast, image in head.images.items()}
    cavity = None
    if stage == "subacute":
        subacute(head, lesion, box, draw)
    else:
        cavity = chronic(head, lesion, box, draw)
    changes = [(image[box] - before[contrast]).abs() for contrast, image in head.images.items()]
    visibility = (torch.stack(changes).amax(0) / FULLY_VISIBLE).clamp(max=1)
    if cavity is not None and draw.chance(0.4):  # ex-vacuo widening of ventricles and sulci
        near = (3 * blur(lesion, 6 / head.spacing)).clamp(0, 1) * ~lesion
        widen(head, near, draw, box)
    return PastedLesion(box, lesion, visibility, cavity)


def _roughen_border(head: Head, weights: torch.Tensor, box: Box, draw: Draw) -> torch.Tensor:
    """Return the lesion with a rough border, within the brain and outside the ventricles."""
    allowed = head.mask[box] & ~head.ventricles[box]
    rough = draw.uniform(0, 0.25) * draw.field(weights.shape, 6 / head.spacing)
    lesion = (weights + rough * (weights > 0.05) > 0.5) & allowed
    smooth = (weights > 0.5) & allowed
    # Small lesions keep their smooth border if roughening would remove most of them.
    return smooth if 2 * lesion.sum() < smooth.sum() else lesion


def chronic(head: Head, lesion: torch.Tensor, box: Box, draw: Draw) -> torch.Tensor:
    """Paint a chronic lesion: a fluid-filled cavity with strands, in gliotic tissue with a soft rim."""
    spacing, shape = head.spacing, lesion.shape
    edge = blur(lesion, draw.uniform(0.6, 1.4) / spacing)
    uneven = 1 + 0.25 * draw.field(shape, draw.uniform(4, 12) / spacing)
    scar = (edge * draw.uniform(0.6, 1.0) * uneven).clamp(0, 1)
    halo = blur(lesion, draw.uniform(1.5, 4) / spacing) * draw.uniform(0, 0.35)
    cavity = torch.zeros_like(edge)
    if draw.chance(0.95):
        inner = blur(lesion, draw.uniform(0.7, 4.5) / spacing)
        inner = inner / inner.max().clamp_min(1e-6)
        inner = inner + draw.uniform(0, 0.2) * draw.field(shape, 8 / spacing)
        cavity = ramp(inner, draw.uniform(0.15, 0.6), draw.uniform(0.1, 0.4)) * edge
        bands = draw.field(shape, draw.uniform(4, 10) / spacing)
        strands = torch.exp(-((bands / draw.uniform(0.1, 0.35)) ** 2)) * draw.uniform(0, 0.8)
        cavity = cavity * (1 - strands)
    inside = head.mask[box]
    for contrast, image in head.images.items():
        drawn = head.intensities[contrast]
        part = image[box]
        if contrast == "T1w":  # the tissue gets darker but keeps its structure
            loss = draw.uniform(0.2, 0.55)
            scarred = part * (1 - loss * torch.maximum(scar, 0.5 * halo))
        else:
            scarred = lerp(part, drawn["gliosis"], torch.maximum(scar * draw.uniform(0.5, 1), halo))
        level = drawn["fluid"] * draw.uniform(0.8, 1.4 if contrast == "T1w" else 1.1)
        fluid = level * (1 + draw.uniform(0, 0.1) * draw.field(shape, 6 / spacing))
        image[box] = torch.where(inside, lerp(scarred, fluid, cavity), part)
    return cavity


def subacute(head: Head, lesion: torch.Tensor, box: Box, draw: Draw) -> None:
    """Paint a subacute lesion: swollen tissue, moderately dark on T1w, bright on FLAIR and T2w."""
    spacing, shape = head.spacing, lesion.shape
    edge = blur(lesion, draw.uniform(0.8, 2.5) / spacing)
    uneven = 1 + 0.2 * draw.field(shape, draw.uniform(4, 12) / spacing)
    weight = (edge * uneven).clamp(0, 1)
    inside = head.mask[box]
    filled = head.fluid[box] * edge * draw.uniform(0, 0.9)  # swelling closes the sulci
    filled = filled * ~head.ventricles[box]
    for contrast, image in head.images.items():
        drawn = head.intensities[contrast]
        part = image[box]
        swollen = lerp(part, drawn["gray"], filled)
        if contrast == "T1w":
            edema = swollen * (1 - draw.uniform(0.15, 0.45) * weight)
        else:
            level = 1 + draw.uniform(0.4, 1.0) * (drawn["gliosis"] - 1)
            edema = lerp(swollen, level, weight * draw.uniform(0.5, 1.0))
        image[box] = torch.where(inside, edema, part)


def _remove_islands(lesion: torch.Tensor, spacing: float) -> torch.Tensor:
    """Remove small islands, which result from rotation and clipping."""
    kept = threshold(lesion.cpu().numpy(), 0.5, ISLAND_MM3, spacing**3) > 0
    return torch.from_numpy(kept).to(lesion.device)
