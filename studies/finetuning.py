"""Fine-tune the embedded model on corrected masks of simulated patients from another site.

    python studies/finetuning.py [--numbers 5 10 20] [--steps N] [--frozen N] [--work DIR]

The site has scans with thick slices, much noise and a low contrast of gray and white matter, and
subacute lesions that are less bright on the FLAIR than those of the training (``SITE``). Its 20
patients have different heads, drawn from the training part of the embedded recipe; the true masks stand
for corrected masks. For each number of patients, ``bids_stroke-train finetune`` trains a model. If it
writes none, the embedded model is scored. The models are scored on 24 other patients of the site (heads
and lesion shapes of the test part, which no training has seen), and on N participants of the evaluation
cohort of the embedded model (``embedded_cohort.yaml``), where forgetting would show. Intervals are
computed as in ``embedded_model.py``. The table is written to docs/results.md. Data are read from
``$BIDS_STROKE_SHARED/data``.
"""

import argparse
import json
import tempfile
from pathlib import Path

import embedded_cohort
import embedded_scores
import held_out
import numpy as np
import pandas as pd
import yaml
from common import markdown, run, write_section
from embedded_model import interval

from bids_stroke.models.catalog import load
from bids_stroke.settings import DEFAULT_MODEL
from bids_stroke.spatial import grid
from bids_stroke.training.finetuned_card import SUMMARY
from bids_stroke.training.recipes import read_content
from bids_stroke.training.simulation import dataset
from bids_stroke.utils.files import atomic

SPACING = 1.5
VOLUMES_ML = (2, 60)  # of the lesions, log-uniform
CONTRASTS = ("T1w", "FLAIR")
INPUTS = (("T1w", "FLAIR"), ("FLAIR",))
PARTS = {"training": 20, "test": 24}  # patients of the site by part of the heads
SEED = 4100
SITE = {
    "arbitrary": 0,
    "lost_cavity": 0,
    "cut": 0,
    "misjudged": 0,
    "looks": {
        "T1w": {"fluid": [0.45, 0.6], "gray": [0.82, 0.92]},
        "FLAIR": {"fluid": [0.5, 0.7], "gray": [0.95, 1.05], "gliosis": [1.3, 1.6]},
    },
    "scanner": {
        "noise": 1,
        "noise_level": {"T1w": [0.02, 0.04], "FLAIR": [0.02, 0.04]},
        "thick_slices": 1,
        "slice_mm": [4, 6],
        "blur": 0.5,
        "motion": 0.04,
        "zipper": 0.02,
    },
}

TEXT = """## Fine-tuning on corrected masks

The embedded model is fine-tuned by `bids_stroke-train finetune` on the masks of simulated patients of
another site; `corrected` is the number of patients. Their scans have thick slices, much noise and a low
contrast of gray and white matter. The lesions are subacute and less bright on the FLAIR than in the
training of the model. Each training has its own validation and test participants, and writes the new
model only if the Dice of its test participants is higher:

{trainings}

Scores on {test} other patients of the site, and on {frozen} patients of the evaluation cohort of the
embedded model ([models.md](models.md)), where forgetting would show. If no new model was written, the
initial model is scored. The Dice is that of lesions over 1 ml; `difference` is the paired difference to
the initial model with its 95% interval over heads; false positives are those in heads without a lesion.
The section is written by `python studies/finetuning.py`.

{scores}"""


def write_site(part, work):
    """Write the patients of the site with the heads of a part, and return their folder."""
    out = work / f"site-{part}"
    if out.exists():
        return out
    simulator = held_out.simulator(part, work, SPACING, SITE)
    seed = SEED + list(PARTS).index(part)
    rng = np.random.default_rng(seed)
    volumes = np.exp(rng.uniform(*np.log(VOLUMES_ML), PARTS[part]))
    heads = np.resize(rng.permutation(len(simulator.subjects)), PARTS[part])
    plan = [(head, [(float(ml), "subacute")]) for head, ml in zip(heads, volumes, strict=True)]
    with atomic(out) as folder:
        folder.mkdir(parents=True)
        for name, ml in dataset.write(folder, simulator, plan, seed, CONTRASTS):
            print(f"{part} {name}: {ml:.1f} ml", flush=True)
    return out


def finetune(site, number, steps, work):
    """Fine-tune on the first patients of the site; return the summary."""
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
    return json.loads((out / SUMMARY).read_text())


def score(model, folder, names):
    """Return the scores of a model on participants, for each of the inputs."""
    card, rows = load(str(model)), []
    people = embedded_cohort.participants(folder)
    for name in names:
        images, brain, truth = embedded_cohort.load_case(folder, name, CONTRASTS)
        volume = grid.voxel_volume(brain)
        for contrasts in INPUTS:
            selected = {contrast: images[contrast] for contrast in contrasts}
            probability = embedded_scores.segmentation(card, folder, name, selected, brain)
            mask = embedded_scores.lesion_mask(probability, card, volume)
            row = embedded_scores.scores(mask, truth, volume / 1000)
            row |= {"name": name, "input": "+".join(contrasts), "head": people.loc[name, "head"]}
            rows.append(row)
    return pd.DataFrame(rows).set_index(["input", "name"])


def lines(cohort, number, before, after):
    """Yield a row of the table for each input: Dice before and after, and the paired difference."""
    for contrasts in before.index.unique("input"):
        first, second = before.loc[contrasts], after.loc[contrasts]
        lesions = first.true_ml > 1
        dice, heads = second.dice[lesions], second["head"][lesions]
        healthy = second[second.true_ml == 0].predicted_ml
        yield {
            "cohort": cohort,
            "input": contrasts,
            "corrected": number,
            "n": int(lesions.sum()),
            "Dice": f"{dice.mean():.3f}",
            "difference": interval(dice - first.dice[lesions], heads) if number else "",
            "false positives (ml)": f"{healthy.mean():.2f}" if len(healthy) else "",
        }


def describe(number, summary):
    """Return a row on a fine-tuning and its own held-out participants."""
    parts = {"validation": "validation participants", "test": "test participants"}
    dice = {
        f"Dice of {name}": f"{summary[f'dice_{part}_before']:.3f} → {summary[f'dice_{part}_after']:.3f}"
        for part, name in parts.items()
    }
    return {
        "corrected": number,
        "best step": summary["steps"],
        "minutes": summary["minutes"],
        **dice,
        "written": "yes" if summary["card"] else "no",
    }


def section(runs, rows, frozen):
    """Return the section of the page: a table of the trainings, and one of the scores."""
    trainings, scores = (markdown(pd.DataFrame(table)) for table in (runs, rows))
    return TEXT.format(test=PARTS["test"], frozen=frozen, trainings=trainings, scores=scores)


def main():
    """Command line."""
    command = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    command.add_argument("--numbers", type=int, nargs="+", default=[5, 10, 20])
    command.add_argument("--steps", type=int, help="steps of each fine-tuning (default: the recipe's)")
    command.add_argument("--frozen", type=int, default=44, metavar="N")
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
    rows = [row for name, table in before.items() for row in lines(name, 0, table, table)]
    runs = []
    for number in arguments.numbers:
        summary = finetune(site, number, arguments.steps, work)
        runs.append(describe(number, summary))
        print(runs[-1], flush=True)
        card = summary["card"] or DEFAULT_MODEL
        for name, cohort in cohorts.items():
            rows += lines(name, number, before[name], score(card, *cohort))
    rows.sort(key=lambda row: (row["cohort"] != "site", row["input"]))
    write_section("finetuning", section(runs, rows, arguments.frozen))


if __name__ == "__main__":
    main()
