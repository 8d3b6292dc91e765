"""Measure time and memory of lesion-symptom maps, compared with Nilearn on the whole brain.

    python benchmarks/outcome.py [--permutations 1000] [--jobs 2] [--copies 10000] [--group OUT]

The lesions are those of 658 patients with acute stroke and NIHSS, with the lesion volume, its logarithm
and age as nuisance variables. The script reads the masks, and tests the voxels and four regions;
``nilearn.mass_univariate.permuted_ols`` tests all voxels of the template's brain at 2 mm, with the
masks in memory. The voxels are tested again for copies of the participants. Each measurement has its
own process. ``--group`` runs the group level with ``--outcome nihss`` on the output folder of
``studies/outcome.py``. The script writes the table to docs/performance.md. Data are read from
``$BIDS_STROKE_SHARED/data``.
"""

import argparse
import multiprocessing
import resource
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd
from measurements import DATA, PERFORMANCE, markdown, write_measured
from scipy import sparse

from bids_stroke.cohort.lesion_matrix import SPACING_MM, LesionMatrix, read_lesions, template_2mm
from bids_stroke.cohort.measures import Measure, log_volume
from bids_stroke.cohort.symptom_maps import (
    Permutations,
    default_min_overlap,
    fit_measures,
    fit_voxels,
)
from bids_stroke.spatial.grid import blank

FOLDER = DATA / "lesions_acute"


def patients(number=None):
    """Return participants with a mask, and the paths of the masks."""
    people = pd.read_csv(FOLDER / "participants.tsv", sep="\t")
    paths = [FOLDER / f"{name}_lesion.nii.gz" for name in people.participant_id]
    people = people[[path.is_file() for path in paths]]
    return people[:number], [path for path in paths if path.is_file()][:number]


def read(cache, number, jobs):
    """Read the masks and keep the lesions in a file."""
    _, paths = patients(number)
    sparse.save_npz(cache, read_lesions(paths, [False] * len(paths), jobs).lesions)


def loaded(cache, number=None):
    """Return the lesions, outcome and nuisance variables of participants or of their copies."""
    lesions = sparse.load_npz(cache).tocsr()
    people, _ = patients(lesions.shape[0])
    rows = np.arange(number or len(people)) % len(people)
    volume = np.asarray(lesions.sum(axis=1)).ravel() * SPACING_MM**3 / 1000
    nuisance = np.column_stack([volume, log_volume(volume), people.age])
    grid = template_2mm()
    matrix = LesionMatrix(lesions[rows].tocsc(), blank(grid.shape, grid.affine))
    return matrix, people.nihss.to_numpy(float)[rows], nuisance[rows]


def options(number, permutations):
    """Return the options of the tests."""
    return Permutations(permutations, 0, default_min_overlap(number))


def voxels(cache, permutations, number=None):
    """Test the voxels."""
    matrix, outcome, nuisance = loaded(cache, number)
    fit_voxels(matrix, outcome, nuisance, options(len(outcome), permutations))


def regions(cache, permutations):
    """Test the lesioned shares of four parts of the brain."""
    matrix, outcome, nuisance = loaded(cache)
    parts = np.array_split(np.arange(matrix.lesions.shape[1]), 4)
    shares = [np.asarray(matrix.lesions[:, part].mean(axis=1)).ravel() for part in parts]
    measures = [Measure("region", str(i), "", share, "parts") for i, share in enumerate(shares)]
    fit_measures("nihss", outcome, measures, nuisance, options(len(outcome), permutations))


def nilearn(cache, permutations, jobs):
    """Test all voxels of the brain with Nilearn."""
    from nilearn.mass_univariate import permuted_ols

    matrix, outcome, nuisance = loaded(cache)
    brain = np.flatnonzero(template_2mm().get_fdata() > 0)
    target = matrix.lesions[:, brain].toarray().astype(np.float32)
    permuted_ols(outcome[:, None], target, nuisance, n_perm=permutations, n_jobs=jobs, random_state=0)


def measure(function, *arguments):
    """Return the seconds and the peak memory (MB) of a function in its own process."""
    queue = multiprocessing.get_context("spawn").Queue()
    process = multiprocessing.get_context("spawn").Process(
        target=_measure, args=(queue, function, arguments)
    )
    process.start()
    result = queue.get()
    process.terminate()  # it would wait for idle workers of joblib
    process.join()
    return result


def _measure(queue, function, arguments):
    start = time.perf_counter()
    function(*arguments)
    seconds = time.perf_counter() - start
    process, children = (
        resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    )
    queue.put({"seconds": seconds, "memory (MB)": max(process, children) / 1000})


def group(out, jobs, permutations):
    """Run the group level."""
    command = [sys.executable, "-m", "bids_stroke", out / "bids", out / "out", "group"]
    command += ["--outcome", "nihss", "--covariates", "age", "--permutations", permutations]
    subprocess.run([*map(str, command), "--nprocs", str(jobs)], check=True)


def main():
    """Command line."""
    command = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    command.add_argument("--permutations", type=int, default=1000)
    command.add_argument("--jobs", type=int, default=2)
    command.add_argument("--copies", type=int, default=10_000, metavar="N")
    command.add_argument("--patients", type=int, metavar="N", help="use only the first patients")
    command.add_argument("--group", type=Path, metavar="OUT")
    command.add_argument("--page", type=Path, default=PERFORMANCE)
    arguments = command.parse_args()
    number, jobs = arguments.permutations, arguments.jobs
    with TemporaryDirectory() as folder:
        cache = Path(folder, "lesions.npz")
        rows = {"masks read": measure(read, cache, arguments.patients, jobs)}
        rows["voxels"] = measure(voxels, cache, number)
        rows["voxels, Nilearn"] = measure(nilearn, cache, number, jobs)
        pairs = zip(rows["voxels"].values(), rows["voxels, Nilearn"].values(), strict=True)
        rows["ratio"] = dict(zip(rows["voxels"], (a / b for a, b in pairs), strict=True))
        rows["regions"] = measure(regions, cache, number)
        copies = f"voxels, {arguments.copies} participants"
        rows[copies] = measure(voxels, cache, number, arguments.copies)
    if arguments.group:
        rows["group level"] = measure(group, arguments.group, jobs, number)
    write_measured("outcome", markdown(pd.DataFrame(rows).T), arguments.page)


if __name__ == "__main__":
    main()
