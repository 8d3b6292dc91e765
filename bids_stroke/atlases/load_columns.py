"""Columns of the tables of loads, and the limits that they are measured with."""

from bids_stroke.lesion import measurements

#: Thresholds of the lesion probability at which the loads are measured once more.
THRESHOLDS = {"p10": 0.1, "p20": 0.2, "p50": 0.5}
#: A cross-section counts for ``max_slice_load`` if the tract reaches this probability in it: where it
#: fades out, a tiny lesion would cover most of what is left.
MIN_PEAK = 0.5
#: Error of a registration whose effect on the loads is measured.
REGISTRATION_ERROR_MM = 1.0
#: The loads themselves, without what is measured on the lesion probability.
LOADS = ("raw_load_ml", "weighted_load_ml", "max_slice_load")


def error_column(load: str) -> str:
    """Name of the column of the error of a load.

    >>> error_column("weighted_load_ml"), error_column("max_slice_load")
    ('weighted_load_error_ml', 'max_slice_load_error')
    """
    name, unit, _ = load.partition("_ml")
    return f"{name}_error{unit}"


def _probability_columns(load: str, text: str) -> dict[str, dict[str, object]]:
    """Columns of a load that is measured on the lesion probability."""
    return {
        **{
            f"{load}_{key}_ml": {
                "Description": f"{text} of the voxels whose lesion probability is at least {value}, "
                "without the components that are too small for a lesion; n/a without probabilities",
                "Units": "mL",
            }
            for key, value in THRESHOLDS.items()
        },
        f"{load}_expected_ml": {
            "Description": f"{text} with the lesion probability of each voxel in place of the mask: "
            "its expected value; n/a without probabilities",
            "Units": "mL",
        },
    }


_SIDES = {
    "left": "Left tract",
    "right": "Right tract",
    "ipsilesional": "Tract on the side of the lesion; n/a for a bilateral lesion, or none",
    "contralesional": "Tract on the other side; n/a for a bilateral lesion, or none",
    "total": "Both sides together",
}
#: The rows of a table of loads, by ``side``.
ROWS = list(_SIDES)
#: The columns of :func:`bids_stroke.atlases.loads.measure_loads`, for the JSON sidecar of the table.
COLUMNS: dict[str, dict[str, object]] = {
    "side": {
        "Description": "Side of the tract",
        "Levels": _SIDES,
    },
    "lesion_side": {
        "Description": "Side of the lesion in the template, the midline (0.5 mm) aside; n/a without "
        "a lesion",
        "Levels": measurements.COLUMNS["hemisphere"]["Levels"],
    },
    "overlap_volume_ml": {
        "Description": "Volume of the lesion where the tract's probability is above 0",
        "Units": "mL",
    },
    "tract_volume_ml": {
        "Description": "Volume of the tract: sum of its probabilities times the voxel volume",
        "Units": "mL",
    },
    "raw_load_ml": {
        "Description": "Sum of the tract's probabilities inside the lesion times the voxel volume "
        "(Zhu et al. 2010); total: sum of the sides",
        "Units": "mL",
    },
    "fraction": {"Description": "raw_load_ml / tract_volume_ml (0-1)"},
    "weighted_load_ml": {
        "Description": "Weighted lesion load (Feng et al. 2015): the raw load of each slice across "
        "the tract's axis times the ratio of the largest cross-section of the tract to the slice's "
        "own, where a cross-section is a sum of probabilities; total: sum of the sides; n/a for a "
        "tract without axis",
        "Units": "mL",
    },
    "max_slice_load": {
        "Description": "Largest share of the tract's cross-section inside the lesion (0-1), over the "
        f"slices across its axis in which its probability reaches {MIN_PEAK:g}; 1 is a complete "
        "transection; total: larger of the sides; n/a for a tract without axis",
    },
    **{
        error_column(load): {
            "Description": f"Largest change of {load} when the lesion lies "
            f"{REGISTRATION_ERROR_MM:g} mm away along an axis of the template: what such an error of "
            "the normalization does",
            **({"Units": "mL"} if load.endswith("_ml") else {}),
        }
        for load in LOADS
    },
    "category": {
        "Description": "Size of weighted_load_ml by the cut-offs of the tract's card, n/a for a "
        "load of 0 or a card without cut-offs; total: that of the ipsilesional side",
        "Levels": {
            "small": "Below the lower cut-off",
            "medium": "At least the lower, below the upper cut-off",
            "large": "At least the upper cut-off",
            "bilateral": "Total of a bilateral lesion with a load: each side has its own category",
        },
    },
    "category_status": {
        "Description": "Whether the cut-offs were derived on this very tract map",
        "Levels": {
            "validated": "They were",
            "unvalidated": "They were not: read with caution",
            "own": "They were given by the user",
            "none": "The card of the tract has none",
        },
    },
    "below_tract_fraction": {
        "Description": "Share of the lesion in the brainstem below the lowest slice of the tract, "
        "where the loads are blind to it (0-1); above 0, the loads may be too small",
    },
    **_probability_columns("raw_load", "Raw load"),
    **_probability_columns("weighted_load", "Weighted lesion load"),
}
#: The columns of numbers.
NUMBERS = [name for name in COLUMNS if not name.startswith(("side", "lesion_side", "category"))]
