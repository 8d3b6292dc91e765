"""Time from the start of the app to its first step, and memory, on large datasets.

    python benchmarks/indexing.py [--participants 1000 10000] [--list FILES.txt.gz] [--plain 1000]

Makes BIDS trees in a temporary folder: of participants with two sessions of T1w, FLAIR, two runs of
func, and dwi, and one of a list of files, such as that of a published dataset. T1w and FLAIR of the
first session are images, all other files are empty. Over each tree it starts the participant level,
waits until the first step of the first session begins, and ends it; then the same again with the index
that ``--bids-database-dir`` has kept. For trees of up to ``--plain`` participants PyBIDS's
``BIDSLayout`` runs beside it with its defaults, as in tools that do not tell it what to skip. Writes
the table to docs/performance.md.
"""

import argparse
import gzip
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
from measurements import PERFORMANCE, markdown, start_dataset, write_measured

FILES = (
    "anat/{}_T1w.nii.gz", "anat/{}_T1w.json", "anat/{}_FLAIR.nii.gz", "anat/{}_FLAIR.json",
    "func/{}_task-rest_run-1_bold.nii.gz", "func/{}_task-rest_run-1_bold.json",
    "func/{}_task-rest_run-2_bold.nii.gz", "func/{}_task-rest_run-2_bold.json",
    "dwi/{}_dwi.nii.gz", "dwi/{}_dwi.json", "dwi/{}_dwi.bval", "dwi/{}_dwi.bvec",
)  # fmt: skip
PLAIN = "import sys, bids; bids.BIDSLayout(sys.argv[1], validate=False); print('started')"


def made(participants):
    """Paths of the files of a made-up dataset."""
    for number in range(1, participants + 1):
        for session in (1, 2):
            name = f"sub-{number:05}_ses-{session}"
            yield from (f"{name.replace('_', '/')}/{file.format(name)}" for file in FILES)


def write(root, paths):
    """Write a dataset of empty files, with images in its first session; returns how many."""
    start_dataset(root, "empty files")
    files = [root / path for path in paths]
    for folder in {path.parent for path in files}:
        folder.mkdir(parents=True, exist_ok=True)
    for path in files:
        path.write_text("{}" if path.suffix == ".json" else "")
    head = np.random.default_rng(0).normal(100, 20, (40, 48, 40)).astype(np.float32)
    first = min(root.glob("sub-*/**/anat/*_T1w.nii.gz")).parent
    for path in (*first.glob("*_T1w.nii.gz"), *first.glob("*_FLAIR.nii.gz")):
        nib.save(nib.Nifti1Image(head, np.diag([4.0, 4, 4, 1])), path)
    return len(files)


def started(command):
    """Seconds until a command tells that something started, and its peak memory (MB) until then."""
    begun = time.perf_counter()
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    with subprocess.Popen(command, **pipes) as going:
        lines = []
        for line in going.stdout:
            lines.append(line)
            if line.rstrip().endswith("started"):
                break
        else:
            sys.exit("".join(lines[-20:]))
        seconds = time.perf_counter() - begun
        status = Path(f"/proc/{going.pid}/status").read_text()
        peak = int(re.search(r"VmHWM:\s+(\d+)", status)[1]) / 1024
        going.terminate()
        going.stdout.read()
    return seconds, peak


def measure(root, folder, plain):
    """Seconds and memory of the first start, of the next, and of PyBIDS with its defaults."""
    app = [sys.executable, "-m", "bids_stroke", root, folder / "out", "participant",
           "--brain-extraction", "none", "--bids-database-dir", folder / "index"]  # fmt: skip
    first, again = started(app), started(app)
    return first, again, started([sys.executable, "-c", PLAIN, root]) if plain else (np.nan, np.nan)


def main():
    """Command line."""
    command = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    command.add_argument("--participants", nargs="+", type=int, default=[1000, 10000])
    command.add_argument("--list", type=Path, help="paths of a dataset's files, a line each, gzip")
    command.add_argument("--plain", type=int, default=1000, help="most participants for the plain way")
    command.add_argument("--page", type=Path, default=PERFORMANCE)
    arguments = command.parse_args()
    trees = {f"{number} made-up participants": made(number) for number in arguments.participants}
    if arguments.list:
        lines = gzip.decompress(arguments.list.read_bytes()).decode().split()
        trees[arguments.list.name.partition("_")[0]] = lines
    rows = []
    for name, paths in trees.items():
        with tempfile.TemporaryDirectory() as folder:
            root = Path(folder) / "bids"
            count = write(root, paths)
            plain = len(list(root.glob("sub-*"))) <= arguments.plain
            first, again, other = measure(root, Path(folder), plain)
        rows.append({
            "dataset": name, "files": count,
            "first step after (s)": first[0], "memory (MB)": first[1],
            "with the index kept (s)": again[0],
            "PyBIDS, defaults (s)": other[0], "ratio": first[0] / other[0],
        })  # fmt: skip
        print(rows[-1], flush=True)
    write_measured("indexing", markdown(pd.DataFrame(rows), index=False), arguments.page)


if __name__ == "__main__":
    main()
