"""Run the participant and group levels on real heads.

    python studies/real_heads.py OUT [NAME …] [--models MODEL …] [--brain-extraction deepbet]
        [--normalization masked]

NAME is ms, ixi, healthy, stroke or stripped (default: all).

The scans in ``$BIDS_STROKE_SHARED/data`` are copied to BIDS datasets: MS patients with T1w and FLAIR,
IXI heads, two healthy T1w and a healthy FLAIR, a stroke T2w, and skull-stripped stroke T2w and FLAIR.
The script prints the exit status of each run, the brain volume, template overlap and signal-to-noise
ratio of each head, and its lesion volume for each model. ``--brain-extraction deepbet`` is faster than
the default.
"""

import argparse
import shutil
import subprocess
from pathlib import Path

import pandas as pd
from common import DATA, start_dataset

from bids_stroke.settings import DEFAULT_MODEL

HEADS = DATA / "heads"
DATASETS = {
    "ms": {
        f"sub-{patient}/ses-{study}/anat/sub-{patient}_ses-{study}_{contrast}": source
        for patient, study in (("01", 1), ("01", 2), ("03", 2), ("12", 1), ("12", 2))
        for contrast, source in (
            ("T1w", f"ms/patient{patient}_study{study}_T1W"),
            ("FLAIR", f"ms/patient{patient}_study{study}_FLAIR"),
        )
    },
    "ixi": {
        f"sub-{name[3:6]}/anat/sub-{name[3:6]}_T1w": f"ixi/{name}_ds"
        for name in (
            "IXI012-HH-1211-T1",
            "IXI013-HH-1212-T1",
            "IXI014-HH-1236-T1",
            "IXI015-HH-1258-T1",
            "IXI033-HH-1259-T1",
            "IXI034-HH-1260-T1",
            "IXI039-HH-1261-T1",
            "IXI048-HH-1326-T1",
            "IXI049-HH-1358-T1",
            "IXI051-HH-1328-T1",
        )
    },
    "healthy": {
        "sub-colin27/anat/sub-colin27_T1w": "healthy/colin27_T1w",
        "sub-T1/anat/sub-T1_T1w": "healthy/healthy_T1w2mm",
        "sub-FLAIR/anat/sub-FLAIR_FLAIR": "healthy/healthy_FLAIR",
    },
    "stroke": {"sub-M2265/anat/sub-M2265_T2w": "stroke/M2265_T2w"},
    "stripped": {
        "sub-M2208/anat/sub-M2208_T2w": "stroke/M2208_T2w",
        "sub-F1/anat/sub-F1_FLAIR": "stroke/stroke_FLAIR",
    },
}
STRIPPED = ("stripped",)
MEASURES = ["brain_volume_ml", "template_brain_dice", "snr"]


def make(name, root):
    """Write the BIDS dataset ``name`` under ``root``."""
    start_dataset(root, f"real heads: {name}")
    (root / "README").write_text("Copies of public scans for testing.\n")
    for target, source in DATASETS[name].items():
        path = root / f"{target}.nii.gz"
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(HEADS / f"{source}.nii.gz", path)
        path.with_name(path.name.replace(".nii.gz", ".json")).write_text("{}")


def process(bids, derivatives, *options):
    """Run both levels, print the exit status, and return the table of the group level."""
    # The models share the results of brain extraction.
    options = [*options, "--work-dir", bids.with_name("work")]
    for level in ("participant", "group"):
        run = ["bids_stroke", bids, derivatives, level, *(options if level == "participant" else ())]
        status = subprocess.run(run).returncode
        print(derivatives, level, "exit status", status, flush=True)
    return pd.read_csv(derivatives / "group_lesion.tsv", sep="\t")


def main():
    """Command line."""
    command = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    command.add_argument("out", type=Path)
    command.add_argument("names", nargs="*", metavar="NAME", help=", ".join(DATASETS))
    command.add_argument("--models", nargs="+", default=[DEFAULT_MODEL], metavar="MODEL")
    command.add_argument("--brain-extraction", default="hd-bet")
    command.add_argument("--normalization", default="enantiomorphic")
    arguments = command.parse_args()
    for name in arguments.names or DATASETS:
        folder = arguments.out / name
        if not (folder / "bids").exists():
            make(name, folder / "bids")
        extraction = "none" if name in STRIPPED else arguments.brain_extraction
        options = ["--brain-extraction", extraction, "--normalization", arguments.normalization]
        shown = []
        for model in arguments.models:
            derivatives = folder / f"derivatives-{Path(model).stem}"
            table = process(folder / "bids", derivatives, "--model", model, *options)
            table = table.set_index(["participant_id", "session_id"])
            shown += [table[MEASURES]] if not shown else []
            shown.append(table["lesion_volume_ml"].rename(f"lesion_volume_ml, {Path(model).stem}"))
        print(pd.concat(shown, axis=1).to_markdown())


if __name__ == "__main__":
    main()
