"""Compare two output folders of bids_stroke, such as those of two versions on the same dataset.

    python studies/compare_outputs.py BEFORE AFTER [--tolerance 0]

Images are compared by grid, data type and voxels, tables cell by cell, transforms by the places that
they carry points to, and sidecars field by field. Versions, absolute paths, logs, the work folder,
figures and reports are left out. One line for each kind of file gives the number of identical files;
below it, each difference has a line. The exit status is 1 if masks or tables differ.
"""

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd

from bids_stroke.spatial import transforms

ENDS = {
    "_mask.nii.gz": "masks",
    ".nii.gz": "images",
    ".tsv": "tables",
    ".h5": "transforms",
    ".mat": "transforms",
    ".json": "sidecars",
}


def main() -> int:
    """Command line; returns the exit status."""
    command = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    command.add_argument("before", type=Path)
    command.add_argument("after", type=Path)
    command.add_argument(
        "--tolerance", type=float, default=0, help="of voxels, cells, fields, and millimeters"
    )
    arguments = command.parse_args()
    folders = arguments.before, arguments.after
    names = sorted({name for folder in folders for name in outputs(folder)})
    failed = not names
    for kind, compare in KINDS.items():
        selected = [name for name in names if kind_of(name) == kind]
        differences = {}
        for name in selected:
            paths = [folder / name for folder in folders]
            if difference := missing(*paths) or compare(*paths, arguments.tolerance):
                differences[name] = difference
        print(f"{kind}: {len(selected) - len(differences)} of {len(selected)} identical")
        for name, difference in differences.items():
            print(f"  {name}: {difference}")
        failed |= kind in ("masks", "tables") and bool(differences)
    return int(failed)


def kind_of(name: str) -> str | None:
    """Kind of a file, None for those that are not compared."""
    return next((kind for end, kind in ENDS.items() if name.endswith(end)), None)


def outputs(folder: Path) -> Iterator[str]:
    """Files of a folder that are compared, relative to it."""
    for path in folder.rglob("*"):
        name = path.relative_to(folder)
        if kind_of(path.name) and name.parts[0] not in ("logs", "work"):
            yield name.as_posix()


def missing(before: Path, after: Path) -> str | None:
    """Report a file that only one of the folders has."""
    if not before.is_file():
        return "only after"
    return None if after.is_file() else "only before"


def compare_images(before: Path, after: Path, tolerance: float) -> str | None:
    """Report a difference in grid, data type, or voxels."""
    images = [nib.load(path) for path in (before, after)]
    shapes = [img.shape for img in images]
    if shapes[0] != shapes[1]:
        return f"shape {shapes[0]} and {shapes[1]}"
    apart = np.abs(images[0].affine - images[1].affine).max()
    if apart > tolerance:
        return f"affines differ by at most {apart:.3g}"
    types = [img.get_data_dtype() for img in images]
    if types[0] != types[1]:
        return f"data type {types[0]} and {types[1]}"
    first, second = (np.asarray(img.dataobj, np.float64) for img in images)
    apart = np.abs(first - second)
    differ = ~(apart <= tolerance) & ~(np.isnan(first) & np.isnan(second))
    return summary(differ, apart, "voxels")


def compare_tables(before: Path, after: Path, tolerance: float) -> str | None:
    """Report columns, rows or cells that differ."""
    tables = [pd.read_csv(path, sep="\t", dtype=str, keep_default_na=False) for path in (before, after)]
    columns = [list(table.columns) for table in tables]
    if columns[0] != columns[1]:
        return f"columns differ: {sorted({*columns[0]} ^ {*columns[1]}) or 'their order'}"
    if len(tables[0]) != len(tables[1]):
        return f"{len(tables[0])} and {len(tables[1])} rows"
    numbers = [table.apply(pd.to_numeric, errors="coerce") for table in tables]
    apart = (numbers[0] - numbers[1]).abs()
    differ = (tables[0] != tables[1]) & ~(apart <= tolerance)
    named = ", ".join(differ.columns[differ.any()])
    return summary(differ.to_numpy(), apart.to_numpy(), f"cells ({named})")


def compare_transforms(before: Path, after: Path, tolerance: float) -> str | None:
    """Report how far apart points end."""
    points = np.random.default_rng(0).uniform(-60, 60, (2000, 3))
    moved = [transforms.move_points(points, [path]) for path in (before, after)]
    apart = np.linalg.norm(moved[0] - moved[1], axis=1)
    return summary(apart > tolerance, apart, f"of {len(points)} points, in mm,")


def compare_sidecars(before: Path, after: Path, tolerance: float) -> str | None:
    """Report fields that differ."""
    contents = [dict(fields(json.loads(path.read_text()))) for path in (before, after)]
    apart = {
        name: deviation(*(content.get(name, "missing") for content in contents))
        for name in sorted({*contents[0], *contents[1]})
    }
    differ = [name for name, value in apart.items() if not value <= tolerance]
    values = np.array([apart[name] for name in differ])
    return summary(np.ones(len(differ), bool), values, f"fields ({', '.join(differ)})")


def fields(value: object, name: str = "") -> Iterator[tuple[str, object]]:
    """Names and values of the fields of JSON, without versions and absolute paths."""
    if isinstance(value, dict):
        for key, inner in value.items():
            if key != "Version":
                yield from fields(inner, f"{name}.{key}".lstrip("."))
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            yield from fields(inner, f"{name}[{number}]")
    elif not (isinstance(value, str) and value.startswith(("/", "file://"))):
        yield name, value


def deviation(before: object, after: object) -> float:
    """Difference of two numbers; of other values, 0 if they are equal, else infinity."""
    if before == after:
        return 0
    both = isinstance(before, int | float) and isinstance(after, int | float)
    return abs(before - after) if both else np.inf


def summary(differ: np.ndarray, apart: np.ndarray, items: str) -> str | None:
    """Number of the items that differ, and their largest deviation; None where there are none."""
    if not differ.any():
        return None
    finite = apart[differ & np.isfinite(apart)]
    largest = f" by at most {finite.max():.3g}" if finite.size else ""
    return f"{np.count_nonzero(differ)} {items} differ{largest}"


KINDS = {
    "masks": compare_images,
    "images": compare_images,
    "tables": compare_tables,
    "transforms": compare_transforms,
    "sidecars": compare_sidecars,
}


if __name__ == "__main__":
    sys.exit(main())
