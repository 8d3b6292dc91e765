"""Regions: atlases on the template's grid, and what a lesion takes of them."""

import json
from dataclasses import asdict, dataclass
from functools import cached_property, lru_cache
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import yaml
from nibabel.affines import apply_affine
from scipy import ndimage

from . import atlas, image, record
from .errors import ImageError, ResourceError, UsageError
from .lesion import on_grid
from .registration import TEMPLATE, template

SUPER_REGIONS = "super-regions"

#: A lesion closer than this touches the ventricles or the surface: about the error of a
#: normalization.
TOUCH_MM = 3.0

# A point in the left lateral ventricle, in template coordinates.
_VENTRICLE_MM = (-12, -20, 22)

#: The columns of :func:`measure`, for the JSON sidecar of the table.
COLUMNS = {
    "region": {"Description": "Region of the atlas; 'outside' is what no region covers"},
    "region_volume_ml": {"Description": "Volume of the region in the brain", "Units": "mL"},
    "lesion_volume_ml": {
        "Description": "Volume of the lesion in the region, after normalization",
        "Units": "mL",
    },
    "lesion_share": {"Description": "Share of the lesion that lies in the region (0-1)"},
    "region_share": {"Description": "Share of the region that is lesion (0-1)"},
}


@dataclass(frozen=True)
class Atlas:
    """Regions: ``label`` is the value of the ``atlas-`` entity, ``names`` the regions' by their
    number in ``img``, which lies on the template's grid (0: none)."""

    label: str
    names: dict
    img: nib.Nifti1Image


@dataclass(frozen=True)
class Maps:
    """What the lesions of a run are measured on: tracts (names, cards or maps), own cut-offs of
    their categories, and atlases of the user (label image, table)."""

    tracts: tuple = (atlas.JUELICH,)
    cutoffs_ml: tuple | None = None
    atlases: tuple = ()

    @cached_property
    def cards(self):
        """The cards of the tracts."""
        return [atlas.load_card(tract, self.cutoffs_ml) for tract in self.tracts]

    @cached_property
    def columns(self):
        """The described columns of each table by the value of its ``atlas-`` entity, in order.

        Raises
        ------
        UsageError
            If two have the same.
        """
        columns = [(card.atlas, atlas.COLUMNS) for card in self.cards]
        columns += [(super_regions_card()["atlas"], COLUMNS)]
        columns += [(atlas.label_of(path), COLUMNS) for path, _ in self.atlases]
        labels = [label for label, _ in columns]
        twice = sorted(label for label in set(labels) if labels.count(label) > 1)
        if twice:
            raise UsageError(
                f"Two tracts or atlases are named {twice[0]}; rename the file of one of them."
            )
        return dict(columns)

    def check(self):
        """Check the files once, before a session is started.

        Raises
        ------
        ResourceError, UsageError
            One sentence, for what is missing, out of reach or named twice.
        """
        named = [(card.file, card.space) for card in self.cards if not card.package]
        named += [(path, atlas.space_of(path)) for path, _ in self.atlases]
        for path, space in named:
            atlas.transform(space, TEMPLATE)
            if not Path(path).is_file():
                raise ResourceError(f"{path} does not exist; check --tract and --atlas.")
        for _, table in self.atlases:
            if not table.is_file():
                raise ResourceError(f"{table} does not exist; check --atlas-labels.")
        return self.columns

    def identity(self):
        """What the measurements depend on, as text; files count by size and time of change."""
        files = [card.file for card in self.cards if not card.package]
        files += [path for pair in self.atlases for path in pair]
        stamps = {str(path): record.stamp(path) for path in files}
        return json.dumps([[asdict(card) for card in self.cards], super_regions_card(), stamps])


@lru_cache(maxsize=1)
def super_regions_card():
    """What the super-regions are made of."""
    return yaml.safe_load((atlas.DATA / "atlases" / f"{SUPER_REGIONS}.yaml").read_text())


@lru_cache(maxsize=1)
def super_regions():
    """Build the super-regions R1 to R4 (Mohapatra et al.): each voxel is in exactly one.

    The labels that the card names are brought to the template; any other voxel takes the nearest.

    Returns
    -------
    Atlas

    Raises
    ------
    ResourceError
        If the package of the atlases is missing.
    """
    card = super_regions_card()
    names = dict(enumerate(card["names"], 1))
    key = [card, [record.stamp(path) for layer in card["layers"] for path in _files(card, layer)]]
    (img,) = atlas.cached(card["atlas"], key, lambda: [_super_regions(card, names)])
    return Atlas(card["atlas"], names, img)


def _super_regions(card, names):
    reference = atlas.grid()
    field = atlas.transform(card["space"], TEMPLATE)
    found = np.zeros(reference.shape, np.uint8)
    for layer in card["layers"]:
        moved = atlas.warp([_layer(card, layer, names)], reference, field, order=0)[0]
        found = np.where(moved > 0, moved, found)
    nearest = ndimage.distance_transform_edt(found == 0, return_distances=False, return_indices=True)
    return image.like(found[tuple(nearest)], reference, np.uint8)


def _files(card, layer):
    """Paths of the labels of an atlas and of their table."""
    for key in ("file", "labels"):
        path = atlas.package_file(card["package"], layer[key], f"The atlas of {card['name']}")
        if not path.exists():
            raise ResourceError(f"{path}, needed for {card['name']}, is missing; install it again.")
        yield path


def _layer(card, layer, names):
    """One atlas with its labels turned into regions, in the space of the card."""
    path, table = _files(card, layer)
    img = nib.load(path)
    number_of = pd.read_csv(table).set_index("name")["index"]
    region_of = np.zeros(number_of.max() + 1, np.uint8)
    for number, region in names.items():
        region_of[number_of[layer["regions"].get(region, [])]] = number
    affine = np.linalg.inv(layer.get("from_space", np.eye(4))) @ img.affine
    return nib.Nifti1Image(region_of[np.asarray(img.dataobj)], affine)


def load(path, labels):
    """Load an atlas of the user.

    Parameters
    ----------
    path : Path
        Labels (whole numbers, 0 for none), 3D, in the template space that its name tells.
    labels : Path
        Table with the columns ``index`` and ``name``, as BIDS has it (``_dseg.tsv``).

    Returns
    -------
    Atlas

    Raises
    ------
    ImageError, ResourceError
        If the file is no label image, the table not its, or its space out of reach.
    """
    img = image.load(path)
    data = np.asanyarray(img.dataobj)
    if np.any(data < 0) or np.any(data != np.round(data)):
        raise ImageError(f"{path} holds values that are no labels (0, 1, 2, …); check --atlas.")
    reference = atlas.grid()
    field = atlas.transform(atlas.space_of(path), TEMPLATE)
    moved = atlas.warp([img], reference, field, order=0)[0]
    names = _names(labels, np.unique(data[data > 0]).astype(int))
    return Atlas(atlas.label_of(path), names, image.like(moved, reference, np.int32))


def _names(path, numbers):
    """Names of the regions by their number, from a table; all of ``numbers`` must be named."""
    try:
        table = pd.read_csv(path, sep="\t", encoding="utf-8-sig")
        names = dict(zip(table["index"].astype(int), table["name"].astype(str), strict=True))
    except (OSError, ValueError, KeyError) as error:
        raise ResourceError(
            f"{path} is not a table with the columns index and name ({error}); mend it."
        ) from None
    missing = sorted(set(numbers.tolist()) - names.keys())
    if missing:
        raise ResourceError(
            f"{path} does not name the labels {', '.join(map(str, missing[:10]))} of its atlas; add "
            "them."
        )
    return {number: name for number, name in names.items() if number > 0}


def measure(lesion_img, regions):
    """Measure a lesion region by region.

    Parameters
    ----------
    lesion_img : nib.Nifti1Image
        Lesion mask on the template's grid.
    regions : Atlas

    Returns
    -------
    pandas.DataFrame
        A row for each region, and the row ``outside``, where any of the lesion is; columns as in
        :data:`COLUMNS`. Shares of an empty lesion are NaN.

    Raises
    ------
    ImageError
        If lesion and atlas are not on one grid.
    """
    labels = on_grid(regions.img, lesion_img, "atlas").astype(np.int64)
    mask = np.asanyarray(lesion_img.dataobj) > 0
    brain = np.asanyarray(template().brain.dataobj) > 0
    ml = image.voxel_volume(lesion_img) / 1000
    size = max(labels.max(), *regions.names) + 1
    volume = np.bincount(labels[brain], minlength=size) * ml
    hit = np.bincount(labels[mask], minlength=size) * ml
    numbers = [*regions.names, *([0] if hit[0] else [])]
    inside = np.array([0.0 if number == 0 else volume[number] for number in numbers])
    found = hit[numbers]
    with np.errstate(invalid="ignore", divide="ignore"):
        return pd.DataFrame({
            "region": [regions.names.get(number, "outside") for number in numbers],
            "region_volume_ml": np.where(np.array(numbers) > 0, inside, np.nan),
            "lesion_volume_ml": found,
            "lesion_share": found / (mask.sum() * ml),
            "region_share": np.where(inside > 0, found / inside, np.nan),
        })  # fmt: skip


def normalized(mask_img):
    """Volume (ml) of a lesion mask on the template's grid, and the share (0-1) of it that lies outside
    of the template's brain."""
    voxels = np.argwhere(np.asanyarray(mask_img.dataobj) > 0)
    brain = template().brain
    there = apply_affine(np.linalg.inv(brain.affine) @ mask_img.affine, voxels).T
    inside = ndimage.map_coordinates(np.asanyarray(brain.dataobj), there, order=0)
    volume = len(voxels) * image.voxel_volume(mask_img) / 1000
    return volume, 1 - float(inside.mean()) if len(voxels) else 0.0


def index_region(table):
    """Name the region that holds most of the lesion; NaN without one."""
    hit = table[table["lesion_volume_ml"] > 0]
    return hit.loc[hit["lesion_volume_ml"].idxmax(), "region"] if len(hit) else np.nan


def ventricles():
    """The lateral ventricles of the template: the part of its brain that is neither gray nor white
    matter and holds a point of them; bool, (x, y, z)."""
    from nilearn.datasets import load_mni152_gm_template, load_mni152_wm_template

    target = template()
    matter = sum(
        image.like(img.dataobj, img).get_fdata(dtype=np.float32)
        for img in (load_mni152_gm_template(resolution=1), load_mni152_wm_template(resolution=1))
    )
    fluid = (np.asanyarray(target.brain.dataobj) > 0) & (matter < 0.5)
    labels, _ = ndimage.label(fluid)
    seed = apply_affine(np.linalg.inv(target.t1w.affine), _VENTRICLE_MM).round().astype(int)
    return labels == labels[tuple(seed)]


def locate(points):
    """Tell where points of the template space lie.

    Parameters
    ----------
    points : ndarray, (n, 3)
        RAS, mm.

    Returns
    -------
    pandas.DataFrame
        Of n rows: ``x``, ``y``, ``z`` (mm); ``super_region``; ``ventricle`` and ``surface``, whether
        the lateral ventricles, or the outside of the brain, are within :data:`TOUCH_MM`.
    """
    regions = super_regions()
    points = np.reshape(points, (-1, 3))
    voxels = apply_affine(np.linalg.inv(regions.img.affine), points)
    voxels = tuple(np.clip(voxels.round().astype(int), 0, np.array(regions.img.shape) - 1).T)
    numbers = np.asanyarray(regions.img.dataobj)[voxels]
    located = pd.DataFrame(points, columns=["x", "y", "z"], dtype=float)
    located["super_region"] = [regions.names[number] for number in numbers]
    for name, touched in zip(
        ("ventricle", "surface"), atlas.cached("touch", TOUCH_MM, _touched), strict=True
    ):
        located[name] = np.asanyarray(touched.dataobj)[voxels] > 0
    return located


def _touched():
    """Maps of the voxels that touch the ventricles, and the outside of the brain."""
    target = template()
    places = ventricles(), np.asanyarray(target.brain.dataobj) == 0
    distances = map(ndimage.distance_transform_edt, map(np.logical_not, places))  # voxels of 1 mm
    return [image.like(distance <= TOUCH_MM, target.t1w, np.uint8) for distance in distances]
