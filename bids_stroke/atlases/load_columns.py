"""Columns of the tract load tables, and constants of the measurements."""

from bids_stroke.lesion import measurements

#: Thresholds of the lesion probability at which the loads are measured in addition to the mask.
THRESHOLDS = {"p10": 0.1, "p20": 0.2, "p50": 0.5}
#: A slice counts for ``max_slice_load`` if the tract probability reaches this value in it. At the faint
#: ends of a tract, a tiny lesion would cover most of the cross-section.
MIN_PEAK = 0.5
#: Registration error whose effect on the loads is measured.
REGISTRATION_ERROR_MM = 1.0
#: Loads of the lesion mask, without those of the lesion probability.
LOADS = ("raw_load_ml", "weighted_load_ml", "max_slice_load")


def error_column(load: str) -> str:
    """Return the name of the error column of a load.

    >>> error_column("weighted_load_ml"), error_column("max_slice_load")
    ('weighted_load_error_ml', 'max_slice_load_error')
    """
    name, unit, _ = load.partition("_ml")
    return f"{name}_error{unit}"


def _probability_columns(load: str, text: str) -> dict[str, dict[str, object]]:
    """Describe the columns of a load that is measured on the lesion probability."""
    return {
        **{
            f"{load}_{key}_ml": {
                "Description": f"{text} of the voxels with a lesion probability of at least {value}, "
                "without components below the smallest lesion size; n/a without probabilities",
                "Units": "mL",
            }
            for key, value in THRESHOLDS.items()
        },
        f"{load}_expected_ml": {
            "Description": f"Expected value: {text} with the lesion probability of each voxel instead "
            "of the mask; n/a without probabilities",
            "Units": "mL",
        },
    }


_SIDES = {
    "left": "Left tract",
    "right": "Right tract",
    "ipsilesional": "Tract on the side of the lesion; n/a for a bilateral lesion or an empty mask",
    "contralesional": "Tract on the other side; n/a for a bilateral lesion or an empty mask",
    "total": "Both sides together",
}
#: Values of ``side``, one for each row of a load table.
ROWS = list(_SIDES)
#: The columns of :func:`bids_stroke.atlases.loads.measure_loads`, for the JSON sidecar of the table.
COLUMNS: dict[str, dict[str, object]] = {
    "side": {
        "Description": "Side of the tract",
        "Levels": _SIDES,
    },
    "lesion_side": {
        "Description": "Side of the lesion in the template; voxels within 0.5 mm of the midline are "
        "not counted; n/a for an empty mask",
        "Levels": measurements.COLUMNS["hemisphere"]["Levels"],
    },
    "overlap_volume_ml": {
        "Description": "Volume of the lesion where the tract probability is above 0",
        "Units": "mL",
    },
    "tract_volume_ml": {
        "Description": "Volume of the tract: sum of the tract probabilities times the voxel volume",
        "Units": "mL",
    },
    "raw_load_ml": {
        "Description": "Sum of the tract probabilities in the lesion times the voxel volume (Zhu et "
        "al. 2010); total: sum of both sides",
        "Units": "mL",
    },
    "fraction": {"Description": "raw_load_ml / tract_volume_ml (0-1)"},
    "weighted_load_ml": {
        "Description": "Weighted lesion load (Feng et al. 2015): sum over the slices perpendicular to "
        "the tract axis of the raw load times the largest cross-section of the tract over the "
        "cross-section in the slice; a cross-section is a sum of probabilities; total: sum of both "
        "sides; n/a for a tract without an axis",
        "Units": "mL",
    },
    "max_slice_load": {
        "Description": "Largest share of a cross-section of the tract that the lesion covers (0-1), "
        f"over the slices in which the tract probability reaches {MIN_PEAK:g}; 1 is a complete "
        "transection; total: larger of both sides; n/a for a tract without an axis, and without such "
        "slices",
    },
    **{
        error_column(load): {
            "Description": f"Largest change of {load} when the lesion is shifted by "
            f"{REGISTRATION_ERROR_MM:g} mm along an axis of the template: the effect of a "
            "normalization error of that size",
            **({"Units": "mL"} if load.endswith("_ml") else {}),
        }
        for load in LOADS
    },
    "category": {
        "Description": "Category of weighted_load_ml by the cut-offs of the tract card; n/a for a load "
        "of 0 or a card without cut-offs; total: category of the ipsilesional side",
        "Levels": {
            "small": "Below the lower cut-off",
            "medium": "At least the lower cut-off, below the upper cut-off",
            "large": "At least the upper cut-off",
            "bilateral": "Total of a bilateral lesion with a load; the sides have separate categories",
        },
    },
    "category_status": {
        "Description": "Origin of the cut-offs",
        "Levels": {
            "validated": "Derived on this tract map",
            "unvalidated": "Derived on another tract map: interpret with caution",
            "own": "Set by the user",
            "none": "The tract card has no cut-offs",
        },
    },
    "below_tract_fraction": {
        "Description": "Share of the lesion that lies in the brainstem below the lowest slice of the "
        "tract (0-1). The loads do not count it: above 0, they may be too small",
    },
    **_probability_columns("raw_load", "Raw load"),
    **_probability_columns("weighted_load", "Weighted lesion load"),
}
#: Numeric columns.
NUMBERS = [name for name in COLUMNS if not name.startswith(("side", "lesion_side", "category"))]
