"""Columns of the group table and their descriptions."""

from functools import lru_cache
from typing import TypeAlias

import pandas as pd

from bids_stroke.atlases import load_columns, super_regions
from bids_stroke.atlases.tract_cards import load_card
from bids_stroke.bids.diffusion import DIFFUSION
from bids_stroke.lesion.measurements import INTERVALS
from bids_stroke.qc import image_quality
from bids_stroke.spatial.templates import TEMPLATE

#: BIDS description of a column: ``Description``, and ``Units`` or ``Levels`` if they apply.
Description: TypeAlias = dict[str, object]

_DEFAULT_PREFIX = "cst"
CATEGORIES = ("none", "small", "medium", "large", "bilateral")
_TEMPLATE_VOLUME = f"Lesion volume after normalization to {TEMPLATE}"
#: First columns of the table, independent of the tracts and atlases.
COLUMNS: dict[str, Description] = {
    "participant_id": {"Description": "Participant"},
    "session_id": {"Description": "Session"},
    "qc_flags": {
        "Description": "QC checks that the session failed, joined by +; n/a if it passed all checks. "
        "docs/reliability.md describes the checks"
    },
    "reference": {
        "Description": "Native space: contrast of the reference image, or template space of a "
        "user-supplied mask"
    },
    "contrasts": {"Description": "Contrasts used by the model; n/a for user-supplied masks"},
    "model": {"Description": "Model that segmented the lesion, or 'own masks' for user-supplied masks"},
    "corrected_by": {
        "Description": "Rater who corrected the lesion mask; n/a for the mask of the model, and for "
        "user-supplied masks"
    },
    "lesion_volume_ml": {
        "Description": "Lesion volume on the native grid; n/a for user-supplied masks in a template "
        "space",
        "Units": "mL",
    },
    **{f"lesion_{name}": description for name, description in INTERVALS.items()},
    "lesion_volume_mni_ml": {"Description": _TEMPLATE_VOLUME, "Units": "mL"},
    "relative_lesion_scaling": {
        "Description": "lesion_volume_mni_ml divided by lesion_volume_ml and by brain_scaling"
    },
    "previous_session_id": {
        "Description": "Previous session of the participant with the same model, in order of names"
    },
    "lesion_volume_change_ml": {
        "Description": "Lesion volume minus that of the previous session (lesion_volume_ml, or "
        "lesion_volume_mni_ml if that is n/a)",
        "Units": "mL",
    },
    "outside_brain_share": {
        "Description": "Share of the lesion outside the template brain, after normalization (0-1)"
    },
    "n_components": {"Description": "Number of 26-connected lesion components"},
    "hemisphere": {"Description": "left, right or bilateral"},
    "index_super_region": {"Description": "Super-region that holds most of the lesion"},
    "mean_probability": {"Description": "Mean lesion probability in the mask (0-1)"},
    "max_probability": {"Description": "Maximum lesion probability in the mask (0-1)"},
    **{name: image_quality.COLUMNS[name] for name in image_quality.REFERENCE_MEASURES},
}
#: Columns of a tract without their prefix: column and row of the load table.
TRACT_COLUMNS = {
    f"{number}_{side}": (number, side)
    for numbers, sides in (
        (load_columns.NUMBERS, ("left", "right", "total")),
        (load_columns.LOADS, ("ipsilesional", "contralesional")),
    )
    for number in numbers
    for side in sides
} | {name: (name, "total") for name in ("lesion_side", "category", "category_status")}


def describe_columns(table: pd.DataFrame) -> dict[str, Description]:
    """Describe the columns of the group table for its JSON sidecar.

    Columns that bids_stroke does not write are those of ``participants.tsv``.
    """
    columns = COLUMNS | _super_region_columns() | _quality_columns()
    for name in tract_prefixes(table):
        columns |= _load_columns(name)
    default: Description = {"Description": "Column of participants.tsv of the dataset"}
    return {name: columns.get(name, default) for name in map(str, table)}


def _load_columns(name: str) -> dict[str, Description]:
    """Describe the columns of a tract."""
    return {
        f"{name}_{column}": {
            **load_columns.COLUMNS[number],
            "Description": f"Tract {name}, {side}: {load_columns.COLUMNS[number]['Description']}",
        }
        for column, (number, side) in TRACT_COLUMNS.items()
    }


def _super_region_columns() -> dict[str, Description]:
    """Describe the columns of the super-regions."""
    names = super_regions.super_regions_card().names.items()
    volumes: dict[str, Description] = {
        f"{region.lower()}_volume_ml": {
            "Description": f"Lesion volume in super-region {region} ({text})",
            "Units": "mL",
        }
        for region, text in names
    }
    shares: dict[str, Description] = {
        f"{region.lower()}_share": {
            "Description": f"Share of the lesion in super-region {region} ({text}), 0-1"
        }
        for region, text in names
    }
    return volumes | shares


def _quality_columns() -> dict[str, Description]:
    """Describe the image quality columns of non-reference images."""
    return {
        f"{contrast.lower()}_{name}": {**text, "Description": f"{contrast}: {text['Description']}"}
        for contrast in (*image_quality.CONTRASTS, *DIFFUSION)
        for name, text in image_quality.COLUMNS.items()
        if name in image_quality.OTHER_IMAGE_MEASURES
    }


@lru_cache
def tract_prefix(label: str) -> str:
    """Return the column prefix of a tract from the value of its ``atlas-`` entity.

    The prefix of the default tract is ``cst``, and that of another tract called CST is ``owncst``.

    >>> tract_prefix("JuelichCST"), tract_prefix("XTRACTCST"), tract_prefix("CST")
    ('cst', 'xtractcst', 'owncst')
    """
    if label == load_card().atlas:
        return _DEFAULT_PREFIX
    prefix = label.lower()
    return f"own{prefix}" if prefix == _DEFAULT_PREFIX else prefix


def tract_prefixes(table: pd.DataFrame) -> list[str]:
    """List the column prefixes of the tracts in a table.

    >>> tract_prefixes(pd.DataFrame(columns=["model", "cst_category_status", "cst_category"]))
    ['cst']
    """
    suffix = "_category_status"
    prefixes = [name.removesuffix(suffix) for name in map(str, table) if name.endswith(suffix)]
    return [prefix for prefix in prefixes if prefix.isalnum()]  # not participants_cst_category_status
