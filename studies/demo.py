"""Process three simulated patients from images to reports and measure the accuracy of lesion masks.

    python studies/demo.py FOLDER

The brain of the first patient is extracted by HD-BET. The two others use the brain masks of the
simulation, which saves time. The script prints the Dice coefficient of each lesion mask with the true
mask. The exit status is 1 if the mean is below 0.5. A repeated call continues an interrupted run.
"""

import sys
from pathlib import Path

import numpy as np
from common import run

from bids_stroke.evaluation import metrics
from bids_stroke.spatial import image

MIN_DICE = 0.5
RESOLUTION_MM = 2


def agreement(truth, derivatives):
    """Return the Dice coefficient of the lesion mask of each participant by name."""
    scores = {}
    for path in sorted(truth.glob("sub-*/anat/*_desc-truth_mask.nii.gz")):
        name = path.name.partition("_")[0]
        mask = next((derivatives / name / "anat").glob("*_space-T1w_label-L_*_mask.nii.gz"))
        scores[name] = metrics.dice(image.load(mask).dataobj, image.load(path).dataobj)
    return scores


def main(folder):
    """Simulate, process and compare; return the exit status."""
    bids, derivatives = folder / "bids", folder / "derivatives"
    truth = bids / "derivatives" / "truth"
    print("1. Simulate three patients", flush=True)
    if not bids.is_dir():
        run("bids_stroke.cli.simulate", bids, "--resolution", RESOLUTION_MM)
    participant = "bids_stroke", bids, derivatives, "participant", "--participant-label"
    print("2. Process a patient, with brain extraction by HD-BET", flush=True)
    run(*participant, "01")
    print("3. Process two patients with brain masks", flush=True)
    run(*participant, "02", "03", "--derivatives", truth)
    print("4. Collect the cohort", flush=True)
    run("bids_stroke", bids, derivatives, "group")
    print("5. Compare with the true masks", flush=True)
    scores = agreement(truth, derivatives)
    for name, score in scores.items():
        print(f"{name}: Dice {score:.3f}, report {derivatives / name}.html")
    mean = np.mean(list(scores.values()))
    print(f"mean: Dice {mean:.3f}, report {derivatives / 'group.html'}")
    return 0 if mean >= MIN_DICE else 1


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    sys.exit(main(Path(sys.argv[1])))
