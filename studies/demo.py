"""Three simulated patients, from images to reports, and how well their lesions were found.

    python studies/demo.py FOLDER

prints the Dice coefficient of each lesion mask against the true one. The exit status is 1 if
their mean is below 0.5. A second run continues where the first one stopped.
"""

import sys
from pathlib import Path

import numpy as np
from common import run

from bids_stroke.evaluation import metrics
from bids_stroke.spatial import image

LEAST = 0.5


def agreement(bids, derivatives):
    """Dice coefficient of each participant's lesion mask, by name."""
    scores = {}
    for path in sorted((bids / "derivatives" / "truth").glob("sub-*/anat/*_desc-truth_mask.nii.gz")):
        name = path.name.partition("_")[0]
        found = next((derivatives / name / "anat").glob("*_space-T1w_label-L_*_mask.nii.gz"))
        scores[name] = metrics.dice(image.load(found).dataobj, image.load(path).dataobj)
    return scores


def main(folder):
    """Simulate, process, compare; return the exit status."""
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
    return 0 if mean >= LEAST else 1


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    sys.exit(main(Path(sys.argv[1])))
