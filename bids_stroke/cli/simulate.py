"""``bids_stroke-simulate``: write a small BIDS dataset of simulated stroke patients."""

import argparse
import sys
from pathlib import Path

from bids_stroke.errors import StrokeError, UsageError

README = """\
Simulated stroke patients: no scan of any person is in this dataset.

T1w and FLAIR images of digital heads with one chronic lesion in the territory of a middle cerebral
artery, made by bids_stroke-simulate around the MNI152 (ICBM 2009a symmetric) template. Everything
in participants.tsv is invented. The true masks of lesion and brain are in derivatives/truth.
"""

PARTICIPANTS = {
    "age": {"Description": "Age (invented)", "Units": "years"},
    "sex": {"Description": "Sex (invented)", "Levels": {"F": "female", "M": "male"}},
    "nihss": {"Description": "NIH Stroke Scale at admission, 0 to 42 (invented)"},
    "lesion_side": {
        "Description": "Hemisphere of the lesion",
        "Levels": {"left": "left", "right": "right"},
    },
}

SIDECARS = {
    "T1w": {
        "MagneticFieldStrength": 3,
        "PulseSequenceType": "MPRAGE",
        "EchoTime": 0.003,
        "InversionTime": 0.9,
        "FlipAngle": 9,
        "MRAcquisitionType": "3D",
    },
    "FLAIR": {
        "MagneticFieldStrength": 3,
        "PulseSequenceType": "Inversion recovery fast spin echo",
        "EchoTime": 0.09,
        "RepetitionTime": 9.0,
        "InversionTime": 2.5,
        "FlipAngle": 150,
        "MRAcquisitionType": "2D",
    },
}

MASKS = {"lesion": {"label": "L", "desc": "truth"}, "brain": {"desc": "brain"}}


def parser():
    """The command's arguments."""
    command = argparse.ArgumentParser(
        prog="bids_stroke-simulate",
        description="Write a small BIDS dataset of simulated stroke patients, with true masks.",
    )
    command.add_argument("out", type=Path, metavar="OUT", help="new folder for the dataset")
    command.add_argument(
        "--participants", type=_within(int, 1, 999), default=3, metavar="N", help="default: 3"
    )
    command.add_argument(
        "--resolution",
        type=_within(float, 1, 4),
        default=1.0,
        metavar="MM",
        help="voxels of the T1w, 1 to 4 mm; FLAIR slices are 3 mm thicker (default: 1)",
    )
    command.add_argument(
        "--seed", type=_within(int, 0, 2**31), default=1, metavar="N", help="default: 1"
    )
    return command


def main(argv=None):
    """Entry point; returns the exit status."""
    arguments = parser().parse_args(argv)
    try:
        simulate(arguments.out, arguments.participants, arguments.resolution, arguments.seed)
    except StrokeError as error:
        print(f"bids_stroke-simulate: {error}", file=sys.stderr)
        return 2 if isinstance(error, UsageError) else 1
    return 0


def simulate(out, participants=3, resolution=1.0, seed=1):
    """Write the dataset to ``out``, which appears once it is complete.

    Raises
    ------
    UsageError
        If ``out`` exists and is not an empty folder, or cannot be written.
    """
    from bids_stroke.image import atomic

    out = Path(out).absolute()
    if out.exists() and not (out.is_dir() and not any(out.iterdir())):
        raise UsageError(f"{out} is not an empty folder; name a new one.")
    try:
        with atomic(out) as folder:
            folder.mkdir()
            _write(folder, participants, resolution, seed)
    except OSError as error:
        raise UsageError(
            f"{out} cannot be written ({error.strerror or error}); name another folder."
        ) from None


def _write(folder, participants, resolution, seed):
    import numpy as np
    import pandas as pd

    from bids_stroke.bids import write_json, write_tsv
    from bids_stroke.training import phantom

    truth = folder / "derivatives" / "truth"
    _write_descriptions(folder, truth, seed)
    template = phantom.template(resolution)
    rows = []
    for number in range(1, participants + 1):
        # Each participant has its own stream: the first ones do not depend on how many follow.
        rng = np.random.default_rng([seed, number])
        name, side = f"sub-{number:02d}", ("left", "right")[(number - 1) % 2]
        ml = _write_participant(folder, truth, name, phantom.head(template, side, rng), rng)
        nihss = int(np.clip(round(4 + ml / 6 + rng.normal(0, 2)), 1, 30))
        rows.append((name, int(rng.integers(45, 86)), rng.choice(["F", "M"]), nihss, side))
        print(f"{name}: lesion of {ml:.1f} ml, {side}")
    write_tsv(
        pd.DataFrame(rows, columns=["participant_id", *PARTICIPANTS]), folder / "participants.tsv"
    )
    write_json(PARTICIPANTS, folder / "participants.json")


def _write_participant(folder, truth, name, head, rng):
    """Scan a head, write images and true masks; returns the volume of the lesion (ml)."""
    from bids_stroke.bids import derivative, write_json
    from bids_stroke.image import save, voxel_volume
    from bids_stroke.training import scanner

    poses = scanner.poses(rng)
    plans = {contrast: scanner.plan(head, contrast, poses[contrast], rng) for contrast in poses}
    for contrast, plan in plans.items():
        img = scanner.scan(head, contrast, plan, rng)
        path = save(img, folder / name / "anat" / f"{name}_{contrast}.nii.gz")
        write_json(SIDECARS[contrast], path.with_name(f"{name}_{contrast}.json"))
    reference = f"bids:raw:{name}/anat/{name}_T1w.nii.gz"
    for kind, entities in MASKS.items():
        mask = scanner.truth(head, kind, plans["T1w"])
        path = truth / name / "anat" / derivative(name, "mask", space="T1w", **entities)
        save(mask, path)
        sidecar = {"Type": kind.title(), "Sources": [reference], "SpatialReference": reference}
        write_json(sidecar, path.with_name(path.name.replace(".nii.gz", ".json")))
        if kind == "lesion":
            ml = mask.get_fdata().sum() * voxel_volume(mask) / 1000
    return ml


def _write_descriptions(folder, truth, seed):
    from bids_stroke import __version__
    from bids_stroke.bids import write_json

    shared = {
        "BIDSVersion": "1.10.0",
        "License": "CC0",
        "Authors": ["bids_stroke"],
        "GeneratedBy": [
            {
                "Name": "bids_stroke-simulate",
                "Version": __version__,
                "Description": f"Simulation with seed {seed}",
            }
        ],
    }
    raw = {"Name": "Simulated stroke patients", "DatasetType": "raw", **shared}
    write_json(raw, folder / "dataset_description.json")
    (folder / "README").write_text(README)
    links = {"SourceDatasets": [{"URL": "../.."}], "DatasetLinks": {"raw": "../.."}}
    masks = {"Name": "True masks of the simulated patients", "DatasetType": "derivative"}
    write_json(masks | shared | links, truth / "dataset_description.json")
    (truth / "README").write_text(README)
    (truth / "descriptions.tsv").write_text(
        "desc_id\tdescription\n"
        "desc-truth\tCavity and gliosis, voxels of at least half lesion.\n"
        "desc-brain\tBrain, voxels of at least half brain.\n"
    )


def _within(kind, low, high):
    """An argparse type: a number from ``low`` to ``high``."""

    def number(text):
        value = kind(text)
        if not low <= value <= high:
            raise argparse.ArgumentTypeError(f"{text} is not within {low} and {high}")
        return value

    number.__name__ = kind.__name__
    return number


if __name__ == "__main__":
    sys.exit(main())
