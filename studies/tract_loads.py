"""Measure how loads depend on the tract: its extent, transections, and the side of a lesion.

    python studies/tract_loads.py [TRACT …]

Prints for each tract (all that are here, by default) the heights in which it reaches the probability
that counts for the share of a cross-section, and the loads of a transection over 11 mm and of a sphere
of 5 mm radius on either side, in the internal capsule and in the peduncle.
"""

import argparse

import nibabel as nib
import numpy as np
import pandas as pd

from bids_stroke.atlases import load_columns, loads, tract_cards, tracts
from bids_stroke.spatial.templates import template

PLACES = {"internal capsule": (-24, -16, 8), "peduncle": (-16, -18, -14)}
RADIUS_MM = 5
HALF_SLAB_MM = 5


def positions():
    """Coordinates (mm) of the voxels of the template, for broadcasting."""
    x, y, z = (tracts.slice_positions(template().t1w, axis) for axis in "xyz")
    return x[:, None, None], y[None, :, None], z[None, None]


def mask(inside):
    """Image of a mask on the template's grid."""
    return nib.Nifti1Image(inside.astype(np.uint8), template().t1w.affine)


def lesions():
    """Names and masks of the lesions."""
    x, y, z = positions()
    for place, (cx, cy, cz) in PLACES.items():
        for side, sign in (("left", 1), ("right", -1)):
            squared = (x - sign * cx) ** 2 + (y - cy) ** 2 + (z - cz) ** 2
            yield f"sphere, {place}, {side}", mask(squared <= RADIUS_MM**2)
        everywhere = np.ones(template().t1w.shape, bool)
        yield f"transection, {place}, left", mask(everywhere & (x < 0) & (abs(z - cz) <= HALF_SLAB_MM))


def main():
    """Command line."""
    command = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    command.add_argument("tracts", nargs="*", metavar="TRACT")
    here = [
        name
        for name in tract_cards.names()
        if all(path.is_file() for path in tract_cards.load_card(name).paths)
    ]
    rows = []
    for name in command.parse_args().tracts or here:
        card = tract_cards.load_card(name)
        sides = tracts.load_tract(card)
        peak = sides["L"].get_fdata().max((0, 1))
        z = tracts.slice_positions(sides["L"])[peak >= load_columns.MIN_PEAK]
        print(f"{name}: reaches {load_columns.MIN_PEAK:g} from z = {z.min():.0f} to {z.max():.0f} mm")
        for lesion, img in lesions():
            measured = loads.measure_loads(img, sides, card).loc["ipsilesional"]
            rows.append(
                {"tract": name, "lesion": lesion, **measured[list(load_columns.LOADS)].round(3)}
            )
    print(pd.DataFrame(rows).to_markdown(index=False))


if __name__ == "__main__":
    main()
