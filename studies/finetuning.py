"""Fine-tune the embedded model on corrected masks of simulated patients from another site.

    python studies/finetuning.py [--numbers 5 10 20] [--steps N] [--frozen N] [--work DIR]

The site has subacute lesions on T1w with thick slices, much noise and a low contrast of gray and white
matter (``SITE``). Its patients are simulated with the heads and lesion shapes that the embedded recipe
holds out for validation; the true masks stand for corrected masks. For each number of patients,
``bids_stroke-train finetune`` trains a model. Its own test participants share heads with those for
training, and only decide whether the new model is written; otherwise, the embedded model is scored. The
models are scored on 24 other patients of the site (held-out heads of the test part), and on N
participants of the evaluation cohort of the embedded model (``embedded_cohort.yaml``), where forgetting
would show. Intervals are computed as in ``embedded_model.py``. Data are read from
``$BIDS_STROKE_SHARED/data``.
"""

import argparse
import tempfile
from pathlib import Path

import embedded_cohort
import embedded_scores
import held_out
import numpy as np
import pandas as pd
import yaml
from common import run
from embedded_model import interval, show

from bids_stroke.models.catalog import load
from bids_stroke.settings import DEFAULT_MODEL
from bids_stroke.spatial import grid, image
from bids_stroke.training.finetuned_card import SUMMARY
from bids_stroke.training.recipes import read_content
from bids_stroke.training.simulation import dataset
from bids_stroke.utils.files import atomic

SPACING = 1.5
VOLUMES_ML = (2, 60)  # of the lesions, log-uniform
PARTS = {"validation": 20, "test": 24}  # patients of the site by part of the recipe's files
SEED = 4100
SITE = {
    "arbitrary": 0,
    "lost_cavity": 0,
    "cut": 0,
    "misjudged": 0,
    "looks": {"T1w": {"fluid": [0.45, 0.6], "gray": [0.82, 0.92]}},
    "scanner": {
        "noise": 1,
        "noise_level": {"T1w": [0.02, 0.04]},
        "thick_slices": 1,
        "slice_mm": [4, 6],
        "blur": 0.5,
        "motion": 0.04,
        "zipper": 0.02,
    },
}


def write_site(part, work):
    """Write the patients of the site with the heads of a part, and return their folder."""
    out = work / f"site-{part}"
    if out.exists():
        return out
    simulator = held_out.simulator(part, work, SPACING, SITE)
    seed = SEED + list(PARTS).index(part)
    rng = np.random.default_rng(seed)
    volumes = np.exp(rng.uniform(*np.log(VOLUMES_ML), PARTS[part]))
    heads = np.arange(PARTS[part]) % len(simulator.subjects)
    plan = [(head, [(float(ml), "subacute")]) for head, ml in zip(heads, volumes, strict=True)]
    with atomic(out) as folder:
        folder.mkdir(parents=True)
        for name, ml in dataset.write(folder, simulator, plan, seed, ("T1w",)):
            print(f"{part} {name}: {ml:.1f} ml", flush=True)
    return out


def finetune(site, number, steps, work):
    """Fine-tune on the first patients of the site; return the card, or None if it was not better."""
    masks, out = work / f"masks-{number}", work / f"finetuned-{number}"
    if not masks.exists():
        with atomic(masks) as folder:
            for name in sorted(entry.name for entry in site.glob("sub-*"))[:number]:
                (folder / name).mkdir(parents=True)
                (folder / name / "anat").symlink_to(site / "derivatives" / "truth" / name / "anat")
    content = read_content("finetune")
    content["finetuning"]["steps"] = steps or content["finetuning"]["steps"]
    recipe = work / "finetune.yaml"
    recipe.write_text(yaml.safe_dump(content))
    run("bids_stroke.cli.train", recipe, site, out, "--labels", masks, "--nprocs", 2)
    print((out / SUMMARY).read_text(), flush=True)
    card = out / f"{content['initial']}-finetuned.yaml"
    return card if card.exists() else None


def score(model, folder, names):
    """Return the scores of a model on the T1w of participants."""
    card, rows = load(str(model)), []
    people = embedded_cohort.participants(folder)
    for name in names:
        anat = folder / "derivatives" / "truth" / name / "anat"
        t1w = image.load(folder / name / "anat" / f"{name}_T1w.nii.gz")
        brain = image.load(anat / f"{name}_space-T1w_desc-brain_mask.nii.gz")
        lesion = image.load(anat / f"{name}_space-T1w_label-L_desc-truth_mask.nii.gz")
        volume = grid.voxel_volume(brain)
        probability = embedded_scores.segmentation(card, folder, name, {"T1w": t1w}, brain)
        mask = embedded_scores.lesion_mask(probability, card, volume)
        truth = np.asarray(lesion.dataobj) > 0
        row = embedded_scores.scores(mask, truth, volume / 1000)
        rows.append({"name": name, "head": people.loc[name, "head"], **row})
    return pd.DataFrame(rows).set_index("name")


def line(cohort, model, before, after):
    """Return a row of the table: Dice before and after, and the paired difference."""
    lesions = before.true_ml > 1
    dice, heads = after.dice[lesions], after["head"][lesions]
    row = {"cohort": cohort, "corrected": model, "n": int(lesions.sum()), "Dice": f"{dice.mean():.3f}"}
    row["difference"] = interval(dice - before.dice[lesions], heads)
    healthy = after[after.true_ml == 0].predicted_ml
    row["false positives (ml)"] = f"{healthy.mean():.2f}" if len(healthy) else ""
    return row


def main():
    """Command line."""
    command = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    command.add_argument("--numbers", type=int, nargs="+", default=[5, 10, 20])
    command.add_argument("--steps", type=int, help="steps of each fine-tuning (default: the recipe's)")
    command.add_argument("--frozen", type=int, default=81, metavar="N")
    command.add_argument("--work", type=Path, default=Path(tempfile.gettempdir()) / "finetuning")
    arguments = command.parse_args()
    work = arguments.work
    site, test = (write_site(part, work) for part in PARTS)
    frozen = embedded_cohort.write("test", work)
    names = sorted(entry.name for entry in frozen.glob("sub-*"))
    chosen = [names[i] for i in np.linspace(0, len(names) - 1, arguments.frozen).round().astype(int)]
    cohorts = {
        "site": (test, sorted(entry.name for entry in test.glob("sub-*"))),
        "evaluation cohort": (frozen, chosen),
    }
    before = {name: score(DEFAULT_MODEL, *cohort) for name, cohort in cohorts.items()}
    rows = [line(name, 0, table, table) for name, table in before.items()]
    for number in arguments.numbers:
        card = finetune(site, number, arguments.steps, work) or DEFAULT_MODEL
        for name, cohort in cohorts.items():
            rows.append(line(name, number, before[name], score(card, *cohort)))
    show("Fine-tuning on patients of another site", pd.DataFrame(rows))


if __name__ == "__main__":
    main()
