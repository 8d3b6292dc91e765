"""Probability maps of tracts on the grid of the template."""

from collections.abc import Sequence
from dataclasses import asdict

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

from bids_stroke.errors import ImageError
from bids_stroke.spatial import headers, image
from bids_stroke.spatial.grid import resample
from bids_stroke.spatial.masks import ROUNDING
from bids_stroke.spatial.template_transforms import load_transform, warp
from bids_stroke.spatial.templates import TEMPLATE, hemisphere_map, template_grid
from bids_stroke.spatial.transforms import apply
from bids_stroke.utils.cache import cached_images
from bids_stroke.utils.files import PathLike, stamp

from .tract_cards import JUELICH, TractCard, check_files, load_card

#: Largest share of the map of one side that may lie on the other side; some tracts cross the midline.
MAX_OTHER_SIDE = 0.9


def load_tract(
    tract: TractCard | PathLike = JUELICH, space: str = TEMPLATE
) -> dict[str, nib.Nifti1Image]:
    """Load a tract on the 1 mm grid of the template.

    Parameters
    ----------
    tract : TractCard, str or Path
        A card, or an argument of :func:`bids_stroke.atlases.tract_cards.load_card`.
    space : str
        Template to which the tract is warped.

    Returns
    -------
    dict of str to nib.Nifti1Image
        ``L`` and ``R``: probability 0-1, float32, (x, y, z).

    Raises
    ------
    ResourceError
        If the package or the file of the tract, or the transform from its space, is missing.
    ImageError
        If the file is not a probability map.
    """
    card = tract if isinstance(tract, TractCard) else load_card(tract)
    reference = template_grid(space)
    check_files(card)
    key = [asdict(card), space, [stamp(path) for path in card.paths]]
    images = cached_images(card.atlas, key, lambda: _on_grid(card, reference, space))
    return dict(zip("LR", images, strict=True))


def move_tract(
    card: TractCard, reference: nib.Nifti1Image, transforms: Sequence[PathLike]
) -> nib.Nifti1Image:
    """Move the probability of a tract, both sides together, from the template to a grid.

    Parameters
    ----------
    card : TractCard
    reference : nib.Nifti1Image
        Image on the grid.
    transforms : sequence of path
        Transforms from the template to the space of the image; none for an image in the template.

    Returns
    -------
    nib.Nifti1Image
        Probability 0-1, float32.
    """
    sides = load_tract(card)
    left, right = (sides[side].get_fdata(dtype=np.float32) for side in "LR")
    both = image.like(np.minimum(left + right, 1), sides["L"], np.float32)
    if not transforms:
        return resample(both, reference)
    return apply(both, reference, transforms, kind="probability")


def _on_grid(card: TractCard, reference: nib.Nifti1Image, space: str) -> list[nib.Nifti1Image]:
    maps = warp(probability_maps(card), reference, load_transform(card.space, space))
    if len(maps) == 1:  # one map of both sides; half of each midline voxel belongs to each side
        right = (1 + hemisphere_map(reference).get_fdata(dtype=np.float32)) / 2
        maps = [maps[0] * (1 - right), maps[0] * right]
    else:
        _check_sides(maps, reference, card)
    heights = slice_positions(reference)
    low, high = card.z_mm or (heights[0], heights[-1])
    inside = (heights >= low) & (heights <= high)
    if not any(probability[..., inside].any() for probability in maps):
        raise ImageError(
            f"{card.paths[0]} has no tract inside the template; check its header, its space and the "
            "z_mm of its card."
        )
    if card.symmetric:  # the template's grid is symmetric about x = 0
        left = (maps[0] + maps[1][::-1]) / 2
        maps = [left, left[::-1]]
    return [image.like(probability * inside, reference, np.float32) for probability in maps]


def _check_sides(maps: Sequence[np.ndarray], reference: nib.Nifti1Image, card: TractCard) -> None:
    """Refuse a card with L and R swapped: left and right loads would be swapped, too."""
    x = slice_positions(reference, "x")
    paths = card.paths[0], card.paths[-1]
    for probability, key, path, other in zip(maps, "LR", paths, (x > 0, x < 0), strict=True):
        if probability[other].sum(dtype=float) > MAX_OTHER_SIDE * probability.sum(dtype=float):
            raise ImageError(
                f"{path} is the map of {key} in the card of {card.name}, but lies on the other side; "
                "swap L and R in the card, or correct the header of the file."
            )


def probability_maps(card: TractCard) -> list[nib.Nifti1Image]:
    """Load the probability maps (0-1) of a card: left and right, or one map of both sides.

    Raises
    ------
    ImageError
        If a file is not a probability map.
    """
    path = card.paths[0]
    if card.volumes:
        img = image.open_image(path)
        headers.check_affine(img, path)
        headers.check_head(img, path)
        first, last = min(card.volumes.values()), max(card.volumes.values())
        if len(img.shape) != 4 or not 0 <= first <= last < img.shape[3]:
            raise ImageError(
                f"{path} has shape {img.shape}, so it lacks the volumes {first} and {last} of its "
                "card; correct volumes, which count from 0."
            )
        with image.verified(img, path) as opened:  # read once: the file is compressed
            stack = np.asarray(opened.dataobj[..., first : last + 1])
        return [_probability(stack[..., card.volumes[side] - first], img, card) for side in "LR"]
    images = map(image.load_supplied, card.paths)
    return [_probability(np.asanyarray(img.dataobj), img, card) for img in images]


def _probability(stored: NDArray, img: nib.Nifti1Image, card: TractCard) -> nib.Nifti1Image:
    """Scale a stored map to probabilities from 0 to 1."""
    array = stored * np.float32(card.scale)
    low, high = array.min(), array.max()
    if not (low >= -ROUNDING and 0 < high <= 1 + ROUNDING):  # also if there are NaN
        raise ImageError(
            f"{img.get_filename()} contains values from {low:g} to {high:g}, but a tract map must "
            "contain probabilities between 0 and 1; rescale it, or use a card that states its scale."
        )
    return image.like(np.clip(array, 0, 1), img, np.float32)


def slice_positions(img: nib.Nifti1Image, axis: str = "z") -> NDArray[np.float64]:
    """Return the world coordinates (mm) of the slices along an axis; the image must be aligned with
    the template.

    >>> slice_positions(nib.Nifti1Image(np.zeros((2, 2, 3)), np.diag([1, 1, 2, 1]))).tolist()
    [0.0, 2.0, 4.0]
    """
    number = "xyz".index(axis)
    return img.affine[number, 3] + img.affine[number, number] * np.arange(img.shape[number])
