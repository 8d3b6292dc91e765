"""Tract loads and super-region of a pair of masks in the template."""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import nibabel as nib
import pandas as pd

from bids_stroke.atlases import regions, super_regions, tract_cards, tracts
from bids_stroke.atlases.loads import measure_loads
from bids_stroke.bids.names import is_template
from bids_stroke.errors import ImageError
from bids_stroke.spatial import templates
from bids_stroke.spatial.grid import same_grid
from bids_stroke.spatial.template_transforms import has_transform, mask_to_template
from bids_stroke.spatial.templates import TEMPLATE
from bids_stroke.spatial.transforms import apply

from . import metrics
from .masks import Mask


class TemplateLoads(NamedTuple):
    """Measurements of a pair in the template, named as their columns.

    Loads are weighted CST loads on the side with the larger true load, or the larger predicted load if
    the true load is 0, and categories are those of these loads (``none`` for a load of 0). A missing
    super-region is NaN.
    """

    true_load_ml: float
    predicted_load_ml: float
    absolute_load_difference_ml: float
    er_ll: float
    true_category: str
    predicted_category: str
    super_region: str | float


class TemplateMask(NamedTuple):
    """A mask in the template, and a remark if an assumption was necessary."""

    mask: nib.Nifti1Image
    assumption: str | None = None


def template_loads(predicted: nib.Nifti1Image, true: nib.Nifti1Image) -> TemplateLoads:
    """Measure the CST loads of two masks in the template, and the super-region of the true mask.

    A lesion in both hemispheres has no single category. The categories are therefore those of one
    side, like the loads.
    """
    card, tract = _tract()
    measured = [measure_loads(img, tract, card) for img in (true, predicted)]
    sides = ("left", "right")
    side = max(sides, key=lambda side: [table["weighted_load_ml"][side] for table in measured])
    true_load, predicted_load = (float(table["weighted_load_ml"][side]) for table in measured)
    true_category, predicted_category = (_category(table, side) for table in measured)
    regional = regions.measure_regions(true, super_regions.super_regions())
    return TemplateLoads(
        true_load_ml=true_load,
        predicted_load_ml=predicted_load,
        absolute_load_difference_ml=abs(predicted_load - true_load),
        er_ll=metrics.relative_error(predicted_load, true_load),
        true_category=true_category,
        predicted_category=predicted_category,
        super_region=regions.index_region(regional),
    )


def _category(loads: pd.DataFrame, side: str) -> str:
    category = loads["category"][side]
    return "none" if pd.isna(category) else str(category)


def to_template(
    images: Sequence[nib.Nifti1Image], prediction: Mask, truth: Mask
) -> tuple[TemplateMask, TemplateMask]:
    """Transform a pair of masks to the template, each from its own space.

    A mask without a space in its name is assumed to be in the space of the other mask.

    Parameters
    ----------
    images : sequence of nib.Nifti1Image
        Predicted and true mask on the same grid.
    prediction, truth : Mask

    Raises
    ------
    ImageError
        If there is no transform, or if a mask is outside the template.
    """
    chains = {**truth.chains, **prediction.chains}
    predicted, true = (
        _to_template(img, mask.space or other.space, mask.path, chains)
        for img, mask, other in zip(images, (prediction, truth), (truth, prediction), strict=True)
    )
    return predicted, true


def _to_template(
    img: nib.Nifti1Image, space: str | None, path: Path, chains: Mapping[str, Sequence[Path]]
) -> TemplateMask:
    """Transform a mask from a space to the grid of the template."""
    assumption = None
    if space is None or (space not in chains and not is_template(space)):
        space, assumption = _assumed_space(img, space, path, chains)
    if space == TEMPLATE and same_grid(templates.template().t1w, img):
        return TemplateMask(img, assumption)
    if has_transform(space):
        return TemplateMask(mask_to_template(img, space), assumption)
    if space in chains:
        return TemplateMask(_apply(img, chains[space]), assumption)
    remark = (
        f"There is no transform from {space} to {TEMPLATE}; the masks are measured without one (er_ll)."
    )
    return TemplateMask(mask_to_template(img, space), remark)


def _assumed_space(
    img: nib.Nifti1Image, space: str | None, path: Path, chains: Mapping[str, Sequence[Path]]
) -> tuple[str, str]:
    """Return the assumed space of a mask without a usable space in its name, and a remark on it."""
    if same_grid(templates.template().t1w, img):
        return (
            TEMPLATE,
            f"{path.name} has the grid of {TEMPLATE} and is assumed to be in that space (er_ll).",
        )
    native = [name for name in chains if not is_template(name)]
    if space is None and len(native) == 1:
        remark = f"{path.name} states no contrast and is assumed to be on the {native[0]} (er_ll)."
        return native[0], remark
    source = space or "the image of the masks, which their names do not state,"
    raise ImageError(f"Their folder has no transforms from {source} to {TEMPLATE}; add them.")


def _apply(img: nib.Nifti1Image, chain: Sequence[Path]) -> nib.Nifti1Image:
    """Apply transforms to a mask, onto the grid of the template."""
    try:
        return apply(img, templates.template().t1w, chain, kind="mask")
    except RuntimeError:
        listing = ", ".join(map(str, chain))
        raise ImageError(f"{listing} cannot be read as transforms; copy them again.") from None


@lru_cache(maxsize=1)
def _tract() -> tuple[tract_cards.TractCard, dict[str, nib.Nifti1Image]]:
    card = tract_cards.load_card()
    return card, tracts.load_tract(card)
