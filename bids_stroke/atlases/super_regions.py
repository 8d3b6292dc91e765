"""Super-regions R1 to R4 (Mohapatra et al. 2023)."""

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
    """Labels of one atlas that form super-regions; files are relative to the package of the card."""

    file: str  # label image
    labels: str  # table with the columns name and index
    regions: dict[str, list[str]]  # label names by super-region
    from_space: list[list[float]] | None = None  # affine from the space of the card to that of the file
    below_mm: float | None = None  # only labels below this z coordinate in the space of the card


@dataclass(frozen=True, kw_only=True)
class SuperRegionsCard:
    """Composition of the super-regions; where layers overlap, the last layer takes precedence."""

    name: str
    atlas: str  # value of the atlas- entity
    package: str
    space: str
    layers: list[Layer]
    names: dict[str, str]  # description of each super-region by its code
    notes: str
    licence: str

    def full_name(self, code: str) -> str:
        """Return code and name of a super-region: ``R3 superior frontal, parietal, occipital``."""
        return f"{code} {self.names[code]}"


def code_of(name: str) -> str:
    """Return the code of a super-region from its full name.

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
    """Build the super-regions R1 to R4 (Mohapatra et al.).

    The labels that the card lists are warped to the template. Every other voxel takes the label of the
    nearest labeled voxel, so that each voxel belongs to exactly one super-region.

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
        warped = template_transforms.warp([_layer(card, layer, names)], reference, field, order=0)[0]
        labels = np.where(warped > 0, warped, labels)
    nearest = ndimage.distance_transform_edt(labels == 0, return_distances=False, return_indices=True)
    return image.like(labels[tuple(nearest)], reference, np.uint8)


def _atlas_files(card: SuperRegionsCard, layer: Layer) -> tuple[Path, Path]:
    """Return the paths of a label image and of its table."""
    return _atlas_file(card, layer.file), _atlas_file(card, layer.labels)


def _atlas_file(card: SuperRegionsCard, file: str) -> Path:
    path = files.package_file(card.package, file, f"The atlas of {card.name}")
    if not path.exists():
        raise ResourceError(
            f"{path}, needed for {card.name}, is missing; reinstall the package {card.package}."
        )
    return path


def _layer(card: SuperRegionsCard, layer: Layer, names: Mapping[int, str]) -> nib.Nifti1Image:
    """Convert the labels of one atlas to super-regions, in the space of the card."""
    path, table = _atlas_files(card, layer)
    img = image.open_image(path)
    label_of_name = pd.read_csv(table).set_index("name")["index"]
    region_of_label = np.zeros(label_of_name.max() + 1, np.uint8)
    for number, region in names.items():
        region_of_label[label_of_name[layer.regions.get(code_of(region), [])]] = number
    affine = img.affine
    if layer.from_space:
        affine = np.linalg.inv(layer.from_space) @ affine
    numbers = region_of_label[np.asarray(img.dataobj)]
    if layer.below_mm is not None:  # the axes of these files are aligned with world space
        z = affine[2, 3] + affine[2, 2] * np.arange(img.shape[2])
        numbers = numbers * (z < layer.below_mm)
    return nib.Nifti1Image(numbers.astype(np.uint8), affine)
