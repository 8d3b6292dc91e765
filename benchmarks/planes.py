"""Measure time and memory of the three planes of S5 on a volume of 192×224×192 voxels.

    python benchmarks/planes.py [--threads 2] [--filled 1.0] [--planes 3]

The networks of the recipe ``s5`` have random weights and run on the GPU if available. The brain is an
ellipsoid whose axes are a share ``--filled`` of the sides; slices without brain are skipped.
"""

import argparse
import resource
import time

import numpy as np
import torch

from bids_stroke.compute import devices
from bids_stroke.models import fusion, slice_inference, weights
from bids_stroke.training.recipes import read_recipe

SHAPE = (192, 224, 192)


def main():
    """Command line."""
    command = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    command.add_argument("--threads", type=int, default=2)
    command.add_argument("--filled", type=float, default=1.0)
    command.add_argument("--planes", type=int, default=3, help="number of planes")
    arguments = command.parse_args()
    torch.set_num_threads(arguments.threads)
    device = devices.resolve("auto")
    recipes = read_recipe("s5").runs
    rng = np.random.default_rng(1)
    axes = [(np.arange(side) - (side - 1) / 2) / (side * arguments.filled / 2) for side in SHAPE]
    brain = sum(coordinate**2 for coordinate in np.meshgrid(*axes, indexing="ij")) <= 1
    channels = (rng.normal(size=(3, *SHAPE)) * brain).astype(np.float32)
    started, predictions = time.perf_counter(), []
    for name, recipe in list(recipes.items())[: arguments.planes]:
        plane_started = time.perf_counter()
        torch.manual_seed(0)
        network = weights.build(recipe.network).eval()
        axis = recipe.stages[-1].tile.index(1)
        predictions.append(slice_inference.predict_slices(network, channels, axis, device))
        print(f"{name}: {time.perf_counter() - plane_started:.1f} s", flush=True)
    fusion.majority([probability >= 0.5 for probability in predictions])
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    print(
        f"{len(predictions)} planes: {time.perf_counter() - started:.1f} s on {device} with "
        f"{arguments.threads} threads, at most {peak:.1f} GB"
    )


if __name__ == "__main__":
    main()
