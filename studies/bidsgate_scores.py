"""Score lesion masks with bidsgate, an independent program, beside bids_stroke-evaluate.

    python3 -m venv /tmp/bidsgate && /tmp/bidsgate/bin/pip install bidsgate
    python studies/bidsgate_scores.py OUT --bidsgate /tmp/bidsgate/bin/bidsgate [--scans 6]

The embedded model segments the T1w of simulated strokes, and of healthy IXI heads into which bidsgate
injects twelve white-matter ellipsoids each, of 30 to 1500 mm3. The ellipsoids resemble small lesions of
white-matter disease, not strokes. Both programs score the same masks. The script prints the scores of
both programs for each scan and cohort, the largest difference of their Dice, and the detected
ellipsoids by size. The default takes three minutes on one core. IXI heads are read from
``$BIDS_STROKE_SHARED/data``.
"""

import argparse
import json
import os
import shutil
import subprocess
from pathlib import Path

os.environ.setdefault("ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS", "1")

import numpy as np
import pandas as pd
from common import DATA, run, start_dataset
from longitudinal import read_head

from bids_stroke import segment
from bids_stroke.lesion.components import components
from bids_stroke.spatial import grid, image

TRUE_LESIONS = "desc-lesionTruth_mask.nii.gz"


def write_strokes(folder, scans):
    """Simulate patients, and write their lesions in the layout of bidsgate.

    Yields the participant, the scan and the brain mask.
    """
    bids = folder / "bids"
    run("bids_stroke.cli.simulate", bids, "--participants", scans, "--resolution", 2)
    for scan in sorted(bids.glob("sub-*/anat/*_T1w.nii.gz")):
        participant = scan.name.partition("_")[0]
        masks = bids / "derivatives" / "truth" / participant / "anat"
        mask = image.load(next(masks.glob("*_label-L_*_mask.nii.gz")))
        write_truth(mask, participant, folder / "truth")
        yield participant, scan, next(masks.glob("*_desc-brain_mask.nii.gz"))


def write_truth(mask, participant, truth):
    """Write the components of a lesion mask as the true lesions of bidsgate."""
    labels, count = components(mask.dataobj)
    volumes = np.bincount(labels.ravel(), minlength=count + 1) * grid.voxel_volume(mask)
    lesions = [{"id": n, "volume_mm3": float(volumes[n])} for n in range(1, count + 1)]
    anat = truth / participant / "anat"
    anat.mkdir(parents=True)
    image.like(labels, mask, np.int16).to_filename(anat / f"{participant}_{TRUE_LESIONS}")
    (anat / f"{participant}_desc-lesion_truth.json").write_text(json.dumps({"lesions": lesions}))


def write_ellipsoids(folder, scans, bidsgate):
    """Inject ellipsoids into healthy heads; yield as :func:`write_strokes`."""
    bids, brains = start_dataset(folder / "bids", "Healthy heads"), folder / "brains"
    brains.mkdir()
    for path in sorted((DATA / "heads" / "ixi").glob("*_ds.nii.gz"))[:scans]:
        participant = f"sub-{path.name.partition('-')[0]}"
        anat = bids / participant / "anat"
        anat.mkdir(parents=True)
        head, brain = read_head(path)
        head.to_filename(anat / f"{participant}_T1w.nii.gz")
        brain.to_filename(brains / f"{participant}.nii.gz")
    truth, pattern = folder / "truth", brains / "{subject}.nii.gz"
    command = [bidsgate, "inject-lesions", bids, "--out", truth, "--mask", pattern]
    subprocess.run(command, check=True)
    for scan in sorted(truth.glob("sub-*/anat/*_T1w.nii.gz")):
        participant = scan.name.partition("_")[0]
        yield participant, scan, brains / f"{participant}.nii.gz"


def segment_scans(folder, scans):
    """Write the predicted and the true mask of each scan, with the same file name."""
    predicted, manual = folder / "predicted", folder / "manual"
    predicted.mkdir()
    manual.mkdir()
    for participant, scan, brain in scans:
        segmentation = segment({"T1w": scan}, brain=brain)
        segmentation.mask.to_filename(predicted / f"{participant}.nii.gz")
        labels = image.load(next(folder.glob(f"truth/{participant}/anat/*_{TRUE_LESIONS}")))
        mask = image.like(np.asanyarray(labels.dataobj) > 0, labels, np.uint8)
        mask.to_filename(manual / f"{participant}.nii.gz")
        print(f"{participant}: {segmentation.volume_ml:.2f} ml", flush=True)


def score(folder, bidsgate):
    """Score the masks of a cohort with both programs.

    Returns
    -------
    scans : pandas.DataFrame
        Scores of each scan.
    lesions : pandas.DataFrame
        True lesions, as scored by bidsgate.
    """
    predicted, out = folder / "predicted", folder / "bidsgate"
    command = [bidsgate, "score-lesions", "--truth", folder / "truth", "--pipeline", "bids_stroke"]
    command += ["--pred", predicted / "{subject}.nii.gz", "--out", out]
    subprocess.run(command, check=True)
    results = json.loads((out / "scores_lesions.json").read_text())["results"]
    theirs = pd.DataFrame({result["subject"]: result["score"] for result in results}).T
    run("bids_stroke.cli.evaluate", predicted, folder / "manual", folder / "evaluation")
    rows, lesions = (
        pd.read_csv(folder / "evaluation" / f"{name}.tsv", sep="\t").set_index("participant_id")
        for name in ("evaluation", "evaluation_lesions")
    )
    true = lesions[(lesions["definition"] == "f1_isles") & (lesions["mask"] == "truth")]
    scans = {
        "lesions": theirs["lesions"],
        "detected, bidsgate": theirs["detected"],
        "detected, bids_stroke": true.groupby(level=0)["detected"].sum(),
        "Dice, bidsgate": theirs["dice"],
        "Dice, bids_stroke": rows["dice"],
        "true volume (ml)": rows["true_volume_ml"],
        "predicted volume (ml)": rows["predicted_volume_ml"],
    }
    return pd.DataFrame(scans).astype(float), pd.DataFrame(theirs["per_lesion"].sum())


def summarize(scans):
    """Return the number of scans, the sums of lesions and volumes, and the mean Dice of a cohort."""
    measures = {column: "mean" if column.startswith("Dice") else "sum" for column in scans}
    difference = (scans["Dice, bidsgate"] - scans["Dice, bids_stroke"]).abs().max()
    others = pd.Series({"scans": len(scans), "difference of Dice, largest": difference})
    return pd.concat([scans.agg(measures), others])


def main():
    """Command line."""
    command = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    command.add_argument("out", type=Path, help="new folder")
    command.add_argument("--bidsgate", default="bidsgate", help="command of bidsgate")
    command.add_argument("--scans", type=int, default=6, help="scans of each cohort, at most 10")
    arguments = command.parse_args()
    bidsgate = shutil.which(arguments.bidsgate)
    if not bidsgate:
        command.error(f"{arguments.bidsgate} does not exist; install bidsgate in another environment")
    strokes, ellipsoids = (arguments.out / name for name in ("strokes", "ellipsoids"))
    for folder in (strokes, ellipsoids):
        folder.mkdir(parents=True)
    segment_scans(strokes, write_strokes(strokes, arguments.scans))
    segment_scans(ellipsoids, write_ellipsoids(ellipsoids, arguments.scans, bidsgate))
    summaries = {}
    for folder in (strokes, ellipsoids):
        scans, lesions = score(folder, bidsgate)
        print(scans.round(4).to_markdown())
        summaries[folder.name] = summarize(scans)
    print(pd.DataFrame(summaries).round(4).to_markdown())
    print(lesions.groupby("bin")["detected"].agg(["size", "sum"]).to_markdown())


if __name__ == "__main__":
    main()
