"""Evaluation cohort of the embedded model: simulated patients with held-out heads.

The cohort has lesions of four sizes and two stages, with held-out shapes, and heads without a lesion,
at 1 mm, as T1w, FLAIR and T2w. ``embedded_cohort.yaml`` contains its settings and the expected checksum
of its voxels.
"""

from pathlib import Path

import held_out
import numpy as np
import pandas as pd
import yaml

from bids_stroke.models import mirroring
from bids_stroke.spatial import image
from bids_stroke.training.simulation import dataset, synthesis
from bids_stroke.utils.files import atomic

SETTINGS = yaml.safe_load(Path(__file__).with_suffix(".yaml").read_text())
SPACING = 1.0
PARTS = tuple(SETTINGS["parts"])


def write(part, work):
    """Write the cohort of a part of the recipe's split unless it exists, and return its folder.

    Raises
    ------
    SystemExit
        If the checksum differs from that of the settings.
    """
    out = work / f"cohort-{part}"
    if not out.exists():
        _simulate(part, work, out)
    checksum, expected = held_out.checksum(out), SETTINGS["parts"][part]["sha256"]
    if checksum != expected:
        raise SystemExit(f"{out} has the checksum {checksum}, but the settings state {expected}.")
    return out


def _simulate(part, work, out):
    simulator = held_out.simulator(part, work, SPACING, SETTINGS["synthesis"])
    seed = SETTINGS["seed"] + PARTS.index(part)
    numbers = SETTINGS["parts"][part]
    rng = np.random.default_rng(seed)
    heads, stages = len(simulator.subjects), list(simulator.ranges["stages"])

    def lesions(span, number):
        """Draw the volumes of lesions of a size, for each stage."""
        volumes = [np.exp(rng.uniform(*np.log(span), number)) for _ in stages]
        return [[(float(v), s)] for s, part in zip(stages, volumes, strict=True) for v in part]

    plan = [
        planned for span in SETTINGS["sizes"].values() for planned in lesions(span, numbers["each"])
    ]
    plan = list(zip(np.arange(len(plan)) % heads, plan, strict=True))
    plan += [(index % heads, []) for index in range(numbers["without_lesion"])]
    larger = lesions(SETTINGS["larger"], numbers["larger"])
    plan += list(zip(np.arange(len(larger)) % heads, larger, strict=True))
    with atomic(out) as folder:
        folder.mkdir(parents=True)
        for name, ml in dataset.write(folder, simulator, plan, seed, synthesis.CONTRASTS):
            print(f"{name}: {ml:.2f} ml", flush=True)


def participants(folder):
    """Return the table of a cohort, indexed by participant."""
    return pd.read_csv(folder / "participants.tsv", sep="\t").set_index("participant_id")


def load_case(folder, name, contrasts=synthesis.CONTRASTS):
    """Load the images by contrast, the brain mask and the true mask (array) of a participant."""
    raw, truth = folder / name / "anat", folder / "derivatives" / "truth" / name / "anat"
    images = {c: image.load(raw / f"{name}_{c}.nii.gz") for c in contrasts}
    brain = image.load(truth / f"{name}_space-T1w_desc-brain_mask.nii.gz")
    lesion = image.load(truth / f"{name}_space-T1w_label-L_desc-truth_mask.nii.gz")
    return images, brain, np.asarray(lesion.dataobj) > 0


def alignment(folder, name, contrast, img, brain):
    """Align a participant with the template by one of its images; None if the alignment failed.

    The affine does not depend on the model and is stored next to the cohort.
    """
    path = folder.with_name(f"{folder.name}-alignments") / f"{name}_{contrast}.npy"
    if not path.exists():
        affine = mirroring.align(img, brain)
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic(path) as partial, partial.open("wb") as stream:
            np.save(stream, np.zeros((0, 0)) if affine is None else affine)
    stored = np.load(path)
    return stored if stored.size else None
