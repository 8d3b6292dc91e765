"""Measure the cost of the process that supervises sessions, and the effect of one failed report.

    python benchmarks/supervisor.py [--participants 12]

The script writes participants with user-supplied lesion masks in template space and runs the
participant level. A folder with the file name of one viewer makes this participant fail. The script
prints the numbers of successful and failed sessions, the exit status, and the CPU time of the
supervising process without its children. The table is written to docs/performance.md.
"""

import argparse
import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
from measurements import PERFORMANCE, markdown, start_dataset, write_measured

#: Runs the command line and prints the CPU time of this process without its children.
RUN = """
import resource, sys
from bids_stroke.cli.run import main
status = main(sys.argv[1:])
usage = resource.getrusage(resource.RUSAGE_SELF)
print(f"processor time: {usage.ru_utime + usage.ru_stime:.2f} s")
sys.exit(status)
"""
SPACE = "MNI152NLin2009aSym"


def make(root, participants):
    """Write a dataset of lesion masks on the grid of the template, and return the participants."""
    start_dataset(root, "masks")
    affine = np.eye(4)
    affine[:3, 3] = -98, -134, -72
    names = [f"sub-{number:02}" for number in range(1, participants + 1)]
    for number, name in enumerate(names):
        mask = np.zeros((197, 233, 189), np.uint8)
        mask[60 + number : 75 + number, 100:115, 70:85] = 1
        path = root / name / "anat" / f"{name}_space-{SPACE}_label-L_mask.nii.gz"
        path.parent.mkdir(parents=True)
        nib.save(nib.Nifti1Image(mask, affine), path)
    return names


def measure(folder, participants):
    """Run the participant level, and return a row of the table."""
    bids, out = folder / "bids", folder / "out"
    names = make(bids, participants)
    blocked = names[len(names) // 2]
    (out / f"{blocked}_viewer.html").mkdir(parents=True)
    command = [sys.executable, "-c", RUN, bids, out, "participant", "--lesion-derivatives", bids]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True)
    seconds = float(re.search("processor time: (.*) s", done.stdout)[1])
    records = [json.loads(path.read_text()) for path in sorted(out.glob("logs/*_run.json"))]
    failed = {record["name"]: record["error"] for record in records if record["status"] != "ok"}
    for name, error in failed.items():
        print(f"{name}: {error}")
    assert set(failed) == {blocked}, done.stderr
    return {
        "sessions": len(names),
        "succeeded": len(records) - len(failed),
        "failed": len(failed),
        "exit status": done.returncode,
        "processor time of the starting process (s)": seconds,
        "a session (s)": seconds / len(names),
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--participants", type=int, default=12)
    parser.add_argument("--page", type=Path, default=PERFORMANCE)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        row = measure(Path(folder), arguments.participants)
    table = markdown(pd.DataFrame([row]), index=False)
    print(table)
    write_measured("supervisor", table, arguments.page)


if __name__ == "__main__":
    main()
