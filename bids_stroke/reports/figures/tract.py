"""Figure of a lesion and a tract, with charts of the lesioned share of each cross-section."""

from collections.abc import Mapping
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd

from bids_stroke.atlases import loads
from bids_stroke.spatial.image import like
from bids_stroke.utils.files import PathLike

from . import mosaic, slices, svg
from .mosaic import Overlay
from .palette import FAINT, LESION, OUTLINE, channels
from .slices import AXIAL, CORONAL, WIDTH, field_of_view
from .svg import STRIP

CHART = 76  # height of the chart of each side, pixels
_DIRECTIONS = {"x": "from left to right", "y": "from back to front", "z": "from foot to head"}


def draw_tract(
    background_img: nib.Nifti1Image,
    mask_img: nib.Nifti1Image,
    sides: Mapping[str, nib.Nifti1Image],
    out: PathLike,
    name: str = "corticospinal tract",
    axis: str | None = "z",
) -> Path:
    """Draw a lesion and a tract, and the lesioned share of each cross-section of the tract.

    Parameters
    ----------
    background_img, mask_img : nib.Nifti1Image
        Background and lesion mask on the grid of the tract.
    sides : mapping of str to nib.Nifti1Image
        Tract probability (0-1) of the sides ``L`` and ``R``.
    out : path
        SVG file.
    name : str
        Name of the tract.
    axis : {"x", "y", "z"}, optional
        Axis along which the tract runs; without an axis, no charts are drawn.
    """
    both = np.sum([side.get_fdata(dtype=np.float32) for side in sides.values()], axis=0)
    tract_img = like(both, mask_img, np.float32)
    core = like(both >= 0.3 * both.max(), mask_img, np.uint8)
    field = field_of_view(background_img, margin=4)
    panels, size = mosaic.layout([slices.through(core, axis, field) for axis in (CORONAL, AXIAL)])
    teal = np.array(channels(OUTLINE))
    overlay = Overlay(
        mosaic.sections(tract_img, panels),
        lambda p: np.broadcast_to(teal, (*p.shape, 3)),
        lambda p: np.where(p >= FAINT, 0.15 + 0.55 * svg.unit(p, 0, 0.6), 0),
    )
    charts, height, summary = "", 0, ""
    if axis:
        profile = loads.slice_profile(mask_img, sides, axis)
        charts, height = _charts(profile, size[1], axis), 2 * CHART
        summary = _summary(profile)
    full = svg.with_strips((size[0], size[1] + height), strips=3 if axis else 1)
    legend = [("lesion", LESION), ("tract", OUTLINE)]
    layers = [
        mosaic.raster(mosaic.sections(background_img, panels), panels, full, None, overlay),
        mosaic.contours(mosaic.sections(mask_img, panels, order=0), panels, LESION),
        mosaic.marks(panels),
        svg.title(f"Lesion and {name}", svg.HIDE, legend, "template"),
        charts,
    ]
    alt = f"Lesion and {name} on slices in two planes{summary}"
    return svg.write(out, full, layers, alt, "fading")


def _summary(profile: pd.DataFrame) -> str:
    """Describe the largest shares for the alternative text."""
    left, right = (
        f"{profile[side].max():.0%}" if len(profile) else "n/a" for side in ("left", "right")
    )
    return (
        ", and the lesioned share of each cross-section of the tract: at most "
        f"{left} on the left and {right} on the right"
    )


def _charts(profile: pd.DataFrame, top: int, axis: str) -> str:
    """Draw the lesioned share along the axis of the tract as bars, with a chart for each side."""
    positions = profile["position_mm"].to_numpy()
    left, width = 150, WIDTH - 200
    step = width / max(len(positions), 1)
    parts = [
        svg.text("Lesioned share of each cross-section of the tract", 12, top + 22, kind="title"),
        svg.text(f"{axis} (mm), {_DIRECTIONS[axis]}", WIDTH - 12, top + 22, "end"),
    ]
    for row, side in enumerate(("left", "right")):
        base = top + STRIP + (row + 1) * CHART + row * 20
        height = CHART - 10
        parts.append(svg.text(side, 20, base - height / 2))
        for share, name in ((0, "0"), (0.5, "50%"), (1, "100%")):
            y = base - share * height
            parts.append(f'<path d="M{left},{y:.1f}h{width}" stroke="#3b4654" stroke-width="1"/>\n')
            parts.append(svg.text(name, left - 8, y + 5, "end"))
        shares = profile[side].to_numpy()
        bars = "".join(
            f"M{left + i * step:.1f},{base}v{-share * height:.1f}h{step:.1f}v{share * height:.1f}z"
            for i, share in enumerate(shares)
            if share > 0
        )
        parts.append(f'<path class="bars" fill="{LESION}" d="{bars}"/>\n')
    for i in np.flatnonzero(np.round(positions) % 20 == 0):
        x = left + (i + 0.5) * step
        label = f"{positions[i]:.0f}".replace("-", "\N{MINUS SIGN}")
        parts.append(svg.text(label, x, base + 18, "middle"))
    return "".join(parts)
