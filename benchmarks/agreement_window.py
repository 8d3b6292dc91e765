"""Measure the time of the agreement window on two masks at 1 mm, on one core.

    python benchmarks/agreement_window.py [--seed 1]

The masks are two overlapping lesions of about 100 ml, and voxels scattered over the brain. For each
window (2, 3, 4), the script prints the best of three times, the time of an explicit loop over all
window positions, and their ratio. The time of the loop is extrapolated from a part of the volume, in
which both results must be equal.
"""

import argparse
import itertools
import time
from functools import partial

import numpy as np
from scipy import ndimage

from bids_stroke.models import fusion
from bids_stroke.spatial import templates

OVERLAP = 0.75
PART = (slice(40, 90), slice(90, 140), slice(70, 110))  # part of the volume for the loop


def masks(seed):
    """Draw two masks on the template's grid."""
    brain = np.asanyarray(templates.template().brain.dataobj) > 0
    rng = np.random.default_rng(seed)
    drawn = []
    for center in ((60, 120, 95), (63, 122, 93)):
        distance = np.linalg.norm(np.moveaxis(np.indices(brain.shape), 0, -1) - center, axis=-1)
        edge = ndimage.gaussian_filter(rng.normal(size=brain.shape), 3) * 40
        scattered = rng.random(brain.shape) < 0.002
        drawn.append(brain & ((distance + edge < 29) | scattered))
    return drawn


def literal(masks, window, overlap):
    """Compute the agreement window by an explicit loop over all window positions."""
    stack = np.array(masks)
    fused = np.zeros(stack.shape[1:], bool)
    for corner in itertools.product(*(range(side - window + 1) for side in fused.shape)):
        cube = tuple(slice(n, n + window) for n in corner)
        inside = stack[(slice(None), *cube)]
        union = inside.any(0)
        if union.any() and inside.all(0).sum() / union.sum() > overlap:
            fused[cube] |= union
    return fused


def seconds(function, times):
    """Return the shortest time of several calls, and the result."""
    best, result = np.inf, None
    for _ in range(times):
        started = time.perf_counter()
        result = function()
        best = min(best, time.perf_counter() - started)
    return best, result


def main():
    """Command line."""
    command = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    command.add_argument("--seed", type=int, default=1)
    whole = masks(command.parse_args().seed)
    part = [mask[PART] for mask in whole]
    share = part[0].size / whole[0].size
    print(f"masks of {whole[0].sum() / 1000:.0f} and {whole[1].sum() / 1000:.0f} ml, {whole[0].shape}")
    for window in (2, 3, 4):
        fast, _ = seconds(partial(fusion.agreement_window, whole, window, OVERLAP), 3)
        same = fusion.agreement_window(part, window, OVERLAP)
        slow, expected = seconds(partial(literal, part, window, OVERLAP), 1)
        if not np.array_equal(same, expected):
            raise SystemExit(f"window {window}: the results differ")
        slow /= share
        print(f"window {window}: {fast:.2f} s versus {slow:.0f} s, {slow / fast:.0f} times as fast")


if __name__ == "__main__":
    main()
