"""Simulate the fixed cohorts of patients for training and testing the systems of the papers.

    python studies/cohorts.py [--work DIR] [--cohorts source target test]

The script writes three BIDS datasets to ``--work`` unless they exist, with T1w and FLAIR at 2 mm and
true masks of brain and lesion in ``derivatives/truth``, and prints the checksum of each. ``source`` has
chronic lesions (like ATLAS v2.0). In ``target`` (like patients of a hospital) and ``test``, half of the
lesions are subacute. All lesions are visible on the T1w: patients whose lesion is not darker than its
surroundings are simulated again. Heads and lesion shapes of the cohorts are disjoint: they are the
training, validation and test parts of the recipe ``embedded``. Data are read from
``$BIDS_STROKE_SHARED/data``.

:func:`write_prediction` gives predicted masks the names by which ``bids_stroke-evaluate`` finds the
true masks and, for the loads, the transform to the template.
"""

import argparse
import os
import tempfile
from itertools import count
from pathlib import Path

import held_out
import numpy as np
from common import heads
from embedded_scores import lesion_mask
from scipy import ndimage

from bids_stroke.spatial import grid, image, normalization
from bids_stroke.spatial.templates import TEMPLATE
from bids_stroke.training.simulation import dataset
from bids_stroke.utils.files import atomic

CONTRASTS = ("T1w", "FLAIR")
SPACING = 2.0
VOLUMES_ML = (2, 200)  # of the lesions, log-uniform
VISIBLE = 0.15  # smallest contrast of a lesion on the T1w, relative to the white matter
SURROUNDINGS_MM = 6
#: Part of the recipe's files, participants, seed, and the share of subacute lesions.
COHORTS = {
    "source": ("training", 84, 901, 0.0),
    "target": ("validation", 36, 902, 0.5),
    "test": ("test", 60, 903, 0.5),
}
#: Changes of the recipe: small cohorts exclude samples that are harder than scans of patients. All
#: other probabilities are repeated here, so that changes of the recipe do not affect the cohorts.
CHANCES = {
    "arbitrary": 0,
    "cut": 0,
    "lost_cavity": 0,
    "misjudged": 0,
    "scanner": {"noise": 0.5, "thick_slices": 0.1, "blur": 0.25, "motion": 0.04, "zipper": 0.02},
}


def contrast(sample):
    """Return the T1w contrast of a lesion: its surroundings minus the lesion, white matter 1."""
    t1w, label = (part.numpy() for part in (sample.images["T1w"], sample.label > 0))
    near = ndimage.binary_dilation(label, iterations=round(SURROUNDINGS_MM / SPACING))
    surroundings = near & ~label & sample.brain.numpy().astype(bool)
    return float(t1w[surroundings].mean() - t1w[label].mean())


class VisibleLesions:
    """Simulator that repeats each sample until its lesion is visible on the T1w."""

    def __init__(self, simulator):
        self.simulator = simulator

    def sample(self, seed, *arguments):
        """Simulate a head; attempts differ in the last number of the seed."""
        for attempt in count():
            sample = self.simulator.sample([*seed, attempt], *arguments)
            if contrast(sample) >= VISIBLE:
                return sample


def write(name, work):
    """Write a cohort unless it exists, and return its folder."""
    out = Path(work) / name
    if out.exists():
        return out
    part, number, seed, subacute = COHORTS[name]
    simulator = held_out.simulator(part, Path(work), SPACING, CHANCES)
    rng = np.random.default_rng(seed)
    volumes = np.exp(rng.uniform(*np.log(VOLUMES_ML), number))
    stages = np.where(np.arange(number) < subacute * number, "subacute", "chronic")
    heads = [n % len(simulator.subjects) for n in range(number)]
    plan = [
        (head, [(float(ml), str(stage))])
        for head, ml, stage in zip(heads, volumes, rng.permutation(stages), strict=True)
    ]
    with atomic(out) as folder:
        folder.mkdir(parents=True)
        for participant, ml in dataset.write(folder, VisibleLesions(simulator), plan, seed, CONTRASTS):
            print(f"{name} {participant}: {ml:.1f} ml", flush=True)
    return out


def truth(folder):
    """Return the folder of the true masks of a cohort."""
    return folder / "derivatives" / "truth"


def participants(folder):
    """Return the names of the participants of a cohort."""
    return sorted(path.name for path in folder.glob("sub-*"))


def load(folder, name):
    """Load the images of a participant by contrast, and the masks of brain and lesion."""
    raw, true = folder / name / "anat", truth(folder) / name / "anat"
    images = {c: image.conform(image.load(raw / f"{name}_{c}.nii.gz")) for c in CONTRASTS}
    brain = image.load(true / f"{name}_space-T1w_desc-brain_mask.nii.gz")
    return images, brain, image.load(true / f"{name}_space-T1w_label-L_desc-truth_mask.nii.gz")


def to_template(folder, name):
    """Return the path of the transform of a T1w to the template, computed once with the true lesion."""
    out = folder.parent / f"{folder.name}-to-template" / name
    if not (out / "to-template.h5").is_file():
        images, brain, lesion = load(folder, name)
        normalization.normalize(images["T1w"], brain, lesion, out, method="masked")
    return out / "to-template.h5"


def write_prediction(probability, model, folder, name, out):
    """Write the mask and the probability of a participant, and link the transform to the template."""
    anat = Path(out) / name / "anat"
    lesion = lesion_mask(probability.get_fdata(), model, grid.voxel_volume(probability))
    mask = image.like(lesion, probability, np.uint8)
    image.save(mask, anat / f"{name}_space-T1w_label-L_mask.nii.gz")
    image.save(probability, anat / f"{name}_space-T1w_label-L_probseg.nii.gz")
    link = anat / f"{name}_from-T1w_to-{TEMPLATE}_mode-image_xfm.h5"
    if not link.exists():
        os.link(to_template(folder, name), link)


def system_parser(description, systems, work):
    """Return the argument parser of a script that trains systems on the cohorts."""
    command = argparse.ArgumentParser(description=description)
    folder = Path(tempfile.gettempdir())
    command.add_argument("--work", type=Path, default=folder / work)
    command.add_argument("--cohorts", type=Path, default=folder / "cohorts")
    command.add_argument("--systems", nargs="+", choices=tuple(systems), default=tuple(systems))
    command.add_argument("--device", default="auto")
    return command


def write_all(work):
    """Write all cohorts.

    Returns the folder of each cohort, and the numbers of participants and of the heads of ``test``.
    """
    folders = {name: write(name, work) for name in COHORTS}
    counts = {name: len(participants(folder)) for name, folder in folders.items()}
    return folders, counts | {"heads": heads(folders["test"])}


def main():
    """Command line."""
    command = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    command.add_argument("--work", type=Path, default=Path(tempfile.gettempdir()) / "cohorts")
    command.add_argument("--cohorts", nargs="+", choices=tuple(COHORTS), default=tuple(COHORTS))
    arguments = command.parse_args()
    for name in arguments.cohorts:
        folder = write(name, arguments.work)
        print(f"{name}: {len(participants(folder))} patients, SHA-256 {held_out.checksum(folder)}")


if __name__ == "__main__":
    main()
