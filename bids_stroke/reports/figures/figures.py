"""Figures of the reports: images in, one SVG file out.

Each is a mosaic of slices (:mod:`.mosaic`) with contours or colors over it.
"""

import numpy as np
from scipy import ndimage

from bids_stroke.atlases import loads
from bids_stroke.spatial.image import like

from . import mosaic, slices
from .mosaic import STRIP, WIDTH, Overlay
from .slices import AXIAL, CORONAL, SAGITTAL, field_of_view

LESION = "#ff2d55"  # a crimson light enough to stand out of gray matter
OUTLINE = "#35d0ba"
FAINT = 0.05  # probabilities below are not drawn
CHART = 76  # height of the chart of a side, pixels
HIDE = "hover or focus to hide the contour"


def brain_mask(t1w_img, mask_img, out):
    """Draw the contour of a brain mask over the head, in three planes."""
    field = field_of_view(mask_img, margin=18)
    panels, size = mosaic.layout(field.planes())
    masks = mosaic.sections(mask_img, panels)
    layers = [
        mosaic.raster(mosaic.sections(t1w_img, panels), panels, size, inside=masks),
        mosaic.contours(masks, panels, OUTLINE),
        mosaic.marks(panels),
        mosaic.title("Brain mask", HIDE, ("brain mask", OUTLINE)),
    ]
    alt = "Contour of the brain mask on slices through the head in three planes"
    return mosaic.write(out, size, layers, alt, "fading")


def flicker(fixed_img, moving_img, out, contour_img=None, labels=("T1w", "FLAIR")):
    """Draw two aligned images that take turns under the pointer, with a contour over both.

    Parameters
    ----------
    fixed_img, moving_img : spatial images
        Aligned in world space; their grids may differ. ``moving_img`` is the one seen at rest.
    contour_img : spatial image, optional
        Mask (brain or white matter) whose outline is drawn and which sets the field of view.
    labels : pair of str
        Names of the fixed and of the moving image.
    """
    field = field_of_view(fixed_img if contour_img is None else contour_img, margin=12)
    panels, size = mosaic.layout(field.planes())
    masks = None if contour_img is None else mosaic.sections(contour_img, panels)
    # Gray levels follow the brain, also where the contour is that of the white matter alone.
    inside = masks and [ndimage.grey_closing(mask, 15) for mask in masks]
    fixed, moving = (
        mosaic.raster(mosaic.sections(img, panels), panels, size, inside)
        + mosaic.title(label, f"hover or focus to alternate with {other}")
        for img, label, other in zip((fixed_img, moving_img), labels, labels[::-1], strict=True)
    )
    layers = [fixed, f'<g class="moving">\n{moving}</g>\n', mosaic.marks(panels)]
    if masks:
        layers.append(mosaic.contours(masks, panels, OUTLINE))
    alt = f"Slices of {labels[1]}, alternating with the same slices of {labels[0]}"
    return mosaic.write(out, size, layers, alt, "flicker")


def lesion(background_img, mask_img, out, label="T1w", brain_img=None):
    """Draw the contour of a lesion: a close-up in each plane, axial slices through the whole brain,
    then three rows of slices that spread over the lesion. An empty mask makes a figure that says so.

    Parameters
    ----------
    label : str
        Name of the background image.
    brain_img : spatial image, optional
        Brain mask that sets the field of view and the intensity window; without it, the head does.
    """
    field = field_of_view(background_img if brain_img is None else brain_img, margin=6)
    if np.any(np.asanyarray(mask_img.dataobj)):
        title, told = f"Lesion on {label}", (HIDE, ("lesion", LESION))
        rows = [slices.close_up(mask_img), *field.spread(AXIAL), *_through(mask_img, field)]
    else:
        title, told = f"No lesion found on {label}", ()
        rows = field.planes()
    panels, size = mosaic.layout(rows)
    inside = None if brain_img is None else mosaic.sections(brain_img, panels)
    layers = [
        mosaic.raster(mosaic.sections(background_img, panels), panels, size, inside),
        mosaic.contours(mosaic.sections(mask_img, panels, order=0), panels, LESION),
        mosaic.marks(panels),
        mosaic.title(title, *told),
    ]
    alt = f"{title}: contour of the mask on slices in three planes" if told else title
    return mosaic.write(out, size, layers, alt, "fading")


def probability(background_img, probability_img, mask_img, out, label="T1w", brain_img=None):
    """Draw the probability of a lesion in color, and the contour of the mask that it became.

    Parameters
    ----------
    probability_img, mask_img : spatial images
        Same grid; probabilities from 0 to 1.
    label, brain_img
        As for :func:`lesion`.
    """
    field = field_of_view(background_img if brain_img is None else brain_img, margin=6)
    marked = like(probability_img.get_fdata(dtype=np.float32) >= FAINT, mask_img, np.uint8)
    rows = field.spread(AXIAL)
    if np.any(marked.dataobj):
        rows += [slices.through(marked, AXIAL, field), slices.through(marked, CORONAL, field)]
    panels, size = mosaic.layout(rows)
    size = mosaic.with_strips(size)
    inside = None if brain_img is None else mosaic.sections(brain_img, panels)
    colors = _plasma(0, 1)
    overlay = Overlay(
        mosaic.sections(probability_img, panels), colors, lambda p: np.where(p >= FAINT, 0.8, 0)
    )
    layers = [
        mosaic.raster(mosaic.sections(background_img, panels), panels, size, inside, overlay),
        mosaic.contours(mosaic.sections(mask_img, panels, order=0), panels, OUTLINE),
        mosaic.marks(panels),
        mosaic.title(f"Lesion probability on {label}", HIDE, ("mask", OUTLINE)),
        mosaic.colorbar(colors, (FAINT, 0.25, 0.5, 0.75, 1), "probability", size),
    ]
    alt = f"Lesion probability in color on slices of the {label}, with the contour of the mask"
    return mosaic.write(out, size, layers, alt, "fading")


def tract(background_img, mask_img, sides, out, name="corticospinal tract"):
    """Draw a lesion over a tract, and the share of each axial slice of the tract that is lesion.

    Parameters
    ----------
    background_img, mask_img : spatial images
        On the grid of the tract.
    sides : dict of str to spatial image
        ``L`` and ``R``: probability, 0 to 1.
    """
    both = sum(side.get_fdata(dtype=np.float32) for side in sides.values())
    tract_img = like(both, mask_img, np.float32)
    core = like(both >= 0.3 * both.max(), mask_img, np.uint8)
    field = field_of_view(background_img, margin=4)
    panels, size = mosaic.layout([slices.through(core, axis, field) for axis in (CORONAL, AXIAL)])
    teal = np.array([int(OUTLINE[i : i + 2], 16) for i in (1, 3, 5)])
    overlay = Overlay(
        mosaic.sections(tract_img, panels),
        lambda p: np.broadcast_to(teal, (*p.shape, 3)),
        lambda p: np.where(p >= FAINT, 0.15 + 0.55 * mosaic.unit(p, 0, 0.6), 0),
    )
    profile = loads.slice_profile(mask_img, sides)
    full = mosaic.with_strips((size[0], size[1] + 2 * CHART), strips=3)
    layers = [
        mosaic.raster(mosaic.sections(background_img, panels), panels, full, None, overlay),
        mosaic.contours(mosaic.sections(mask_img, panels, order=0), panels, LESION),
        mosaic.marks(panels),
        mosaic.title(f"Lesion and {name}", HIDE, ("lesion", LESION), ("tract", OUTLINE)),
        _charts(profile, size[1]),
    ]
    most = {side: f"{100 * profile[side].max():.0f}%" for side in ("left", "right")}
    alt = (
        f"Lesion and {name} on slices in two planes, and the share of each axial slice of the tract "
        f"that is lesion: at most {most['left']} on the left and {most['right']} on the right"
    )
    return mosaic.write(out, full, layers, alt, "fading")


def _charts(profile, top):
    """Bars of the share that is lesion, from the lowest slice to the highest, a chart for each side."""
    z = profile["z_mm"].to_numpy()
    left, width = 150, WIDTH - 200
    step = width / len(z)
    parts = [
        mosaic.text("Share of each slice of the tract that is lesion", 12, top + 22, kind="title"),
        mosaic.text("z (mm), from the foot to the head", WIDTH - 12, top + 22, "end"),
    ]
    for row, side in enumerate(("left", "right")):
        base = top + STRIP + (row + 1) * CHART + row * 20
        height = CHART - 10
        parts.append(mosaic.text(side, 20, base - height / 2))
        for share, name in ((0, "0"), (0.5, "50%"), (1, "100%")):
            y = base - share * height
            parts.append(f'<path d="M{left},{y:.1f}h{width}" stroke="#3b4654" stroke-width="1"/>\n')
            parts.append(mosaic.text(name, left - 8, y + 5, "end"))
        shares = profile[side].to_numpy()
        bars = "".join(
            f"M{left + i * step:.1f},{base}v{-share * height:.1f}h{step:.1f}v{share * height:.1f}z"
            for i, share in enumerate(shares)
            if share > 0
        )
        parts.append(f'<path class="bars" fill="{LESION}" d="{bars}"/>\n')
    for i in np.flatnonzero(np.round(z) % 20 == 0):
        x = left + (i + 0.5) * step
        label = f"{z[i]:.0f}".replace("-", "\N{MINUS SIGN}")
        parts.append(mosaic.text(label, x, base + 18, "middle"))
    return "".join(parts)


def comparison(background_img, truth_img, pred_img, title, out):
    """Draw the contours of a true and of a predicted mask, in three rows of slices that spread over
    both, on an image or on the template."""
    both = (np.asanyarray(truth_img.dataobj) > 0) | (np.asanyarray(pred_img.dataobj) > 0)
    either = like(both, truth_img, np.uint8)
    field = field_of_view(background_img, margin=6)
    panels, size = mosaic.layout(_through(either, field) if both.any() else field.planes())
    layers = [
        mosaic.raster(mosaic.sections(background_img, panels), panels, size),
        mosaic.contours(mosaic.sections(truth_img, panels, order=0), panels, OUTLINE),
        mosaic.contours(mosaic.sections(pred_img, panels, order=0), panels, LESION),
        mosaic.marks(panels),
        mosaic.title(title, HIDE, ("truth", OUTLINE), ("prediction", LESION)),
    ]
    alt = f"{title}: contours of the true and of the predicted lesion on slices in three planes"
    return mosaic.write(out, size, layers, alt, "fading")


def overlap_map(count_img, template_img, out):
    """Draw the number of sessions whose lesion covers each voxel, in color on the template."""
    field = field_of_view(template_img, margin=4)
    rows = field.spread(AXIAL, rows=2) + field.spread(CORONAL) + field.spread(SAGITTAL)
    panels, size = mosaic.layout(rows)
    size = mosaic.with_strips(size)
    most = int(np.max(np.asanyarray(count_img.dataobj)))
    colors = _plasma(1, most)
    overlay = Overlay(
        mosaic.sections(count_img, panels, order=0), colors, lambda count: 0.85 * (count > 0)
    )
    title = "Lesion overlap" if most else "Lesion overlap: no lesion in any session"
    layers = [
        mosaic.raster(mosaic.sections(template_img, panels), panels, size, None, overlay),
        mosaic.marks(panels),
        mosaic.title(title),
    ]
    if most:
        ticks = np.unique(np.linspace(1, most, min(most, 5)).round().astype(int))
        layers.append(mosaic.colorbar(colors, ticks, "sessions", size))
    alt = f"Lesion overlap on slices of the template: at most {most} sessions in a voxel"
    return mosaic.write(out, size, layers, alt)


def _through(mask_img, field):
    """A row of slices through a mask in each plane."""
    return [slices.through(mask_img, axis, field) for axis in (AXIAL, CORONAL, SAGITTAL)]


def _plasma(low, high):
    """Colors of values from ``low`` to ``high``, readable by the color-blind."""
    from matplotlib import colormaps

    # The darkest fifth of the map would drown in the image.
    return lambda values: 255 * colormaps["plasma"](0.2 + 0.8 * mosaic.unit(values, low, high))[..., :3]
