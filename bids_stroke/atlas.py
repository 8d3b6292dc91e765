"""Tracts: load a probability map, bring it to the template, measure a lesion's load on it."""

import hashlib
import importlib.util
import json
import re
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
from nibabel.affines import apply_affine
from scipy import ndimage

from . import __version__, image, plain
from .errors import ImageError, ResourceError
from .lesion import on_grid, threshold
from .record import stamp
from .registration import TEMPLATE, template
from .settings import cache_dir

DATA = Path(__file__).parent / "data"
JUELICH = "juelich-cst"

# Where the corticospinal tract runs on below the maps that end in the pons: the brainstem, in
# template coordinates. Height alone would flag every stroke of the temporal pole or cerebellum.
BRAINSTEM_MM = {"x": (-15, 15), "y": (-50, -8)}

#: Thresholds of the lesion probability at which the loads are measured once more.
THRESHOLDS = {"p10": 0.1, "p20": 0.2, "p50": 0.5}
_UNCERTAIN = {"raw_load": "Raw load", "weighted_load": "Weighted lesion load"}

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
        "Levels": {
            "validated": "They were",
            "unvalidated": "They were not: read with caution",
            "own": "They were given by the user",
        },
    },
    "below_tract_fraction": {
        "Description": "Share of the lesion in the brainstem below the lowest slice of the tract, "
        "where the loads are blind to it (0-1); above 0, the loads may be too small",
    },
}
for _name, _text in _UNCERTAIN.items():
    for _key, _value in THRESHOLDS.items():
        COLUMNS[f"{_name}_{_key}_ml"] = {
            "Description": f"{_text} of the voxels whose lesion probability is at least {_value}, "
            "without the components that are too small for a lesion; n/a without probabilities",
            "Units": "mL",
        }
    COLUMNS[f"{_name}_expected_ml"] = {
        "Description": f"{_text} with the lesion probability of each voxel in place of the mask: "
        "its expected value; n/a without probabilities",
        "Units": "mL",
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
    own_cutoffs: bool = False  # the cut-offs are the user's
    licence: str = ""
    citation: str = ""


def load_card(tract=JUELICH, cutoffs_ml=None):
    """Read the card of a tract.

    Parameters
    ----------
    tract : str or Path
        Name of a card of the package, path of a card (``.yaml``), or path of a probability map
        (``.nii``, ``.nii.gz``, 0-1) whose name tells its space (``space-MNI152NLin6Asym``). A bare
        map takes the cut-offs of the default card, unvalidated.
    cutoffs_ml : pair of float, optional
        Lower and upper cut-off of the category, in place of the card's.

    Raises
    ------
    ResourceError
        If there is no such card, or it is not one, or the name of a map tells no space.
    """
    card = _load_card(tract)
    if cutoffs_ml is None:
        return card
    return replace(
        card,
        cutoffs_ml=dict(zip(("lower", "upper"), map(float, cutoffs_ml), strict=True)),
        cutoff_sources=dict.fromkeys(("lower", "upper"), "Given by the user."),
        own_cutoffs=True,
    )


def _load_card(tract):
    path = Path(tract)
    if path.name.endswith((".nii", ".nii.gz")):
        default = _load_card(JUELICH)
        return TractCard(
            name=path.name.partition(".nii")[0],
            atlas=label_of(path),
            file=str(path),
            space=space_of(path),
            cutoffs_ml=default.cutoffs_ml,
            cutoff_sources=default.cutoff_sources,
        )
    if path.suffix not in (".yaml", ".yml"):
        path = DATA / "tracts" / f"{tract}.yaml"
    if not path.exists():
        known = ", ".join(sorted(card.stem for card in (DATA / "tracts").glob("*.yaml")))
        raise ResourceError(f"{tract} is no tract; give a NIfTI file, a card, or one of: {known}.")
    try:
        card = TractCard(**plain.read(path))
        plain.inside(card.file)
    except (OSError, TypeError, ValueError) as error:
        keys = ", ".join(item.name for item in fields(TractCard))
        reason = " ".join(str(error).split())
        raise ResourceError(f"{path} is not a tract card ({reason}); its keys: {keys}.") from None
    return card if card.package else replace(card, file=str(path.parent / card.file))


def space_of(path):
    """Tell the template space of a map by the ``space-`` in its name.

    Raises
    ------
    ResourceError
        If there is none.
    """
    found = re.search(r"(?:^|_)space-([0-9A-Za-z]+)", Path(path).name)
    if not found:
        raise ResourceError(
            f"{path} does not tell its template space; put space-{TEMPLATE} or another space into its "
            "name."
        )
    return found[1]


def label_of(path):
    """The value of the ``atlas-`` entity for a map: its own, or its name without the space."""
    stem = Path(path).name.partition(".nii")[0]
    found = re.search(r"(?:^|_)atlas-([0-9A-Za-z]+)", stem)
    if found:
        return found[1]
    return re.sub("[^0-9A-Za-z]", "", re.sub("space-[0-9A-Za-z]+", "", stem)) or "map"


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
    card = tract if isinstance(tract, TractCard) else load_card(tract)
    reference = grid(space)
    path = _path(card)
    if not path.exists():
        raise ResourceError(f"{path}, the file of the tract {card.name}, is missing.")
    key = [asdict(card), space, stamp(path)]
    return dict(
        zip("LR", cached(card.atlas, key, lambda: _on_grid(card, reference, space)), strict=True)
    )


def _on_grid(card, reference, space):
    maps = warp(probability_maps(card), reference, transform(card.space, space))
    if len(maps) == 1:  # one map of both sides; voxels on the midline belong half to either
        right = (1 + hemisphere_map(reference).get_fdata(dtype=np.float32)) / 2
        maps = [maps[0] * (1 - right), maps[0] * right]
    heights = _heights(reference)
    low, high = card.z_mm or (heights[0], heights[-1])
    inside = (heights >= low) & (heights <= high)
    return [image.like(probability * inside, reference, np.float32) for probability in maps]


def cached(name, key, build):
    """Give the images that ``build()`` returns, from the cache where they were made before.

    Parameters
    ----------
    name : str
        Start of the names of the files.
    key : object
        All that the images depend on; JSON must know it.

    Returns
    -------
    list of nib.Nifti1Image
    """
    text = json.dumps([__version__, key], default=str)
    stem = f"{name}-{hashlib.sha256(text.encode()).hexdigest()[:16]}"
    folder = cache_dir() / "maps"
    found = sorted(folder.glob(f"{stem}-*of*.nii"))
    if found and found[0].stem.endswith(f"of{len(found)}"):
        return [nib.load(path) for path in found]
    images = build()
    try:
        for number, img in enumerate(images, 1):
            image.save(img, folder / f"{stem}-{number}of{len(images)}.nii")
    except OSError:  # a cache that cannot be written is none
        pass
    return images


def grid(space=TEMPLATE):
    """Give the template image whose grid ``space`` is measured on."""
    if space != TEMPLATE:
        raise ResourceError(f"Tracts cannot be brought to {space}; the one output is {TEMPLATE}.")
    return template().t1w


def package_file(package, file, user):
    """Path of a file of an installed package, which ``user`` needs.

    The package is not imported: only its files are of use, and it may not import beside current
    packages.

    Raises
    ------
    ResourceError
        If the package is not installed.
    """
    spec = importlib.util.find_spec(package)
    if spec is None:
        raise ResourceError(
            f"{user} is read from the package {package}, which is not installed; install it, or "
            "give a file of your own."
        )
    return Path(spec.origin).parent / file


def _path(card):
    if card.package:
        return package_file(card.package, card.file, f"The tract {card.name}")
    return Path(card.file)


def probability_maps(card):
    """Open the probability maps (0-1) of a card: left and right, or one of both sides."""
    path = _path(card)
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


def _transform_path(source, target):
    return DATA / "transforms" / f"from-{source}_to-{target}_mode-image_xfm.nii.gz"


def has_transform(source, target=TEMPLATE):
    """Tell whether images can be carried from one template space to another."""
    return source == target or _transform_path(source, target).exists()


def bring(img, space):
    """Bring an image from a template space to the grid of the output template.

    Without a transform it is taken as it lies: the MNI spaces are a few millimetres apart.

    Returns
    -------
    nib.Nifti1Image of float32
    """
    reference = grid()
    field = transform(space, TEMPLATE) if has_transform(space) else None
    return image.like(warp([img], reference, field)[0], reference)


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
    path = _transform_path(source, target)
    if not path.exists():
        raise ResourceError(
            f"No transform from {source} to {target} is available; give the map in {target}."
        )
    return nib.load(path)


def warp(images, reference, field=None, order=1):
    """Interpolate images on the grid of ``reference``, through a displacement field.

    Parameters
    ----------
    images : list of nib.Nifti1Image
        On any grids; 0 outside.
    reference : nib.Nifti1Image
        The grid.
    field : nib.Nifti1Image, optional
        As :func:`transform` gives it.
    order : int
        1 for linear interpolation, 0 for labels.

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
            values = _at([array], img.affine, points, mode="constant", order=order)
            out[..., k] = values.reshape(out.shape[:2])
    return moved


def _at(arrays, affine, points, mode, order=1):
    """Interpolate arrays on one grid at world ``points`` (n, 3): (arrays, n)."""
    voxels = apply_affine(np.linalg.inv(affine), points).T
    return np.stack([ndimage.map_coordinates(a, voxels, order=order, mode=mode) for a in arrays])


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


def loads(lesion_img, tract, card, probability_img=None, min_component_mm3=0):
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
    probability_img : nib.Nifti1Image, optional
        Lesion probability (0-1) on the same grid: raw and weighted load are measured at each of
        :data:`THRESHOLDS` as well, and with the probability in the place of L, which is their
        expected value.
    min_component_mm3 : float
        Smaller components are no lesion at a threshold either.

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
    sides = {"left": left, "right": right}
    rows = {side: _load(mask, of_tract, voxel_ml) for side, of_tract in sides.items()}
    uncertain = {}
    if probability_img is not None:
        probability = on_grid(image.conform(probability_img), lesion, "lesion probability")
        for key, value in THRESHOLDS.items():
            uncertain[key] = threshold(probability, value, min_component_mm3, 1000 * voxel_ml) > 0
        uncertain["expected"] = probability
    table = pd.DataFrame.from_dict(rows, orient="index").rename_axis("side")
    total = table.sum()
    total["overlap_volume_ml"] = voxel_ml * np.count_nonzero(mask & ((left > 0) | (right > 0)))
    total["fraction"] = _ratio(total["raw_load_ml"], total["tract_volume_ml"])
    total["max_slice_load"] = table["max_slice_load"].max()
    categories = [_category(ml, card.cutoffs_ml) for ml in table["weighted_load_ml"]]
    affected = int(table["weighted_load_ml"].argmax())
    table.loc["total"] = total
    table["category"] = [*categories, categories[affected]]
    validated = "validated" if card.validated else "unvalidated"
    table["category_status"] = "own" if card.own_cutoffs else validated
    table["below_tract_fraction"] = [np.nan, np.nan, _below(lesion, left + right)]
    again = {
        key: [_load(weight, of_tract, voxel_ml) for of_tract in sides.values()]
        for key, weight in uncertain.items()
    }
    for name in _UNCERTAIN:
        for key in (*THRESHOLDS, "expected"):
            found = [load[f"{name}_ml"] for load in again.get(key, [])] or [np.nan, np.nan]
            table[f"{name}_{key}_ml"] = [*found, sum(found)]
    return table


def profile(lesion_img, tract):
    """Share of each axial slice of a tract that is lesion: sum_xy L P / A(z), see :func:`loads`.

    Returns
    -------
    pandas.DataFrame
        ``z_mm``, ascending, and ``left`` and ``right`` (0-1; 0 where a side has no tract); the
        slices that hold any of the tract.
    """
    lesion = image.conform(lesion_img)
    mask = np.asanyarray(lesion.dataobj) > 0
    table = pd.DataFrame({"z_mm": _heights(lesion)})
    found = np.zeros(len(table), bool)
    for side, key in {"left": "L", "right": "R"}.items():
        probability = on_grid(image.conform(tract[key]), lesion, "tract")
        area = probability.sum((0, 1), dtype=float)
        hit = (mask * probability).sum((0, 1), dtype=float)
        table[side] = np.divide(hit, area, out=np.zeros_like(area), where=area > 0)
        found |= area > 0
    return table[found].reset_index(drop=True)


def _load(lesion, probability, voxel_ml):
    """Measure the load on one side of a lesion mask, or of its probability."""
    hit = lesion * probability
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
