"""Measure time to the first step and memory of the app on large datasets.

    python benchmarks/indexing.py [--participants 1000 10000] [--list FILES.txt.gz] [--plain 1000]

The script writes BIDS datasets to a temporary folder: participants with two sessions of T1w, FLAIR, two
func runs, and dwi, and optionally a list of files, for example of a published dataset. T1w and FLAIR of
the first session are images; all other files are empty. For each dataset, the participant level is
started and stopped when the first step of the first session starts. This is repeated with the index
stored by ``--bids-database-dir``. For up to ``--plain`` participants, PyBIDS's ``BIDSLayout`` is
measured with its default settings, which index all files. The table is written to docs/performance.md.
"""

import argparse
import gzip
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import psutil
from measurements import PERFORMANCE, markdown, start_dataset, write_measured

FILES = (
    "anat/{}_T1w.nii.gz",
    "anat/{}_T1w.json",
    "anat/{}_FLAIR.nii.gz",
    "anat/{}_FLAIR.json",
    "func/{}_task-rest_run-1_bold.nii.gz",
    "func/{}_task-rest_run-1_bold.json",
    "func/{}_task-rest_run-2_bold.nii.gz",
    "func/{}_task-rest_run-2_bold.json",
    "dwi/{}_dwi.nii.gz",
    "dwi/{}_dwi.json",
    "dwi/{}_dwi.bval",
    "dwi/{}_dwi.bvec",
)
PYBIDS = "import sys, bids; bids.BIDSLayout(sys.argv[1], validate=False); print('started')"


def simulated_paths(participants, sessions=2):
    """Yield the paths of the files of a simulated dataset."""
    for number in range(1, participants + 1):
        for session in range(1, sessions + 1):
            name = f"sub-{number:05}_ses-{session}"
            yield from (f"{name.replace('_', '/')}/{file.format(name)}" for file in FILES)


def write(root, paths):
    """Write a dataset of empty files with images in its first session; return the number of files."""
    start_dataset(root, "empty files")
    paths = list(paths)
    for folder in {os.path.dirname(path) for path in paths}:
        os.makedirs(root / folder, exist_ok=True)
    for path in paths:
        with open(f"{root}/{path}", "w") as file:
            file.write("{}" if path.endswith(".json") else "")
    head = np.random.default_rng(0).normal(100, 20, (40, 48, 40)).astype(np.float32)
    first = (root / min(path for path in paths if path.endswith("_T1w.nii.gz"))).parent
    for path in (*first.glob("*_T1w.nii.gz"), *first.glob("*_FLAIR.nii.gz")):
        nib.save(nib.Nifti1Image(head, np.diag([4.0, 4, 4, 1])), path)
    return len(paths)


def started(command):
    """Measure the seconds until a command reports a start, its peak memory (MB) and its CPU seconds
    until then."""
    begin = time.perf_counter()
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    with subprocess.Popen(command, **pipes) as process:
        lines = []
        for line in process.stdout:
            lines.append(line)
            if line.rstrip().endswith("started"):
                break
        else:
            sys.exit("".join(lines[-20:]))
        seconds = time.perf_counter() - begin
        status = Path(f"/proc/{process.pid}/status").read_text()
        peak = int(re.search(r"VmHWM:\s+(\d+)", status)[1]) / 1024
        times = psutil.Process(process.pid).cpu_times()
        process.terminate()
        process.stdout.read()
    return seconds, peak, times.user + times.system


def app(root, folder):
    """Return the command of the participant level on a dataset, with an index in a folder."""
    command = [sys.executable, "-m", "bids_stroke", root, folder / "out", "participant"]
    return [*command, "--brain-extraction", "none", "--bids-database-dir", folder / "index"]


def measure(root, folder, with_pybids):
    """Measure the cost of the first and second start, and of PyBIDS with its defaults."""
    first, second = started(app(root, folder)), started(app(root, folder))
    pybids = started([sys.executable, "-c", PYBIDS, root]) if with_pybids else (np.nan, np.nan)
    return first, second, pybids


def main():
    """Command line."""
    command = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    command.add_argument("--participants", nargs="+", type=int, default=[1000, 10000])
    command.add_argument(
        "--list", type=Path, help="gzip file with the paths of a dataset, one per line"
    )
    command.add_argument(
        "--plain", type=int, default=1000, help="largest number of participants for PyBIDS"
    )
    command.add_argument("--page", type=Path, default=PERFORMANCE)
    arguments = command.parse_args()
    datasets = {
        f"{number} made-up participants": simulated_paths(number) for number in arguments.participants
    }
    if arguments.list:
        lines = gzip.decompress(arguments.list.read_bytes()).decode().split()
        datasets[arguments.list.name.partition("_")[0]] = lines
    rows = []
    for name, paths in datasets.items():
        with tempfile.TemporaryDirectory() as folder:
            root = Path(folder) / "bids"
            count = write(root, paths)
            with_pybids = len(list(root.glob("sub-*"))) <= arguments.plain
            first, second, pybids = measure(root, Path(folder), with_pybids)
        rows.append(
            {
                "dataset": name,
                "files": count,
                "first step after (s)": first[0],
                "memory (MB)": first[1],
                "with the index kept (s)": second[0],
                "PyBIDS, defaults (s)": pybids[0],
                "ratio": first[0] / pybids[0],
            }
        )
        print(rows[-1], flush=True)
    write_measured("indexing", markdown(pd.DataFrame(rows), index=False), arguments.page)


if __name__ == "__main__":
    main()
