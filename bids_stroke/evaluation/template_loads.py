"""Tract loads and super-region of a pair of masks, in the template."""

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import nibabel as nib

from bids_stroke.atlases import regions, super_regions, tract_cards, tracts
from bids_stroke.atlases.loads import measure_loads
from bids_stroke.spatial import template_transforms, templates
from bids_stroke.spatial.grid import same_grid
from bids_stroke.spatial.transforms import apply

from . import metrics
from .masks import Mask


class TemplateLoads(NamedTuple):
    """Measurements of a pair in the template, by the names of their columns.

    The loads are weighted CST loads on the side where the true load is larger. A category or a
    super-region is NaN where the mask has none.
    """

    true_load_ml: float
    predicted_load_ml: float
    er_ll: float
    true_category: str | float
    predicted_category: str | float
    super_region: str | float


def template_loads(
    masks: Sequence[nib.Nifti1Image], prediction: Mask, truth: Mask
) -> TemplateLoads | None:
    """Measure the CST loads of a pair, and the super-region of its true lesion.

    Parameters
    ----------
    masks : sequence of nib.Nifti1Image
        The predicted and the true mask, on one grid.
    prediction, truth : Mask

    Returns
    -------
    TemplateLoads or None
        None where the masks are not in a template and no transform leads there.
    """
    moved = _in_template(masks, prediction, truth)
    if moved is None:
        return None
    card, tract = _tract()
    predicted, true = (measure_loads(img, tract, card).to_dict() for img in moved)
    side = max(("left", "right"), key=lambda side: true["weighted_load_ml"][side])
    true_load, predicted_load = (table["weighted_load_ml"][side] for table in (true, predicted))
    regional = regions.measure_regions(moved[1], super_regions.super_regions())
    return TemplateLoads(
        true_load_ml=true_load,
        predicted_load_ml=predicted_load,
        er_ll=metrics.relative_error(predicted_load, true_load),
        true_category=true["category"]["total"],
        predicted_category=predicted["category"]["total"],
        super_region=regions.index_region(regional),
    )


def _in_template(
    masks: Sequence[nib.Nifti1Image], prediction: Mask, truth: Mask
) -> Sequence[nib.Nifti1Image] | None:
    """Masks of a pair on the template's grid, or None."""
    grid = templates.template().t1w
    if same_grid(grid, masks[0]):
        return masks
    space = next((mask.space for mask in (truth, prediction) if mask.in_template), None)
    if space:
        return [template_transforms.mask_to_template(img, space) for img in masks]
    if not prediction.to_template:
        return None
    return [apply(img, grid, prediction.to_template, kind="mask") for img in masks]


@lru_cache(maxsize=1)
def _tract() -> tuple[tract_cards.TractCard, dict[str, nib.Nifti1Image]]:
    card = tract_cards.load_card()
    return card, tracts.load_tract(card)
