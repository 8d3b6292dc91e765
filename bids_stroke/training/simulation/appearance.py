"""Appearance of healthy heads in each contrast.

Intensities are relative to white matter. Values are drawn uniformly from their ranges. Lengths are in
mm.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import EllipsisType
from typing import TypeAlias

import numpy as np
import torch

from bids_stroke.training.recipe_settings import Section

from .fields import Draw, blur, lerp
from .subject_preparation import TISSUES

# Ranges for fluid, gray matter and gliosis (scars and hyperintensities); white matter is 1.
INTENSITIES = {
    "T1w": {"fluid": (0.10, 0.50), "gray": (0.55, 0.85), "gliosis": (0.40, 0.80)},
    "FLAIR": {"fluid": (0.05, 0.50), "gray": (1.03, 1.45), "gliosis": (1.45, 2.40)},
    "T2w": {"fluid": (2.20, 4.50), "gray": (1.15, 1.80), "gliosis": (1.50, 2.60)},
}
ARBITRARY_INTENSITIES = {"fluid": (0.05, 3.0), "gray": (0.3, 2.0), "gliosis": (0.2, 3.0)}
# Ranges of the share of white matter in deep structures; the rest is gray matter.
WHITE_FRACTIONS = {"striatum": (0, 0.35), "thalamus": (0.4, 0.9), "brainstem": (0.6, 1.0)}
# Ranges for tissues outside the brain.
OUTSIDE_INTENSITIES = {"soft": (0.2, 1.0), "bone": (0.02, 0.3), "fat": (0.6, 1.8), "vessel": (0.1, 1.3)}
#: Indices of the tissues that are cerebrospinal fluid.
FLUIDS = tuple(TISSUES.index(name) for name in ("csf", "ventricle", "fluid"))
#: Intensity by tissue.
Levels: TypeAlias = dict[str, float]
#: Part of a volume, or the whole volume.
Box: TypeAlias = tuple[slice, ...] | EllipsisType


@dataclass
class Head:
    """Head on the tile's grid: tissues and one image per contrast.

    ``fluid`` is the fraction of cerebrospinal fluid (0 to 1). ``intensities`` holds the drawn
    intensities by contrast. ``spacing`` is the mean voxel size (mm).
    """

    mask: torch.Tensor
    fluid: torch.Tensor
    ventricles: torch.Tensor
    white: torch.Tensor
    spacing: float
    intensities: dict[str, Levels]
    images: dict[str, torch.Tensor]

    def blend(self, tissue: str, weight: torch.Tensor, box: Box = ...) -> None:
        """Blend every image towards ``tissue`` by ``weight`` in a part of the volume."""
        for contrast, image in self.images.items():
            image[box] = lerp(image[box], self.intensities[contrast][tissue], weight)


def draw_intensities(ranges: Mapping[str, tuple[float, float]], draw: Draw) -> Levels:
    """Draw the intensity of each tissue from its range."""
    return {tissue: draw.uniform(*span) for tissue, span in ranges.items()} | {"white": 1.0}


def head(
    tissue: torch.Tensor,
    mask: torch.Tensor,
    scans: Mapping[str, torch.Tensor],
    levels: np.ndarray | None,
    contrasts: Sequence[str],
    spacing: float,
    ranges: Section,
    draw: Draw,
) -> Head:
    """Paint a healthy head in some contrasts.

    Parameters
    ----------
    tissue : uint8 tensor
        Indices into :data:`bids_stroke.training.simulation.subject_preparation.TISSUES`.
    mask : bool tensor
        Brain mask.
    scans : dict of str to tensor
        Real scans by contrast, with white matter 1. Missing contrasts are remapped from the T1w.
        Without scans, every tissue has a random intensity and texture.
    levels : array of 3 floats, or None
        Fluid, gray and white levels of the T1w
        (:class:`bids_stroke.training.simulation.subjects.Subject`).
    ranges : dict
        The recipe's ``synthesis`` section. ``arbitrary`` is the probability that a contrast has
        arbitrary intensities. ``looks`` replaces ranges of :data:`INTENSITIES` by contrast.
    """
    ventricles = tissue == TISSUES.index("ventricle")
    fluid = (ventricles | (tissue == TISSUES.index("csf"))).float()
    white = (tissue == TISSUES.index("white")) & mask
    intensities = {}
    for contrast in contrasts:
        usual = INTENSITIES[contrast] | ranges.get("looks", {}).get(contrast, {})
        intensities[contrast] = draw_intensities(
            ARBITRARY_INTENSITIES if draw.chance(ranges["arbitrary"]) else usual, draw
        )
    if "T1w" not in scans or levels is None:
        images = {c: _from_labels(tissue, intensities[c], spacing, draw) for c in contrasts}
    else:
        images = _from_scans(scans, levels, mask, intensities, draw)
    return Head(mask, fluid, ventricles, white, spacing, intensities, images)


def _from_scans(
    scans: Mapping[str, torch.Tensor],
    levels: np.ndarray,
    mask: torch.Tensor,
    intensities: dict[str, Levels],
    draw: Draw,
) -> dict[str, torch.Tensor]:
    """Return real scans, or the real T1w remapped to the intensities of a contrast.

    With a probability of one half, the T1w keeps its own intensities.
    """
    if draw.chance(0.5) and "T1w" in intensities:
        intensities["T1w"] = dict(zip(("fluid", "gray", "white"), map(float, levels), strict=True)) | {
            "gliosis": intensities["T1w"]["gliosis"]
        }
    images = {}
    for contrast, target in intensities.items():
        real = contrast == "FLAIR" and contrast in scans
        volume = scans[contrast] if real else remap(scans["T1w"], levels, target)
        # A skull-stripped scan has no intensities outside the brain.
        background = target["fluid"] * draw.uniform(0.3, 1.1)
        images[contrast] = torch.where(mask, volume, background)
    return images


def remap(
    image: torch.Tensor, levels: Sequence[float] | np.ndarray, target: Mapping[str, float]
) -> torch.Tensor:
    """Remap a T1w (white matter 1) so that fluid, gray and white matter have the ``target`` levels."""
    fluid, gray, white = map(float, levels)
    low = (target["gray"] - target["fluid"]) / (gray - fluid)
    high = (target["white"] - target["gray"]) / (white - gray)
    mapped = target["fluid"] + low * (image.clamp(fluid, gray) - fluid)
    mapped += high * (image.clamp(gray, white) - gray)
    mapped += 0.5 * low * (image.clamp(max=fluid) - fluid)
    return mapped + 0.5 * abs(high) * (image.clamp(min=white) - white)


def _from_labels(
    tissue: torch.Tensor, drawn: Mapping[str, float], spacing: float, draw: Draw
) -> torch.Tensor:
    """Paint each tissue with a random intensity, texture and partial volumes."""
    gray, white, fluid = drawn["gray"], drawn["white"], drawn["fluid"]
    values = {name: draw.uniform(*span) for name, span in OUTSIDE_INTENSITIES.items()}
    for name, span in WHITE_FRACTIONS.items():
        values[name] = gray + draw.uniform(*span) * (white - gray)
    values |= {"air": 0.0, "csf": fluid, "ventricle": fluid, "fluid": fluid}
    values |= {"cortex": gray, "cerebellar cortex": gray * draw.uniform(0.9, 1.1)}
    values |= {"white": white, "cerebellar white": white * draw.uniform(0.92, 1.08)}
    table = torch.tensor([values[name] for name in TISSUES], device=tissue.device)
    image = table[tissue.long()]
    texture = draw.uniform(0, 0.05) * draw.field(image.shape, draw.uniform(3, 10) / spacing)
    texture += draw.uniform(0, 0.06) * draw.noise(image.shape)
    return blur(image * (1 + texture), draw.uniform(0.5, 1.1) / spacing)
