"""Time of the agreement window on two masks of the template's brain at 1 mm, on one core.

    python benchmarks/agreement_window.py [--seed 1]

The masks are two overlapping lesions of about 100 ml, and voxels scattered over the brain. For each
window (2, 3, 4) it prints the best of three times, that of a literal loop over all places of the
window (reckoned from a part of the volume, where both must give the same), and their ratio.
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
PART = (slice(40, 90), slice(90, 140), slice(70, 110))  # voxels that the literal loop runs on


def masks(seed):
    """Two masks on the template's grid."""
    brain = np.asanyarray(templates.template().brain.dataobj) > 0
    rng = np.random.default_rng(seed)
    made = []
    for center in ((60, 120, 95), (63, 122, 93)):
        distance = np.linalg.norm(np.moveaxis(np.indices(brain.shape), 0, -1) - center, axis=-1)
        edge = ndimage.gaussian_filter(rng.normal(size=brain.shape), 3) * 40
        scattered = rng.random(brain.shape) < 0.002
        made.append(brain & ((distance + edge < 29) | scattered))
    return made


def literal(masks, window, overlap):
    """The window at every place, one after the other."""
    stack = np.array(masks)
    kept = np.zeros(stack.shape[1:], bool)
    for corner in itertools.product(*(range(side - window + 1) for side in kept.shape)):
        cube = tuple(slice(n, n + window) for n in corner)
        inside = stack[(slice(None), *cube)]
        union = inside.any(0)
        if union.any() and inside.all(0).sum() / union.sum() > overlap:
            kept[cube] |= union
    return kept


def seconds(function, times):
    """Best time of some calls, and what the last one gave."""
    best, found = np.inf, None
    for _ in range(times):
        started = time.perf_counter()
        found = function()
        best = min(best, time.perf_counter() - started)
    return best, found


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
        print(f"window {window}: {fast:.2f} s against {slow:.0f} s, {slow / fast:.0f} times as fast")


if __name__ == "__main__":
    main()
