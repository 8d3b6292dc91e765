"""Behavior tables and lesion masks for lesion-symptom mapping programs."""

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from bids_stroke.bids.record import Record
from bids_stroke.spatial import grid, image, templates
from bids_stroke.spatial.templates import TEMPLATE
from bids_stroke.utils.files import PathLike

from .long_tables import long_table
from .measures import collect_measures

#: Longest name of a variable in MATLAB.
_MAX_NAME = 63


def behavior_table(
    output_dir: PathLike, rows: pd.DataFrame, records: Sequence[Record], people: Sequence[str]
) -> pd.DataFrame:
    """Build a table of outcomes and of measures of lesions.

    Parameters
    ----------
    output_dir : path
    rows : pandas.DataFrame
        Rows of the group table, one for each participant.
    records : sequence of Record
        Record of each row.
    people : sequence of str
        Columns of ``participants.tsv`` in ``rows``.

    Returns
    -------
    pandas.DataFrame
        Participant, session, hemisphere, columns of ``participants.tsv``, and the measures from
        :func:`bids_stroke.cohort.measures.collect_measures`, without empty columns. The names of
        columns are valid names of variables in MATLAB and R.
    """
    measures = collect_measures(rows, long_table("group_regions", output_dir, records))
    columns = {name: rows[name] for name in ("participant_id", "session_id", "hemisphere", *people)}
    for measure in measures:
        name = f"{measure.atlas}_{measure.name}_share" if measure.atlas else measure.name
        columns[name] = pd.Series(measure.values, rows.index)
    table = pd.DataFrame(columns).dropna(axis=1, how="all")
    return table.set_axis(variable_names(table), axis=1)


def variable_names(names: Iterable[object]) -> list[str]:
    """Convert names of columns to unique names of variables, which also differ in lower case.

    >>> variable_names(["NIHSS (24 h)", "nihss-24-h", "6MWT"])
    ['NIHSS_24_h', 'nihss_24_h_2', 'x6MWT']
    """
    variables = list[str]()
    used = set[str]()
    for name in names:
        stem = re.sub(r"[^0-9A-Za-z]+", "_", str(name)).strip("_")
        stem = (stem if stem[:1].isalpha() else f"x{stem}")[:_MAX_NAME].rstrip("_")
        variable, number = stem, 1
        while variable.lower() in used:
            number += 1
            variable = f"{stem[: _MAX_NAME - 1 - len(str(number))]}_{number}"
        used.add(variable.lower())
        variables.append(variable)
    return variables


def numbers_if_possible(column: pd.Series) -> pd.Series:
    """Convert a column of texts to numbers if all present values are finite numbers."""
    numbers = pd.to_numeric(column, errors="coerce").astype(float)
    is_numeric = column.isna() | np.isfinite(numbers)
    return numbers if is_numeric.all() and column.notna().any() else column


def write_masks(
    output_dir: PathLike, records: Sequence[Record], folder: Path, extension: str = ".nii.gz"
) -> list[Path]:
    """Write the lesion masks on the grid of the template, with values 0 and 1; return their paths.

    Raises
    ------
    DatasetError, ImageError
        If a session has no mask in the template, or its mask is damaged or on another grid.
    """
    reference = templates.template_grid()
    paths = []
    for record in records:
        mask = image.load(record.require(output_dir, "lesion_mask", TEMPLATE))
        voxels = grid.data_on_grid(mask, reference, "lesion mask") > 0
        path = folder / f"{record.name}{extension}"
        paths.append(image.save(image.like(voxels, reference, np.uint8), path))
    return paths


def write_csv(table: pd.DataFrame, path: Path) -> None:
    """Write a comma-separated table with six significant digits; missing values are empty cells."""
    table.to_csv(path, index=False, float_format="%.6g")
