"""The super-regions R1 to R4 (Mohapatra et al. 2023)."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
from scipy import ndimage

from bids_stroke.data import DATA
from bids_stroke.errors import ResourceError
from bids_stroke.spatial import image, template_transforms, templates
from bids_stroke.spatial.templates import TEMPLATE
from bids_stroke.utils import cache, files, safe_yaml

from .regions import Atlas

SUPER_REGIONS = "super-regions"


@dataclass(frozen=True, kw_only=True)
class Layer:
    """Labels of one atlas that make up super-regions; files are relative to the card's package."""

    file: str  # label image
    labels: str  # table with the columns name and index
    regions: dict[str, list[str]]  # names of labels by super-region
    from_space: list[list[float]] | None = None  # affine from the card's space to the file's
    below_mm: float | None = None  # labels count below this height in the card's space


@dataclass(frozen=True, kw_only=True)
class SuperRegionsCard:
    """What the super-regions are made of; where several layers have a label, the last one counts."""

    name: str
    atlas: str  # value of the atlas- entity
    package: str
    space: str
    layers: list[Layer]
    names: dict[str, str]  # what each super-region covers, by its code
    notes: str
    licence: str

    def full_name(self, code: str) -> str:
        """Code and name of a super-region: ``R3 superior frontal, parietal, occipital``."""
        return f"{code} {self.names[code]}"


def code_of(name: str) -> str:
    """Code of a super-region, from its full name.

    >>> code_of("R3 superior frontal, parietal, occipital")
    'R3'
    """
    return name.partition(" ")[0]


@lru_cache(maxsize=1)
def super_regions_card() -> SuperRegionsCard:
    """Read the card of the super-regions."""
    content = safe_yaml.read(DATA / "atlases" / f"{SUPER_REGIONS}.yaml")
    layers = [Layer(**layer) for layer in content.pop("layers")]
    return SuperRegionsCard(layers=layers, **content)


@lru_cache(maxsize=1)
def super_regions() -> Atlas:
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
    names = {number: card.full_name(code) for number, code in enumerate(card.names, 1)}
    stamps = [[files.stamp(path) for path in _atlas_files(card, layer)] for layer in card.layers]
    key = [asdict(card), stamps]
    (img,) = cache.cached_images(card.atlas, key, lambda: [_super_regions(card, names)])
    return Atlas(card.atlas, names, img)


def _super_regions(card: SuperRegionsCard, names: Mapping[int, str]) -> nib.Nifti1Image:
    reference = templates.template_grid()
    field = template_transforms.load_transform(card.space, TEMPLATE)
    labels = np.zeros(reference.shape, np.uint8)
    for layer in card.layers:
        moved = template_transforms.warp([_layer(card, layer, names)], reference, field, order=0)[0]
        labels = np.where(moved > 0, moved, labels)
    nearest = ndimage.distance_transform_edt(labels == 0, return_distances=False, return_indices=True)
    return image.like(labels[tuple(nearest)], reference, np.uint8)


def _atlas_files(card: SuperRegionsCard, layer: Layer) -> tuple[Path, Path]:
    """Paths of the labels of an atlas and of their table."""
    return _atlas_file(card, layer.file), _atlas_file(card, layer.labels)


def _atlas_file(card: SuperRegionsCard, file: str) -> Path:
    path = files.package_file(card.package, file, f"The atlas of {card.name}")
    if not path.exists():
        raise ResourceError(f"{path}, needed for {card.name}, is missing; install it again.")
    return path


def _layer(card: SuperRegionsCard, layer: Layer, names: Mapping[int, str]) -> nib.Nifti1Image:
    """One atlas with its labels turned into regions, in the space of the card."""
    path, table = _atlas_files(card, layer)
    img = image.open_image(path)
    number_of = pd.read_csv(table).set_index("name")["index"]
    region_of = np.zeros(number_of.max() + 1, np.uint8)
    for number, region in names.items():
        region_of[number_of[layer.regions.get(code_of(region), [])]] = number
    affine = img.affine
    if layer.from_space:
        affine = np.linalg.inv(layer.from_space) @ affine
    numbers = region_of[np.asarray(img.dataobj)]
    if layer.below_mm is not None:  # these files are aligned with the axes
        heights = affine[2, 3] + affine[2, 2] * np.arange(img.shape[2])
        numbers = numbers * (heights < layer.below_mm)
    return nib.Nifti1Image(numbers.astype(np.uint8), affine)
