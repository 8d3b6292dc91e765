"""Compare the super-regions with another atlas, and measure their shares of the corticospinal tract.

    python studies/super_regions.py

The script prints the Dice of structures of the Talairach atlas with those of Neuromorphometrics, in the
coordinates of the file and after the transform of the card, and the highest point of each structure. It
also prints the share of the probability of the corticospinal tract in each super-region by height.
"""

import nibabel as nib
import numpy as np
import pandas as pd
from nibabel.affines import apply_affine

from bids_stroke.atlases import super_regions, tracts
from bids_stroke.evaluation.metrics import dice

#: Labels of the Talairach atlas, and prefixes (after the side) of the labels of Neuromorphometrics.
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
    """Return a mask of the labels of a layer whose names start with one of ``names``."""
    path, table = super_regions._atlas_files(card, layer)
    img, labels = nib.load(path), pd.read_csv(table)
    stems = labels["name"].str.replace("^(Left|Right)_", "", regex=True)
    selected = labels.loc[stems.map(lambda stem: stem.startswith(names)), "index"]
    inside = np.isin(np.asarray(img.dataobj), selected)
    return nib.Nifti1Image(inside.astype(np.uint8), img.affine if affine is None else affine)


def on_grid(mask, reference):
    """Resample a mask to another grid by the nearest voxel."""
    points = apply_affine(reference.affine, np.indices(reference.shape).reshape(3, -1).T)
    voxels = np.round(apply_affine(np.linalg.inv(mask.affine), points)).astype(int)
    inside = ((voxels >= 0) & (voxels < mask.shape)).all(1)
    values = np.zeros(len(points), bool)
    values[inside] = np.asarray(mask.dataobj)[tuple(voxels[inside].T)] > 0
    return values.reshape(reference.shape)


def agreement():
    """Return the Dice of each structure with and without the transform of the card."""
    card = super_regions.super_regions_card()
    talairach, other = card.layers[:2]
    to_space = np.linalg.inv(talairach.from_space)
    rows = []
    for name, starts in STRUCTURES.items():
        reference = structure(card, other, starts)
        mask = structure(card, talairach, (name,))
        row = {"structure": name}
        for space, affine in (("file", np.eye(4)), ("transformed", to_space)):
            moved = nib.Nifti1Image(mask.dataobj, affine @ mask.affine)
            height = apply_affine(moved.affine, np.argwhere(np.asarray(mask.dataobj)))[:, 2].max()
            row[f"Dice, {space}"] = round(
                dice(on_grid(moved, reference), np.asarray(reference.dataobj) > 0), 2
            )
            row[f"top, {space} (mm)"] = round(height)
        rows.append(row)
    return pd.DataFrame(rows)


def shares():
    """Return the share of the tract's probability in each super-region by height."""
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
