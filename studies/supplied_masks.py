"""Group table of lesion masks that are in a template space, by the commands that a lab would use.

    python studies/supplied_masks.py MASKS SPACE OUT

MASKS holds files ``sub-<label>_*.nii.gz``, SPACE is their space (``MNI152NLin6Asym``). In OUT they get
BIDS names (links, no copies), then both levels are run. Printed: sides, super-regions, categories, and
how far the shares of super-regions are from 1 and the volumes from those of the files. The exit status
is 1 if a session is missing, or a sum of shares is off by more than 1e-5.
"""

import sys
from pathlib import Path

import numpy as np
import pandas as pd
from common import run, start_dataset

from bids_stroke.spatial import grid, image


def name(masks, space, bids):
    """Link the masks under BIDS names; their volumes (ml) by participant."""
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
    volumes = name(masks, space, bids)
    run("bids_stroke", bids, derivatives, "participant", "--lesion-derivatives", bids)
    run("bids_stroke", bids, derivatives, "group")
    table = pd.read_csv(derivatives / "group_lesion.tsv", sep="\t", index_col="participant_id")
    shares = table[[f"r{number}_share" for number in (1, 2, 3, 4)]].sum(axis=1)
    apart = (table["lesion_volume_mni_ml"] - volumes).abs()
    print(f"{len(table)} of {len(volumes)} masks")
    for column in ("hemisphere", "index_super_region", "cst_category"):
        print(f"{column}: {table[column].fillna('n/a').value_counts().to_dict()}")
    print(f"sum of shares: off by {np.abs(shares - 1).max():.1g} at most")
    print(f"volume: off by {apart.max():.1g} ml at most")
    weighted = table[[f"cst_weighted_load_ml_{side}" for side in ("left", "right")]]
    print(f"weighted load, median: {weighted.median().round(3).to_dict()} ml")
    return int(len(table) != len(volumes) or np.abs(shares - 1).max() > 1e-5)


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    sys.exit(main(Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3])))
