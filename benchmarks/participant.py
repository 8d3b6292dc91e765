"""Wall time and peak memory of one participant with a 1 mm T1w, in all and for each step.

    python benchmarks/participant.py [T1W.nii.gz]

runs the participant level on the image (default: a simulated head at 1 mm) with two cores.
"""

import multiprocessing
import shutil
import sys
import tempfile
import threading
import time
from pathlib import Path

from bids_stroke.bids import find
from bids_stroke.cli import parser, simulate, supervise
from bids_stroke.models import card

CORES = 2
PERIOD_S = 0.1


def resident_mb(pid):
    """Resident memory of a process."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1]) / 1024
    return 0.0


def dataset(folder, t1w):
    """A BIDS dataset with one T1w image."""
    bids = folder / "bids"
    if simulate.main([str(bids), "--participants", "1"]):
        sys.exit(1)
    for path in bids.glob("sub-01/anat/*FLAIR*"):
        path.unlink()
    if t1w:
        shutil.copyfile(t1w, bids / "sub-01/anat/sub-01_T1w.nii.gz")
    return bids


def main(t1w=None):
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        bids = dataset(folder, t1w)
        arguments = [str(bids), str(folder / "out"), "participant", "--nprocs", str(CORES)]
        settings = parser.parse(arguments)
        sessions, _ = find(settings, card.load(settings.model))
        steps, state = {}, {"step": "start", "stop": False}

        def sample():
            while not state["stop"]:
                for child in multiprocessing.active_children():
                    try:
                        used = resident_mb(child.pid)
                    except OSError:  # it ended between two samples
                        continue
                    step = steps.setdefault(state["step"], [0.0, 0.0])
                    step[1] = max(step[1], used)
                time.sleep(PERIOD_S)

        def on_event(_, kind, *content):
            if kind == "start":
                state["step"] = content[0]
            elif kind in ("end", "exception"):
                steps.setdefault(content[0], [0.0, 0.0])[0] = content[1]

        sampler = threading.Thread(target=sample)
        sampler.start()
        (_, result), *_ = list(supervise.run(settings, sessions, on_event))
        state["stop"] = True
        sampler.join()
    print(f"{'step':48} {'seconds':>8} {'peak MB':>8}")
    for step, (seconds, peak) in steps.items():
        if seconds >= 1 or step == "start":
            print(f"{step:48} {seconds:8.1f} {peak:8.0f}")
    peak = max(used for _, used in steps.values())
    print(f"{'whole participant (' + result['status'] + ')':48} {result['seconds']:8.1f} {peak:8.0f}")
    return 0 if result["status"] == "ok" else 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
