"""HD-BET's published weights as they are, and as the app runs them.

    python benchmarks/denormals.py [--side VOXELS] [--page FILE]

Much of what its training let decay has ended below the smallest normal number (1.2e-38), where
processors take many times as long. Seconds of one pass of one network over a cube of noise, in single
precision and in that of the app. Writes the table to docs/performance.md.
"""

import argparse
import copy
import time
from contextlib import nullcontext
from pathlib import Path

import pandas as pd
import torch
from measurements import PERFORMANCE, markdown, write_measured

from bids_stroke.compute import devices
from bids_stroke.spatial import hd_bet


def main():
    """Command line."""
    command = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    command.add_argument("--side", type=int, default=64, help="voxels")
    command.add_argument("--page", type=Path, default=PERFORMANCE)
    arguments = command.parse_args()
    published = next(hd_bet.networks())
    placed = devices.place_network(copy.deepcopy(published), "cpu", in_place=hd_bet.NORMS)
    weights = torch.cat([one.detach().flatten() for one in published.parameters()])
    denormal = (weights != 0) & (weights.abs() < torch.finfo(weights.dtype).tiny)
    cube = torch.randn(1, 1, *[arguments.side] * 3)
    ways = {
        "as published": (published, nullcontext()),
        "the app, single precision": (placed, nullcontext()),
        "the app": (placed, devices.fast_arithmetic("cpu")),
    }
    rows = []
    for name, (network, precision) in ways.items():
        begun = time.perf_counter()
        with torch.inference_mode(), precision:
            network(cube)
        rows.append({"weights": name, "seconds": time.perf_counter() - begun})
    table = pd.DataFrame(rows)
    table["ratio"] = table["seconds"] / table["seconds"][0]
    share = f"{denormal.float().mean():.0%} of the weights are no normal numbers."
    write_measured("denormals", f"{share}\n\n{markdown(table, index=False)}", arguments.page)


if __name__ == "__main__":
    main()
