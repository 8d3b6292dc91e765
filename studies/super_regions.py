"""Measure the super-regions: their agreement with another atlas, and what covers the tract.

    python studies/super_regions.py

Prints the overlap (Dice) of structures of the Talairach atlas with those of Neuromorphometrics, in the
coordinates of the file and through the transform of the card, the highest point of its cortex, and the
share of the probability of the corticospinal tract that each super-region has, by height.
"""

import nibabel as nib
import numpy as np
import pandas as pd
from nibabel.affines import apply_affine

from bids_stroke.atlases import super_regions, tracts
from bids_stroke.evaluation.metrics import dice

#: Labels of the Talairach atlas, and the starts of those of Neuromorphometrics after the side.
STRUCTURES = {
    "Thalamus": ("Thalamus_Proper",),
    "Caudate": ("Caudate",),
    "Lentiform_Nucleus": ("Putamen", "Pallidum"),
    "Insula": ("AIns", "PIns"),
    "Precentral_Gyrus": ("PrG",),
    "Superior_Frontal_Gyrus": ("SFG",),
    "Superior_Parietal_Lobule": ("SPL",),
    "Cuneus": ("Cun",),
}
HEIGHTS = ((-24, -18), (-18, -12), (-12, -8), (-8, 0), (0, 20), (20, 80))  # mm


def structure(card, layer, names, affine=None):
    """Mask of the labels of a layer that are named or start so, with its affine."""
    path, table = super_regions._atlas_files(card, layer)
    img, labels = nib.load(path), pd.read_csv(table)
    stems = labels["name"].str.replace("^(Left|Right)_", "", regex=True)
    chosen = labels.loc[stems.map(lambda stem: stem.startswith(names)), "index"]
    inside = np.isin(np.asarray(img.dataobj), chosen)
    return nib.Nifti1Image(inside.astype(np.uint8), img.affine if affine is None else affine)


def on_grid(mask, reference):
    """A mask on another grid, by the nearest voxel."""
    points = apply_affine(reference.affine, np.indices(reference.shape).reshape(3, -1).T)
    voxels = np.round(apply_affine(np.linalg.inv(mask.affine), points)).astype(int)
    inside = ((voxels >= 0) & (voxels < mask.shape)).all(1)
    values = np.zeros(len(points), bool)
    values[inside] = np.asarray(mask.dataobj)[tuple(voxels[inside].T)] > 0
    return values.reshape(reference.shape)


def agreement():
    """Dice of each structure with and without the transform of the card."""
    card = super_regions.super_regions_card()
    talairach, other = card.layers[:2]
    moved = np.linalg.inv(talairach.from_space)
    rows = []
    for name, starts in STRUCTURES.items():
        theirs = structure(card, other, starts)
        mask = structure(card, talairach, (name,))
        row = {"structure": name}
        for how, change in (("file", np.eye(4)), ("transformed", moved)):
            placed = nib.Nifti1Image(mask.dataobj, change @ mask.affine)
            height = apply_affine(placed.affine, np.argwhere(np.asarray(mask.dataobj)))[:, 2].max()
            row[f"Dice, {how}"] = round(
                dice(on_grid(placed, theirs), np.asarray(theirs.dataobj) > 0), 2
            )
            row[f"top, {how} (mm)"] = round(height)
        rows.append(row)
    return pd.DataFrame(rows)


def shares():
    """Share of the tract's probability in each super-region, by height."""
    regions = super_regions.super_regions()
    sides = tracts.load_tract()
    tract = sum(img.get_fdata() for img in sides.values())
    labels = np.asarray(regions.img.dataobj)
    heights = tracts.slice_positions(regions.img)
    rows = []
    for low, high in HEIGHTS:
        inside = (heights >= low) & (heights < high)
        weights = np.bincount(labels[..., inside].ravel(), tract[..., inside].ravel())
        row = {regions.names[n]: round(weights[n] / weights.sum(), 2) for n in regions.names}
        rows.append({"z (mm)": f"{low} to {high}", **row})
    return pd.DataFrame(rows)


if __name__ == "__main__":
    print(agreement().to_markdown(index=False))
    print(shares().to_markdown(index=False))
