"""The super-regions R1 to R4 (Mohapatra et al. 2023)."""

from functools import lru_cache

import nibabel as nib
import numpy as np
import pandas as pd
import yaml
from scipy import ndimage

from bids_stroke.data import DATA
from bids_stroke.errors import ResourceError
from bids_stroke.spatial import image, template_transforms, templates
from bids_stroke.spatial.templates import TEMPLATE
from bids_stroke.utils import cache, files

from .regions import Atlas

SUPER_REGIONS = "super-regions"


@lru_cache(maxsize=1)
def super_regions_card():
    """What the super-regions are made of."""
    return yaml.safe_load((DATA / "atlases" / f"{SUPER_REGIONS}.yaml").read_text())


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
    key = [card, [files.stamp(path) for layer in card["layers"] for path in _atlas_files(card, layer)]]
    (img,) = cache.cached_images(card["atlas"], key, lambda: [_super_regions(card, names)])
    return Atlas(card["atlas"], names, img)


def _super_regions(card, names):
    reference = templates.template_grid()
    field = template_transforms.load_transform(card["space"], TEMPLATE)
    found = np.zeros(reference.shape, np.uint8)
    for layer in card["layers"]:
        moved = template_transforms.warp([_layer(card, layer, names)], reference, field, order=0)[0]
        found = np.where(moved > 0, moved, found)
    nearest = ndimage.distance_transform_edt(found == 0, return_distances=False, return_indices=True)
    return image.like(found[tuple(nearest)], reference, np.uint8)


def _atlas_files(card, layer):
    """Paths of the labels of an atlas and of their table."""
    for key in ("file", "labels"):
        path = files.package_file(card["package"], layer[key], f"The atlas of {card['name']}")
        if not path.exists():
            raise ResourceError(f"{path}, needed for {card['name']}, is missing; install it again.")
        yield path


def _layer(card, layer, names):
    """One atlas with its labels turned into regions, in the space of the card."""
    path, table = _atlas_files(card, layer)
    img = nib.load(path)
    number_of = pd.read_csv(table).set_index("name")["index"]
    region_of = np.zeros(number_of.max() + 1, np.uint8)
    for number, region in names.items():
        region_of[number_of[layer["regions"].get(region, [])]] = number
    affine = np.linalg.inv(layer.get("from_space", np.eye(4))) @ img.affine
    return nib.Nifti1Image(region_of[np.asarray(img.dataobj)], affine)
