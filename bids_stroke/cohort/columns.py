"""Columns of the group table and their descriptions."""

from functools import lru_cache
from typing import TypeAlias

import pandas as pd

from bids_stroke.atlases import load_columns, super_regions
from bids_stroke.atlases.tract_cards import load_card
from bids_stroke.bids.names import TRACE
from bids_stroke.lesion.measurements import INTERVALS
from bids_stroke.qc import image_quality
from bids_stroke.spatial.templates import TEMPLATE

#: Description of a column, as BIDS has it: ``Description``, with ``Units`` or ``Levels`` if they apply.
Description: TypeAlias = dict[str, object]

CATEGORIES = ("none", "small", "medium", "large", "bilateral")
_TEMPLATE_VOLUME = f"Lesion volume after normalization to {TEMPLATE}"
#: The first columns of the table, whatever the lesions were measured on.
COLUMNS: dict[str, Description] = {
    "participant_id": {"Description": "Participant"},
    "session_id": {"Description": "Session"},
    "qc_flags": {
        "Description": "Sanity gates that the session failed, joined by +; n/a for none. What they are "
        "is told in docs/reliability.md"
    },
    "reference": {"Description": "Contrast, or template of an own mask, that is the native space"},
    "contrasts": {"Description": "Contrasts that the model used; n/a for own masks"},
    "model": {"Description": "Model of the lesion, or own masks"},
    "lesion_volume_ml": {
        "Description": "Lesion volume on the grid that the lesion was found or drawn on; n/a for own "
        "masks in a template space",
        "Units": "mL",
    },
    **{f"lesion_{name}": description for name, description in INTERVALS.items()},
    "lesion_volume_mni_ml": {"Description": _TEMPLATE_VOLUME, "Units": "mL"},
    "previous_session_id": {
        "Description": "The participant's session before this one, by name, with the same model"
    },
    "lesion_volume_change_ml": {
        "Description": "Lesion volume minus that of the previous session: of lesion_volume_ml, of "
        "lesion_volume_mni_ml where that is n/a",
        "Units": "mL",
    },
    "outside_brain_share": {
        "Description": "Share of the lesion that lies outside of the template's brain, after "
        "normalization (0-1)"
    },
    "n_components": {"Description": "Number of 26-connected lesion components"},
    "hemisphere": {"Description": "left, right or bilateral"},
    "index_super_region": {"Description": "Super-region with most of the lesion"},
    "mean_probability": {"Description": "Mean lesion probability inside the mask (0-1)"},
    "max_probability": {"Description": "Largest lesion probability inside the mask (0-1)"},
    **{name: image_quality.COLUMNS[name] for name in image_quality.REFERENCE_MEASURES},
}
#: The columns of a tract, without the start: a column and a row of the table of loads.
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
    """Descriptions of the columns of the table, for its JSON sidecar."""
    columns = COLUMNS | _regions() | _other_images()
    for name in tract_prefixes(table):
        columns |= _loads(name)
    rest: Description = {"Description": "From participants.tsv of the dataset"}
    return {name: columns.get(name, rest) for name in map(str, table)}


def _loads(name: str) -> dict[str, Description]:
    """Columns of a tract."""
    return {
        f"{name}_{column}": {
            **load_columns.COLUMNS[number],
            "Description": f"Tract {name}, {side}: {load_columns.COLUMNS[number]['Description']}",
        }
        for column, (number, side) in TRACT_COLUMNS.items()
    }


def _regions() -> dict[str, Description]:
    """Columns of the super-regions."""
    names = super_regions.super_regions_card().names.items()
    volumes: dict[str, Description] = {
        f"{region.lower()}_volume_ml": {
            "Description": f"Volume of the lesion in super-region {region} ({text})",
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


def _other_images() -> dict[str, Description]:
    """Columns of the quality of other images than the reference."""
    return {
        f"{contrast.lower()}_{name}": {**text, "Description": f"{contrast}: {text['Description']}"}
        for contrast in (*image_quality.CONTRASTS, TRACE)
        for name, text in image_quality.COLUMNS.items()
        if name in image_quality.OTHER_IMAGE_MEASURES
    }


@lru_cache
def tract_prefix(label: str) -> str:
    """Start of the columns of a tract, from the value of its ``atlas-`` entity: ``cst`` for the
    default one."""
    return "cst" if label == load_card().atlas else label.lower()


def tract_prefixes(table: pd.DataFrame) -> list[str]:
    """Starts of the columns of the tracts of a table."""
    end = "_category_status"
    return [name.removesuffix(end) for name in map(str, table) if name.endswith(end)]
