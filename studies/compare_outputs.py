"""Compare two output folders of bids_stroke, for example of two versions on the same dataset.

    python studies/compare_outputs.py BEFORE AFTER [--tolerance 0]

Images are compared by grid, data type and voxels, tables by cell, transforms by the positions of
transformed points, and sidecars by field. Versions, absolute paths, logs, the work folder, figures and
reports are ignored. The number of identical files is printed for each kind of file, followed by one
line per difference. The exit status is 1 if masks or tables differ.
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
    """Run the command line and return the exit status."""
    command = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    command.add_argument("before", type=Path)
    command.add_argument("after", type=Path)
    command.add_argument(
        "--tolerance",
        type=float,
        default=0,
        help="tolerance of voxels, cells, fields and distances (mm)",
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
    """Return the kind of a file, or None for files that are not compared."""
    return next((kind for end, kind in ENDS.items() if name.endswith(end)), None)


def outputs(folder: Path) -> Iterator[str]:
    """Yield the relative paths of the files of a folder that are compared."""
    for path in folder.rglob("*"):
        name = path.relative_to(folder)
        if kind_of(path.name) and name.parts[0] not in ("logs", "work"):
            yield name.as_posix()


def missing(before: Path, after: Path) -> str | None:
    """Report a file that exists in only one folder."""
    if not before.is_file():
        return "only after"
    return None if after.is_file() else "only before"


def compare_images(before: Path, after: Path, tolerance: float) -> str | None:
    """Report a difference in grid, data type, or voxels."""
    images = [nib.load(path) for path in (before, after)]
    shapes = [img.shape for img in images]
    if shapes[0] != shapes[1]:
        return f"shape {shapes[0]} and {shapes[1]}"
    deviation = np.abs(images[0].affine - images[1].affine).max()
    if deviation > tolerance:
        return f"affines differ by at most {deviation:.3g}"
    types = [img.get_data_dtype() for img in images]
    if types[0] != types[1]:
        return f"data type {types[0]} and {types[1]}"
    first, second = (np.asarray(img.dataobj, np.float64) for img in images)
    deviations = np.abs(first - second)
    differ = ~(deviations <= tolerance) & ~(np.isnan(first) & np.isnan(second))
    return summary(differ, deviations, "voxels")


def compare_tables(before: Path, after: Path, tolerance: float) -> str | None:
    """Report columns, rows or cells that differ."""
    tables = [pd.read_csv(path, sep="\t", dtype=str, keep_default_na=False) for path in (before, after)]
    columns = [list(table.columns) for table in tables]
    if columns[0] != columns[1]:
        return f"columns differ: {sorted({*columns[0]} ^ {*columns[1]}) or 'their order'}"
    if len(tables[0]) != len(tables[1]):
        return f"{len(tables[0])} and {len(tables[1])} rows"
    numbers = [table.apply(pd.to_numeric, errors="coerce") for table in tables]
    deviations = (numbers[0] - numbers[1]).abs()
    differ = (tables[0] != tables[1]) & ~(deviations <= tolerance)
    names = ", ".join(differ.columns[differ.any()])
    return summary(differ.to_numpy(), deviations.to_numpy(), f"cells ({names})")


def compare_transforms(before: Path, after: Path, tolerance: float) -> str | None:
    """Report the distance between points mapped by both transforms."""
    points = np.random.default_rng(0).uniform(-60, 60, (2000, 3))
    moved = [transforms.move_points(points, [path]) for path in (before, after)]
    distances = np.linalg.norm(moved[0] - moved[1], axis=1)
    return summary(distances > tolerance, distances, f"of {len(points)} points, in mm,")


def compare_sidecars(before: Path, after: Path, tolerance: float) -> str | None:
    """Report fields that differ."""
    contents = [dict(fields(json.loads(path.read_text()))) for path in (before, after)]
    deviations = {
        name: deviation_of(*(content.get(name, "missing") for content in contents))
        for name in sorted({*contents[0], *contents[1]})
    }
    differ = [name for name, value in deviations.items() if not value <= tolerance]
    values = np.array([deviations[name] for name in differ])
    return summary(np.ones(len(differ), bool), values, f"fields ({', '.join(differ)})")


def fields(value: object, name: str = "") -> Iterator[tuple[str, object]]:
    """Yield the names and values of JSON fields, except versions and absolute paths."""
    if isinstance(value, dict):
        for key, inner in value.items():
            if key != "Version":
                yield from fields(inner, f"{name}.{key}".lstrip("."))
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            yield from fields(inner, f"{name}[{number}]")
    elif not (isinstance(value, str) and value.startswith(("/", "file://"))):
        yield name, value


def deviation_of(before: object, after: object) -> float:
    """Return the difference of two numbers; for other values, 0 if they are equal, else infinity."""
    if before == after:
        return 0
    numeric = isinstance(before, int | float) and isinstance(after, int | float)
    return abs(before - after) if numeric else np.inf


def summary(differ: np.ndarray, deviations: np.ndarray, items: str) -> str | None:
    """Return the number of different items and their largest deviation, or None without differences."""
    if not differ.any():
        return None
    finite = deviations[differ & np.isfinite(deviations)]
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
