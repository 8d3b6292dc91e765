"""Tracts: load a probability map, bring it to the template, measure a lesion's load on it."""

import importlib.util
import re
from dataclasses import dataclass, fields, replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import yaml
from nibabel.affines import apply_affine
from scipy import ndimage

from . import image
from .errors import ImageError, ResourceError
from .lesion import on_grid
from .registration import TEMPLATE, template

DATA = Path(__file__).parent / "data"
JUELICH = "juelich-cst"

# Where the corticospinal tract runs on below the maps that end in the pons: the brainstem, in
# template coordinates. Height alone would flag every stroke of the temporal pole or cerebellum.
BRAINSTEM_MM = {"x": (-15, 15), "y": (-50, -8)}

#: The columns of :func:`loads`, for the JSON sidecar of the table.
COLUMNS = {
    "side": {
        "Description": "Side of the tract",
        "Levels": {"left": "Left tract", "right": "Right tract", "total": "Both sides together"},
    },
    "overlap_volume_ml": {
        "Description": "Volume of the lesion where the tract's probability is above 0",
        "Units": "mL",
    },
    "tract_volume_ml": {
        "Description": "Volume of the tract: sum of its probabilities times the voxel volume",
        "Units": "mL",
    },
    "raw_load_ml": {
        "Description": "Sum of the tract's probabilities inside the lesion times the voxel volume "
        "(Zhu et al. 2010); total: sum of the sides",
        "Units": "mL",
    },
    "fraction": {"Description": "raw_load_ml / tract_volume_ml (0-1)"},
    "weighted_load_ml": {
        "Description": "Weighted lesion load (Feng et al. 2015): the raw load of each axial slice "
        "times the ratio of the largest cross-section of the tract to the slice's own; total: sum "
        "of the sides",
        "Units": "mL",
    },
    "max_slice_load": {
        "Description": "Largest share of the tract's cross-section inside the lesion over axial "
        "slices (0-1); total: larger of the sides",
    },
    "category": {
        "Description": "Size of weighted_load_ml by the cut-offs of the tract's card, n/a for a "
        "load of 0; total: category of the affected side, that with the larger weighted_load_ml",
        "Levels": {
            "small": "Below the lower cut-off",
            "medium": "At least the lower, below the upper cut-off",
            "large": "At least the upper cut-off",
        },
    },
    "category_status": {
        "Description": "Whether the cut-offs were derived on this very tract map",
        "Levels": {"validated": "They were", "unvalidated": "They were not: read with caution"},
    },
    "below_tract_fraction": {
        "Description": "Share of the lesion in the brainstem below the lowest slice of the tract, "
        "where the loads are blind to it (0-1); above 0, the loads may be too small",
    },
}


@dataclass(frozen=True, kw_only=True)
class TractCard:
    """What a tract is. ``file`` lies in ``package``, or beside the card when there is none."""

    name: str
    atlas: str  # value of the atlas- entity
    file: str
    space: str
    cutoffs_ml: dict  # lower, upper
    package: str | None = None
    volumes: dict | None = None  # L and R, zero-based; a 3D file is split at x = 0
    scale: float = 1.0  # times a stored value is a probability
    z_mm: list | None = None  # lowest and highest slice used
    cutoff_sources: dict | None = None
    validated: bool = False  # the cut-offs were derived on this map
    licence: str = ""
    citation: str = ""


def load_card(tract=JUELICH, space=TEMPLATE):
    """Read the card of a tract.

    Parameters
    ----------
    tract : str or Path
        Name of a card of the package, path of a card (``.yaml``), or path of a probability map
        (``.nii``, ``.nii.gz``, 0-1) that is already in ``space``. A bare map takes the cut-offs of
        the default card, unvalidated.

    Raises
    ------
    ResourceError
        If there is no such card, or it is not one.
    """
    path = Path(tract)
    if path.name.endswith((".nii", ".nii.gz")):
        name = path.name.removesuffix(".gz").removesuffix(".nii")
        default = load_card()
        return TractCard(
            name=name,
            atlas=re.sub("[^0-9A-Za-z]", "", name) or "tract",
            file=str(path),
            space=space,
            cutoffs_ml=default.cutoffs_ml,
            cutoff_sources=default.cutoff_sources,
        )
    if path.suffix not in (".yaml", ".yml"):
        path = DATA / "tracts" / f"{tract}.yaml"
    if not path.exists():
        known = ", ".join(sorted(card.stem for card in (DATA / "tracts").glob("*.yaml")))
        raise ResourceError(f"{tract} is no tract; give a NIfTI file, a card, or one of: {known}.")
    try:
        card = TractCard(**yaml.safe_load(path.read_text()))
    except (TypeError, yaml.YAMLError) as error:
        keys = ", ".join(item.name for item in fields(TractCard))
        reason = " ".join(str(error).split())
        raise ResourceError(f"{path} is not a tract card ({reason}); its keys: {keys}.") from None
    return card if card.package else replace(card, file=str(path.parent / card.file))


def load_tract(tract=JUELICH, space=TEMPLATE):
    """Load a tract on the 1 mm grid of the template.

    Parameters
    ----------
    tract : TractCard, str or Path
        The card, or what :func:`load_card` takes.
    space : str
        Template to bring the tract to.

    Returns
    -------
    dict of str to nib.Nifti1Image
        ``L`` and ``R``: probability 0-1, float32, (x, y, z).

    Raises
    ------
    ResourceError
        If the tract's package, its file, or the transform from its space is missing.
    ImageError
        If the file holds no probability map.
    """
    card = tract if isinstance(tract, TractCard) else load_card(tract, space)
    reference = _grid(space)
    maps = warp(probability_maps(card), reference, transform(card.space, space))
    if len(maps) == 1:  # one map of both sides; voxels on the midline belong half to either
        right = (1 + hemisphere_map(reference).get_fdata(dtype=np.float32)) / 2
        maps = [maps[0] * (1 - right), maps[0] * right]
    heights = _heights(reference)
    low, high = card.z_mm or (heights[0], heights[-1])
    inside = (heights >= low) & (heights <= high)
    pairs = zip("LR", maps, strict=True)
    return {side: image.like(probability * inside, reference) for side, probability in pairs}


def _grid(space):
    """Give the template image whose grid ``space`` is measured on."""
    if space != TEMPLATE:
        raise ResourceError(f"Tracts cannot be brought to {space}; the one output is {TEMPLATE}.")
    return template().t1w


def probability_maps(card):
    """Open the probability maps (0-1) of a card: left and right, or one of both sides."""
    path = Path(card.file)
    if card.package:
        # Not imported: only its files are of use, and it may not import beside current packages.
        spec = importlib.util.find_spec(card.package)
        if spec is None:
            raise ResourceError(
                f"The tract {card.name} is read from the package {card.package}, which is not "
                f"installed; install it, or give another tract."
            )
        path = Path(spec.origin).parent / path
    if not path.exists():
        raise ResourceError(f"{path}, the file of the tract {card.name}, is missing.")
    if card.volumes:
        img = nib.load(path)
        first, last = min(card.volumes.values()), max(card.volumes.values())
        stack = np.asarray(img.dataobj[..., first : last + 1])  # read once: it is compressed
        arrays = [stack[..., card.volumes[side] - first] for side in "LR"]
    else:
        img = image.load(path)
        arrays = [np.asanyarray(img.dataobj)]
    arrays = [array * np.float32(card.scale) for array in arrays]
    low, high = min(map(np.min, arrays)), max(map(np.max, arrays))
    if low < 0 or high > 1 + 1e-5 or high == 0:
        raise ImageError(
            f"{path} holds values from {low:g} to {high:g}, but a tract needs probabilities "
            "between 0 and 1; rescale it, or give a card with its scale."
        )
    return [image.like(array, img, np.float32) for array in arrays]


def transform(source, target):
    """Load the displacement field that carries images from one template space to another.

    Returns
    -------
    nib.Nifti1Image or None
        (x, y, z, 3): at a point of ``target``, the shift (RAS, mm) to the same anatomy in
        ``source``; None when the spaces are one.

    Raises
    ------
    ResourceError
        If the package has no such transform.
    """
    if source == target:
        return None
    path = DATA / "transforms" / f"from-{source}_to-{target}_mode-image_xfm.nii.gz"
    if not path.exists():
        raise ResourceError(
            f"No transform from {source} to {target} is available; give the tract in {target}."
        )
    return nib.load(path)


def warp(images, reference, field=None):
    """Interpolate images linearly on the grid of ``reference``, through a displacement field.

    Parameters
    ----------
    images : list of nib.Nifti1Image
        On any grids; 0 outside.
    reference : nib.Nifti1Image
        The grid.
    field : nib.Nifti1Image, optional
        As :func:`transform` gives it.

    Returns
    -------
    list of ndarray, float32
    """
    arrays = [img.get_fdata(dtype=np.float32) for img in images]
    moved = [np.zeros(reference.shape[:3], np.float32) for _ in images]
    shifts = None if field is None else np.moveaxis(field.get_fdata(dtype=np.float32), -1, 0)
    plane = np.indices((*reference.shape[:2], 1)).reshape(3, -1).T
    for k in range(reference.shape[2]):  # by slices: the coordinates of a volume fill 200 MB
        points = apply_affine(reference.affine, plane + np.array((0, 0, k)))
        if field is not None:
            points = points + _at(shifts, field.affine, points, mode="nearest").T
        for array, img, out in zip(arrays, images, moved, strict=True):
            values = _at([array], img.affine, points, mode="constant")
            out[..., k] = values.reshape(out.shape[:2])
    return moved


def _at(arrays, affine, points, mode):
    """Interpolate arrays on one grid linearly at world ``points`` (n, 3): (arrays, n)."""
    voxels = apply_affine(np.linalg.inv(affine), points).T
    return np.stack([ndimage.map_coordinates(a, voxels, order=1, mode=mode) for a in arrays])


def hemisphere_map(img):
    """Map the sides of a template: -1 on the left (x < 0), +1 on the right, 0 within 0.5 mm.

    Parameters
    ----------
    img : nib.Nifti1Image
        Any image in a template space (RAS world coordinates).

    Returns
    -------
    nib.Nifti1Image of int8
    """
    *steps, x = img.affine[0]
    for step, axis in zip(steps, np.ogrid[tuple(map(slice, img.shape[:3]))], strict=True):
        x = x + step * axis
    return image.like(np.where(np.abs(x) < 0.5, 0, np.sign(x)), img, np.int8)


def loads(lesion_img, tract, card):
    """Measure the load of a lesion on a tract.

    With L the binary lesion, P the probability of one side, v the voxel volume (ml) and
    A(z) = sum_xy P the cross-section of the side:

    - raw load (Zhu et al. 2010, Stroke 41:910-915): v sum L P; fraction: sum L P / sum P;
    - weighted load (Feng et al. 2015, Ann Neurol 78:860-870):
      v sum_z [max A / A(z)] sum_xy L P, without the slices where A(z) = 0;
    - largest slice load: max_z sum_xy L P / A(z).

    Parameters
    ----------
    lesion_img : nib.Nifti1Image
        Lesion mask on the grid of the template, in any axis order.
    tract : dict of str to nib.Nifti1Image
        ``L`` and ``R``, as :func:`load_tract` gives them.
    card : TractCard
        The cut-offs.

    Returns
    -------
    pandas.DataFrame
        Rows ``left``, ``right``, ``total``, indexed by ``side``; columns as in :data:`COLUMNS`.

    Raises
    ------
    ImageError
        If lesion and tract are not on one grid.
    """
    lesion = image.conform(lesion_img)
    voxel_ml = image.voxel_volume(lesion) / 1000
    mask = np.asanyarray(lesion.dataobj) > 0
    left, right = (on_grid(image.conform(tract[h]), lesion, "tract") for h in "LR")
    rows = {"left": _load(mask, left, voxel_ml), "right": _load(mask, right, voxel_ml)}
    table = pd.DataFrame.from_dict(rows, orient="index").rename_axis("side")
    total = table.sum()
    total["overlap_volume_ml"] = voxel_ml * np.count_nonzero(mask & ((left > 0) | (right > 0)))
    total["fraction"] = _ratio(total["raw_load_ml"], total["tract_volume_ml"])
    total["max_slice_load"] = table["max_slice_load"].max()
    categories = [_category(ml, card.cutoffs_ml) for ml in table["weighted_load_ml"]]
    affected = int(table["weighted_load_ml"].argmax())
    table.loc["total"] = total
    table["category"] = [*categories, categories[affected]]
    table["category_status"] = "validated" if card.validated else "unvalidated"
    table["below_tract_fraction"] = [np.nan, np.nan, _below(lesion, left + right)]
    return table


def _load(mask, probability, voxel_ml):
    """Measure the load on one side."""
    hit = np.where(mask, probability, 0)
    area = probability.sum((0, 1), dtype=float)
    load = hit.sum((0, 1), dtype=float)
    share = load[area > 0] / area[area > 0]
    return {
        "overlap_volume_ml": voxel_ml * np.count_nonzero(hit),
        "tract_volume_ml": voxel_ml * area.sum(),
        "raw_load_ml": voxel_ml * load.sum(),
        "fraction": _ratio(load.sum(), area.sum()),
        "weighted_load_ml": voxel_ml * area.max() * share.sum(),
        "max_slice_load": share.max() if share.size else np.nan,
    }


def _ratio(part, whole):
    return part / whole if whole else np.nan


def _category(weighted_ml, cutoffs):
    """Name the size of a weighted load, NaN without one."""
    if weighted_ml == 0:
        return np.nan
    if weighted_ml < cutoffs["lower"]:
        return "small"
    return "medium" if weighted_ml < cutoffs["upper"] else "large"


def _below(lesion, probability):
    """Share of a lesion in the brainstem below the lowest slice of the tract, NaN without one."""
    voxels = np.argwhere(np.asanyarray(lesion.dataobj) > 0)
    covered = _heights(lesion)[probability.any((0, 1))]
    if not len(voxels) or not covered.size:
        return np.nan
    x, y, z = apply_affine(lesion.affine, voxels).T
    (left, right), (back, front) = BRAINSTEM_MM["x"], BRAINSTEM_MM["y"]
    inside = (x >= left) & (x <= right) & (y >= back) & (y <= front)
    return np.mean(inside & (z < covered.min()))


def _heights(img):
    """World z (mm) of the slices of a template-aligned image."""
    return img.affine[2, 3] + img.affine[2, 2] * np.arange(img.shape[2])
