"""Measures of lesions that are related to outcomes: volume, tract loads, and shares of regions."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from .columns import tract_prefixes

#: Loads of tracts that are related to outcomes, and their titles.
LOADS = {
    "weighted_load_ml": "weighted load (ml)",
    "raw_load_ml": "raw load (ml)",
    "max_slice_load": "largest share of a cross-section",
}
#: Smallest volume (ml) of which the logarithm is taken; smaller lesions count as this volume.
MIN_VOLUME_ML = 0.01
VOLUME = "volume"


@dataclass(frozen=True)
class Measure:
    """Measure of the lesion of each participant.

    Attributes
    ----------
    kind : str
        ``volume``, ``tract`` or ``region``.
    name : str
        Column of the group table, or name of the region.
    title : str
    values : ndarray, (participants,)
    atlas : str, optional
        Value of the ``atlas-`` entity of the region.
    """

    kind: Literal["volume", "tract", "region"]
    name: str
    title: str
    values: NDArray[np.float64]
    atlas: str | None = None


def collect_measures(table: pd.DataFrame, regions: pd.DataFrame) -> list[Measure]:
    """Collect the measures of participants.

    - Volume: on the native grid; after normalization if a participant has no native volume.
    - Loads of each tract: of the side of the lesion. For a bilateral lesion, the larger side.
    - Regions: share of the region that is lesioned.

    Parameters
    ----------
    table : pandas.DataFrame
        Rows of the group table, one for each participant.
    regions : pandas.DataFrame
        Long table of regions, from :func:`bids_stroke.cohort.long_tables.long_table`.
    """
    measures = [Measure("volume", *_volume(table))]
    for prefix in tract_prefixes(table):
        for load, title in LOADS.items():
            values = ipsilesional(table, f"{prefix}_{load}")
            if np.isfinite(values).any():
                name = f"{prefix}_{load}_ipsilesional"
                tract = "CST" if prefix == "cst" else prefix
                measures.append(Measure("tract", name, f"{tract} {title}", values))
    return measures + _region_measures(table, regions)


def _volume(table: pd.DataFrame) -> tuple[str, str, NDArray[np.float64]]:
    """Return the name, the title and the values of the lesion volume."""
    native = table["lesion_volume_ml"]
    if native.notna().all():
        return "lesion_volume_ml", "Lesion volume (ml)", native.to_numpy(float)
    name = "lesion_volume_mni_ml"
    return name, "Lesion volume after normalization (ml)", table[name].to_numpy(float)


def ipsilesional(table: pd.DataFrame, load: str) -> NDArray[np.float64]:
    """Return the load on the side of the lesion; for other lesions, the larger side.

    Parameters
    ----------
    table : pandas.DataFrame
        Rows of the group table.
    load : str
        Columns of the load, without the side.

    Examples
    --------
    >>> columns = "raw_ipsilesional", "raw_left", "raw_right"
    >>> table = pd.DataFrame([[0.5, 0.1, 0.5], [np.nan, 2, 1]], columns=columns)
    >>> ipsilesional(table, "raw").tolist()
    [0.5, 2.0]
    """
    sides = table[[f"{load}_left", f"{load}_right"]].to_numpy(float)
    loads = table[f"{load}_ipsilesional"].to_numpy(float)
    return np.where(np.isnan(loads), sides.max(axis=1), loads)


def _region_measures(table: pd.DataFrame, regions: pd.DataFrame) -> list[Measure]:
    """Return the lesioned share of each region; NaN for participants that were not measured.

    Regions of an atlas with the same name are numbered.
    """
    keys = ["participant_id", "session_id"]
    rows = regions[regions["region"] != "outside"].fillna({"session_id": ""})
    rows["number"] = rows.groupby([*keys, "atlas", "region"]).cumcount() + 1
    index = pd.MultiIndex.from_frame(table[keys].fillna({"session_id": ""}))
    measures = []
    for (atlas, region, number), group in rows.groupby(["atlas", "region", "number"], sort=False):
        name = str(region) if number == 1 else f"{region} ({number})"
        shares = group.set_index(keys)["region_share"].reindex(index).to_numpy(float)
        measures.append(Measure("region", name, name, shares, str(atlas)))
    return measures


def log_volume(volume_ml: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the natural logarithm of volumes (ml) of at least :data:`MIN_VOLUME_ML`."""
    return np.log(np.maximum(volume_ml, MIN_VOLUME_ML))
