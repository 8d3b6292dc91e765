"""How tissues, strokes and what resembles them look in each contrast.

Intensities are relative to white matter, ranges are drawn uniformly, lengths are in mm. A
:class:`Head` holds the images of one head while it is painted.
"""

from dataclasses import dataclass

import torch

from bids_stroke.lesion.postprocessing import threshold

from .fields import blur, lerp, ramp
from .subjects import TISSUES, WHITE

# fluid, gray matter, gliosis (scar and hyperintensity) where white matter is 1.
LOOKS = {
    "T1w": {"fluid": (0.10, 0.38), "gray": (0.55, 0.85), "gliosis": (0.40, 0.80)},
    "FLAIR": {"fluid": (0.05, 0.40), "gray": (1.03, 1.45), "gliosis": (1.45, 2.40)},
    "T2w": {"fluid": (2.20, 4.50), "gray": (1.15, 1.80), "gliosis": (1.50, 2.60)},
}
ARBITRARY = {"fluid": (0.05, 3.0), "gray": (0.3, 2.0), "gliosis": (0.2, 3.0)}
# Share of white matter in the deep tissues; the rest is gray.
MIXED = {"striatum": (0, 0.35), "thalamus": (0.4, 0.9), "brainstem": (0.6, 1.0)}
ISLAND = 30  # mm³; smaller pieces of a lesion are none
# Around the brain, relative to white matter.
OUTSIDE = {"soft": (0.2, 1.0), "bone": (0.02, 0.3), "fat": (0.6, 1.8), "vessel": (0.1, 1.3)}


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
    looks: dict
    images: dict

    def blend(self, tissue, weight, box=...):
        """Blend every image towards ``tissue`` by ``weight``, in a part of the volume."""
        for contrast, image in self.images.items():
            image[box] = lerp(image[box], self.looks[contrast][tissue], weight)


def look(contrast, draw, arbitrary):
    """Intensities of a contrast: by its ranges, or by ``arbitrary`` ones."""
    ranges = ARBITRARY if arbitrary else LOOKS[contrast]
    drawn = {tissue: draw.uniform(*span) for tissue, span in ranges.items()}
    return drawn | {"white": 1.0}


def head(tissue, mask, t1w, levels, contrasts, spacing, arbitrary, draw):
    """Paint a healthy head in some contrasts.

    Parameters
    ----------
    tissue : uint8 tensor
        Indices into :data:`subjects.TISSUES`.
    mask : bool tensor
        Brain.
    t1w, levels
        A real T1w and its fluid, gray and white levels (:class:`subjects.Subject`), remapped to
        each contrast; or None, and every tissue gets a random intensity and texture.
    arbitrary : float
        Chance that a contrast has arbitrary intensities.
    """
    ventricles = tissue == TISSUES.index("ventricle")
    fluid = (ventricles | (tissue == TISSUES.index("csf"))).float()
    white = (tissue == TISSUES.index("white")) & mask
    looks = {c: look(c, draw, draw.chance(arbitrary)) for c in contrasts}
    if t1w is None:
        paint = {c: _from_labels(tissue, looks[c], spacing, draw) for c in contrasts}
    else:
        image = t1w.float() / WHITE
        if draw.chance(0.5) and "T1w" in looks:
            looks["T1w"] = dict(zip(("fluid", "gray", "white"), map(float, levels), strict=True)) | {
                "gliosis": looks["T1w"]["gliosis"]
            }
        paint = {c: remap(image, levels, looks[c]) for c in contrasts}
        for contrast, volume in paint.items():
            # Nothing is known of the surroundings of a stripped brain.
            around = looks[contrast]["fluid"] * draw.uniform(0.3, 1.1)
            paint[contrast] = torch.where(mask, volume, around)
    return Head(mask, fluid, ventricles, white, spacing, looks, paint)


def remap(image, levels, target):
    """Map a T1w, white matter 1, so that fluid, gray and white get the levels of ``target``."""
    fluid, gray, white = map(float, levels)
    low = (target["gray"] - target["fluid"]) / (gray - fluid)
    high = (target["white"] - target["gray"]) / (white - gray)
    mapped = target["fluid"] + low * (image.clamp(fluid, gray) - fluid)
    mapped += high * (image.clamp(gray, white) - gray)
    mapped += 0.5 * low * (image.clamp(max=fluid) - fluid)
    return mapped + 0.5 * abs(high) * (image.clamp(min=white) - white)


def _from_labels(tissue, drawn, spacing, draw):
    """Random intensity for each tissue, textured, with partial volumes."""
    gray, white, fluid = drawn["gray"], drawn["white"], drawn["fluid"]
    values = {name: draw.uniform(*span) for name, span in OUTSIDE.items()}
    for name, span in MIXED.items():
        values[name] = gray + draw.uniform(*span) * (white - gray)
    values |= {"air": 0.0, "csf": fluid, "ventricle": fluid, "fluid": fluid}
    values |= {"cortex": gray, "cerebellar cortex": gray * draw.uniform(0.9, 1.1)}
    values |= {"white": white, "cerebellar white": white * draw.uniform(0.92, 1.08)}
    table = torch.tensor([values[name] for name in TISSUES], device=tissue.device)
    image = table[tissue.long()]
    texture = draw.uniform(0, 0.05) * draw.field(image.shape, draw.uniform(3, 10) / spacing)
    texture += draw.uniform(0, 0.06) * draw.noise(image.shape)
    return blur(image * (1 + texture), draw.uniform(0.5, 1.1) / spacing)


def region(shape, spacing, draw, device):
    """A smooth region: everywhere, one half (x), a random part, or the surroundings of a point."""
    kind = draw.pick(("everywhere", "half", "part", "point"))
    if kind == "half":
        side = torch.linspace(-1, 1, shape[0], device=device)[:, None, None]
        return ramp(side * draw.pick((-1, 1)), 0, 0.1).expand(shape)
    if kind == "part":
        return ramp(draw.field(shape, 60 / spacing), 0, 1)
    if kind == "point":
        width = draw.uniform(10, 25) / spacing
        places = [side * draw.uniform(0.15, 0.85) for side in shape]
        near = [
            torch.exp(-(((torch.arange(side, device=device) - place) / width) ** 2) / 2)
            for side, place in zip(shape, places, strict=True)
        ]
        return torch.einsum("i,j,k->ijk", *near)
    return torch.ones(shape, device=device)


def widen(head, where, draw, box=...):
    """Widen ventricles and sulci where the weights ``where`` say, as atrophy does."""
    spacing = head.spacing
    sulci = blur(head.fluid[box], draw.uniform(0.8, 2.8) / spacing) * draw.uniform(0.8, 2.4)
    weight = sulci.clamp(0, 1) ** 1.5
    ventricles = head.ventricles[box]
    if ventricles.any():
        spread = blur(ventricles, draw.uniform(2, 6) / spacing)
        wide = ramp(spread, draw.uniform(0.1, 0.4), 0.15)
        weight = torch.maximum(weight, wide)
        head.ventricles[box] = ventricles | ((wide * where > 0.5) & head.mask[box])
    weight = weight * where * head.mask[box]
    head.fluid[box] = torch.maximum(head.fluid[box], weight)
    head.blend("fluid", weight, box)


def hyperintensities(head, draw):
    """Caps around the ventricles and spots in the white matter: bright on FLAIR, no stroke."""
    shape, spacing = head.mask.shape, head.spacing
    weight = torch.zeros(shape, device=head.mask.device)
    if draw.chance(0.7):
        near = blur(head.ventricles, draw.uniform(3, 7) / spacing)
        uneven = 0.15 * draw.field(shape, 12 / spacing)
        weight = ramp(near + uneven, draw.uniform(0.15, 0.5), 0.15)
    if draw.chance(0.7):
        number = int(draw.rng.integers(2, 40))
        weight = torch.maximum(
            weight, _spots(head.white, number, draw.uniform(0.8, 2.5), draw, spacing)
        )
    weight = weight * blur(head.white, 1 / spacing) * draw.uniform(0.3, 1)
    for contrast, image in head.images.items():
        drawn = head.looks[contrast]
        mild = draw.uniform(0, 0.5) if contrast == "T1w" else draw.uniform(0.5, 1)
        level = 1 + mild * (drawn["gliosis"] - 1)
        image.copy_(lerp(image, level, weight))


def perivascular(head, draw):
    """Thin fluid-filled streaks in white matter and basal ganglia."""
    number = int(draw.rng.integers(5, 60))
    streaks = _spots(head.white, number, draw.uniform(0.5, 0.9), draw, head.spacing)
    axis, reach = int(draw.rng.integers(3)), int(draw.rng.integers(1, 4))
    rolled = [streaks.roll(step, axis) for step in range(-reach, reach + 1)]
    streaks = torch.stack(rolled).amax(0)
    head.blend("fluid", streaks * head.mask * draw.uniform(0.2, 0.7))


def _spots(where, number, sigma, draw, spacing):
    """Blurred points at random places of ``where``, each about 1 at its centre."""
    points = torch.zeros(where.shape, device=where.device)
    places = where.flatten().nonzero()[:, 0]
    if not len(places):
        return points
    chosen = draw.rng.integers(len(places), size=number)
    points.view(-1)[places[torch.from_numpy(chosen).to(places.device)]] = 1
    spread = blur(points, sigma / spacing)
    return (spread / spread.max().clamp_min(1e-6)).clamp(0, 1)


def chronic(head, lesion, box, draw):
    """A fluid-filled cavity, crossed by strands, in gliotic tissue with a soft rim."""
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
        drawn = head.looks[contrast]
        part = image[box]
        if contrast == "T1w":  # darkens the tissue, whose structure stays
            loss = draw.uniform(0.2, 0.55)
            scarred = part * (1 - loss * torch.maximum(scar, 0.5 * halo))
        else:
            scarred = lerp(part, drawn["gliosis"], torch.maximum(scar * draw.uniform(0.5, 1), halo))
        fluid = drawn["fluid"] * draw.uniform(0.8, 1.4 if contrast == "T1w" else 1.1)
        fluid = fluid * (1 + draw.uniform(0, 0.1) * draw.field(shape, 6 / spacing))
        image[box] = torch.where(inside, lerp(scarred, fluid, cavity), part)
    return cavity


def subacute(head, lesion, box, draw):
    """Swollen tissue with soft edges: moderately dark on T1w, bright on FLAIR and T2w."""
    spacing, shape = head.spacing, lesion.shape
    edge = blur(lesion, draw.uniform(0.8, 2.5) / spacing)
    uneven = 1 + 0.2 * draw.field(shape, draw.uniform(4, 12) / spacing)
    weight = (edge * uneven).clamp(0, 1)
    inside = head.mask[box]
    filled = head.fluid[box] * edge * draw.uniform(0, 0.9)  # swelling closes the sulci
    filled = filled * ~head.ventricles[box]
    for contrast, image in head.images.items():
        drawn = head.looks[contrast]
        part = image[box]
        swollen = lerp(part, drawn["gray"], filled)
        if contrast == "T1w":
            edema = swollen * (1 - draw.uniform(0.15, 0.45) * weight)
        else:
            level = 1 + draw.uniform(0.4, 1.0) * (drawn["gliosis"] - 1)
            edema = lerp(swollen, level, weight * draw.uniform(0.5, 1.0))
        image[box] = torch.where(inside, edema, part)


def _traced(lesion, spacing):
    """``lesion`` without the islands that no tracer would see, which turning and clipping leave."""
    kept = threshold(lesion.cpu().numpy(), 0.5, ISLAND, spacing**3) > 0
    return torch.from_numpy(kept).to(lesion.device)


def paste(head, weights, corner, stage, draw):
    """Paste one lesion.

    Parameters
    ----------
    weights : float tensor (i, j, k)
        Lesion weights, 0 to 1, of a part of the volume with some margin.
    corner : tuple of int
        Where that part starts.
    stage : {"chronic", "subacute"}

    Returns
    -------
    label : bool tensor
        The lesion: within the brain, outside the ventricles (as tracers do).
    cavity : float tensor or None
        Fluid of a chronic lesion, in the part.
    box : tuple of slice
        The part.
    """
    box = tuple(slice(c, c + side) for c, side in zip(corner, weights.shape, strict=True))
    allowed = head.mask[box] & ~head.ventricles[box]
    rough = draw.uniform(0, 0.25) * draw.field(weights.shape, 6 / head.spacing)
    lesion = (weights + rough * (weights > 0.05) > 0.5) & allowed
    plain = (weights > 0.5) & allowed
    if 2 * lesion.sum() < plain.sum():  # what roughening would erase stays as it was
        lesion = plain
    lesion = _traced(lesion, head.spacing)
    label = torch.zeros_like(head.mask)
    label[box] = lesion
    if not lesion.any():
        return label, None, box
    if stage == "subacute":
        subacute(head, lesion, box, draw)
        return label, None, box
    cavity = chronic(head, lesion, box, draw)
    if draw.chance(0.4):  # shrinkage pulls ventricle and sulci
        near = (3 * blur(lesion, 6 / head.spacing)).clamp(0, 1) * ~lesion
        widen(head, near, draw, box)
    return label, cavity, box
