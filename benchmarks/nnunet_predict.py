"""Our time over that of nnU-Net's own predictor: the same weights, image and settings, on the CPU.

    python benchmarks/nnunet_predict.py [OUT] [--model FOLDER] [--voxel MM] [--mirror]

Without a model, a network of nnU-Net's default size is made in OUT, taught on noise that what is bright
is lesion. The image is the template's brain. Needs nnunetv2 (pip install .[nnunet]).
"""

import argparse
import json
import time
from pathlib import Path

import numpy as np
import torch
from participant import network

from bids_stroke.evaluation.metrics import dice
from bids_stroke.models import catalog, inference
from bids_stroke.spatial import grid, image, templates


def main():
    """Print seconds, their ratio and the Dice of both masks."""
    import nnunets

    command = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    command.add_argument("out", nargs="?", type=Path, default=Path("nnunet_predict"))
    command.add_argument("--model", type=Path, help="results folder of a one-channel nnU-Net")
    command.add_argument("--voxel", type=float, default=1.0, help="of image and network, mm")
    command.add_argument("--mirror", action="store_true")
    command.add_argument("--threads", type=int, default=torch.get_num_threads())
    arguments = command.parse_args()
    torch.set_num_threads(arguments.threads)
    made = arguments.out / f"model-{arguments.voxel:g}mm"
    folder = arguments.model or network(made, arguments.voxel)
    target = templates.template()
    t1w = grid.regrid(target.t1w, (arguments.voxel,) * 3)
    brain = grid.regrid(target.brain, (arguments.voxel,) * 3, order=0)
    inside = np.asanyarray(brain.dataobj) > 0
    t1w = image.like(t1w.get_fdata() * inside, t1w, np.float32)
    model = catalog.load(folder)
    start = time.perf_counter()
    found = inference.predict(model, {"T1w": t1w}, brain, t1w, "cpu", arguments.mirror).get_fdata()
    ours = time.perf_counter() - start
    start = time.perf_counter()
    expected = nnunets.reference(folder, [t1w], (0,), arguments.mirror)
    theirs = time.perf_counter() - start
    score = dice(found > 0.5, (expected > 0.5) & inside)
    result = {
        "seconds": round(ours, 1),
        "seconds_nnunet": round(theirs, 1),
        "ratio": round(ours / theirs, 2),
        "dice": round(score, 5),
        "threads": arguments.threads,
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
