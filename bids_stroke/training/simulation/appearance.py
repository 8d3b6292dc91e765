"""Appearance of healthy heads in each contrast.

Intensities are relative to white matter, ranges are drawn uniformly, lengths are in mm. A
:class:`bids_stroke.training.simulation.appearance.Head` holds the images of one head while it is
painted.
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

# fluid, gray matter, gliosis (scar and hyperintensity) where white matter is 1.
INTENSITIES = {
    "T1w": {"fluid": (0.10, 0.50), "gray": (0.55, 0.85), "gliosis": (0.40, 0.80)},
    "FLAIR": {"fluid": (0.05, 0.50), "gray": (1.03, 1.45), "gliosis": (1.45, 2.40)},
    "T2w": {"fluid": (2.20, 4.50), "gray": (1.15, 1.80), "gliosis": (1.50, 2.60)},
}
ARBITRARY_INTENSITIES = {"fluid": (0.05, 3.0), "gray": (0.3, 2.0), "gliosis": (0.2, 3.0)}
# Share of white matter in the deep tissues; the rest is gray.
WHITE_FRACTIONS = {"striatum": (0, 0.35), "thalamus": (0.4, 0.9), "brainstem": (0.6, 1.0)}
# Around the brain, relative to white matter.
OUTSIDE_INTENSITIES = {"soft": (0.2, 1.0), "bone": (0.02, 0.3), "fat": (0.6, 1.8), "vessel": (0.1, 1.3)}
#: Tissues of cerebrospinal fluid, as indices.
FLUIDS = tuple(TISSUES.index(name) for name in ("csf", "ventricle", "fluid"))
#: Intensity by tissue.
Levels: TypeAlias = dict[str, float]
#: A part of a volume, or all of it.
Box: TypeAlias = tuple[slice, ...] | EllipsisType


@dataclass
class Head:
    """One head on the tile's grid: tissues, and one image per contrast.

    ``fluid`` weighs cerebrospinal fluid (0 to 1); ``looks`` holds the drawn intensities by
    contrast; ``spacing`` is the side of a voxel in mm (their mean).
    """

    mask: torch.Tensor
    fluid: torch.Tensor
    ventricles: torch.Tensor
    white: torch.Tensor
    spacing: float
    intensities: dict[str, Levels]
    images: dict[str, torch.Tensor]

    def blend(self, tissue: str, weight: torch.Tensor, box: Box = ...) -> None:
        """Blend every image towards ``tissue`` by ``weight``, in a part of the volume."""
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
        Brain.
    scans : dict of str to tensor
        Real scans by contrast, white matter 1. The T1w is remapped to the contrasts that have none.
        Without scans, every tissue has a random intensity and texture.
    levels : array of 3 floats, or None
        Fluid, gray and white levels of the T1w
        (:class:`bids_stroke.training.simulation.subjects.Subject`).
    ranges : dict
        The recipe's ``synthesis`` section: ``arbitrary`` is the chance that a contrast has arbitrary
        intensities, ``looks`` replaces ranges of :data:`INTENSITIES` by contrast.
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
        paint = {c: _from_labels(tissue, intensities[c], spacing, draw) for c in contrasts}
    else:
        paint = _from_scans(scans, levels, mask, intensities, draw)
    return Head(mask, fluid, ventricles, white, spacing, intensities, paint)


def _from_scans(
    scans: Mapping[str, torch.Tensor],
    levels: np.ndarray,
    mask: torch.Tensor,
    intensities: dict[str, Levels],
    draw: Draw,
) -> dict[str, torch.Tensor]:
    """Real scans, or the real T1w remapped to the look of a contrast.

    By chance, the look of the T1w is its own.
    """
    if draw.chance(0.5) and "T1w" in intensities:
        intensities["T1w"] = dict(zip(("fluid", "gray", "white"), map(float, levels), strict=True)) | {
            "gliosis": intensities["T1w"]["gliosis"]
        }
    paint = {}
    for contrast, levels_wanted in intensities.items():
        own = contrast == "FLAIR" and contrast in scans
        volume = scans[contrast] if own else remap(scans["T1w"], levels, levels_wanted)
        # A stripped scan shows nothing of the surroundings of the brain.
        around = levels_wanted["fluid"] * draw.uniform(0.3, 1.1)
        paint[contrast] = torch.where(mask, volume, around)
    return paint


def remap(
    image: torch.Tensor, levels: Sequence[float] | np.ndarray, target: Mapping[str, float]
) -> torch.Tensor:
    """Map a T1w, white matter 1, so that fluid, gray and white get the levels of ``target``."""
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
    """Random intensity for each tissue, textured, with partial volumes."""
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
