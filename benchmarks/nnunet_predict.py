"""Compare the time of the app and of nnU-Net's predictor for the same weights, image and settings.

    python benchmarks/nnunet_predict.py [OUT] [--model FOLDER] [--voxel MM] [--mirror]

Without a model, a network of nnU-Net's default size is trained on noise in OUT to mark bright regions
as lesion. The image is the template's brain. Both run on the CPU. The script requires nnunetv2 (pip
install .[nnunet]).
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
    """Print the seconds, their ratio and the Dice of both masks."""
    import nnunets

    command = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    command.add_argument("out", nargs="?", type=Path, default=Path("nnunet_predict"))
    command.add_argument("--model", type=Path, help="results folder of a one-channel nnU-Net")
    command.add_argument(
        "--voxel", type=float, default=1.0, help="voxel size of image and network (mm)"
    )
    command.add_argument("--mirror", action="store_true")
    command.add_argument("--threads", type=int, default=torch.get_num_threads())
    arguments = command.parse_args()
    torch.set_num_threads(arguments.threads)
    trained = arguments.out / f"model-{arguments.voxel:g}mm"
    folder = arguments.model or network(trained, arguments.voxel)
    target = templates.template()
    t1w = grid.regrid(target.t1w, (arguments.voxel,) * 3)
    brain = grid.regrid(target.brain, (arguments.voxel,) * 3, order=0)
    inside = np.asanyarray(brain.dataobj) > 0
    t1w = image.like(t1w.get_fdata() * inside, t1w, np.float32)
    model = catalog.load(folder)
    start = time.perf_counter()
    images = {"T1w": t1w}
    probability = inference.predict(model, images, brain, t1w, "cpu", arguments.mirror).get_fdata()
    seconds = time.perf_counter() - start
    start = time.perf_counter()
    expected = nnunets.reference(folder, [t1w], (0,), arguments.mirror)
    seconds_nnunet = time.perf_counter() - start
    score = dice(probability > 0.5, (expected > 0.5) & inside)
    result = {
        "seconds": round(seconds, 1),
        "seconds_nnunet": round(seconds_nnunet, 1),
        "ratio": round(seconds / seconds_nnunet, 2),
        "dice": round(score, 5),
        "threads": arguments.threads,
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
