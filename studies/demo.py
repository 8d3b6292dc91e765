"""Process three simulated patients from images to reports and measure the accuracy of lesion masks.

    python studies/demo.py FOLDER

The script prints the Dice coefficient of each lesion mask with the true mask. The exit status is 1 if
the mean is below 0.5. A repeated call continues an interrupted run.
"""

import sys
from pathlib import Path

import numpy as np
from common import run

from bids_stroke.evaluation import metrics
from bids_stroke.spatial import image

MIN_DICE = 0.5


def agreement(bids, derivatives):
    """Return the Dice coefficient of the lesion mask of each participant by name."""
    scores = {}
    for path in sorted((bids / "derivatives" / "truth").glob("sub-*/anat/*_desc-truth_mask.nii.gz")):
        name = path.name.partition("_")[0]
        mask = next((derivatives / name / "anat").glob("*_space-T1w_label-L_*_mask.nii.gz"))
        scores[name] = metrics.dice(image.load(mask).dataobj, image.load(path).dataobj)
    return scores


def main(folder):
    """Simulate, process and compare; return the exit status."""
    bids, derivatives = folder / "bids", folder / "derivatives"
    if not bids.is_dir():
        run("bids_stroke.cli.simulate", bids)
    run("bids_stroke", bids, derivatives, "participant")
    run("bids_stroke", bids, derivatives, "group")
    scores = agreement(bids, derivatives)
    for name, score in scores.items():
        print(f"{name}: Dice {score:.3f}, report {derivatives / name}.html")
    mean = np.mean(list(scores.values()))
    print(f"mean: Dice {mean:.3f}, report {derivatives / 'group.html'}")
    return 0 if mean >= MIN_DICE else 1


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    sys.exit(main(Path(sys.argv[1])))
