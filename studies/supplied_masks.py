"""Run both levels on user-supplied lesion masks in a template space and check the group table.

    python studies/supplied_masks.py MASKS SPACE OUT

MASKS is a folder with files ``sub-<label>_*.nii.gz``, and SPACE is their space (``MNI152NLin6Asym``).
The masks are linked to OUT with BIDS names, and both levels are run. The script prints counts of sides,
super-regions and categories, the deviation of the sum of super-region shares from 1, and the deviation
of volumes from those of the files. The exit status is 1 if a session is missing or the sum of shares
deviates by more than 1e-5.
"""

import sys
from pathlib import Path

import numpy as np
import pandas as pd
from common import run, start_dataset

from bids_stroke.spatial import grid, image


def link_masks(masks, space, bids):
    """Link the masks with BIDS names, and return their volumes (ml) by participant."""
    volumes = {}
    for path in sorted(masks.glob("sub-*.nii.gz")):
        participant = path.name.partition("_")[0]
        link = bids / participant / "anat" / f"{participant}_space-{space}_label-L_mask.nii.gz"
        link.parent.mkdir(parents=True, exist_ok=True)
        if not link.is_symlink():
            link.symlink_to(path.resolve())
        img = image.load(path)
        volumes[participant] = np.count_nonzero(img.dataobj) * grid.voxel_volume(img) / 1000
    start_dataset(bids, "Lesion masks")
    return pd.Series(volumes)


def main(masks, space, out):
    """Run both levels and check the table; return the exit status."""
    bids, derivatives = out / "bids", out / "derivatives"
    volumes = link_masks(masks, space, bids)
    run("bids_stroke", bids, derivatives, "participant", "--lesion-derivatives", bids)
    run("bids_stroke", bids, derivatives, "group")
    table = pd.read_csv(derivatives / "group_lesion.tsv", sep="\t", index_col="participant_id")
    shares = table[[f"r{number}_share" for number in (1, 2, 3, 4)]].sum(axis=1)
    deviations = (table["lesion_volume_mni_ml"] - volumes).abs()
    print(f"{len(table)} of {len(volumes)} masks")
    for column in ("hemisphere", "index_super_region", "cst_category"):
        print(f"{column}: {table[column].fillna('n/a').value_counts().to_dict()}")
    print(f"sum of shares: deviation of at most {np.abs(shares - 1).max():.1g}")
    print(f"volume: deviation of at most {deviations.max():.1g} ml")
    weighted = table[[f"cst_weighted_load_ml_{side}" for side in ("left", "right")]]
    print(f"weighted load, median: {weighted.median().round(3).to_dict()} ml")
    return int(len(table) != len(volumes) or np.abs(shares - 1).max() > 1e-5)


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    sys.exit(main(Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3])))
