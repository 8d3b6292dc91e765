"""Write tables in the format of published papers for the embedded model to docs/results.md.

    python studies/results.py [--model simstroke] [--work DIR] [--jobs 2]

The cohort is the test part of ``studies/embedded_model.py``. The masks of the model for each of its
inputs, and of the naive rule on the T1w, are written to ``--work`` with BIDS names.
``bids_stroke-evaluate`` compares them with the true masks and writes the tables.
"""

import argparse
import tempfile
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import embedded_cohort
import embedded_model
import embedded_scores
import numpy as np
import pandas as pd
from common import evaluate, heads, write_section
from paper_tables import sections

from bids_stroke.evaluation import published_tables
from bids_stroke.models import catalog
from bids_stroke.settings import DEFAULT_MODEL
from bids_stroke.spatial import grid, image

HEADER = """\
## The embedded model

Scores of `{model}` on {patients} simulated patients with {heads} held-out heads ([models.md](models.md)
describes the simulation and the training data). `naive` marks the largest component of the dark voxels
of the T1w. Heads are the units of intervals and tests. The tables are made by
`python studies/results.py`, which writes all scores by size and all comparisons to its work folder.
"""
#: Tables of scores; those that compare regimes or parts of a training do not apply.
TABLES = ("S2_table2", "S2_table4", "S4_table2")


def predict(name, folder, model, out):
    """Write the masks of one participant unless they exist."""
    card = catalog.load(model)
    last = out / "naive" / name / "anat" / f"{name}_space-T1w_label-L_mask.nii.gz"
    if last.exists():
        return
    images, brain, _ = embedded_cohort.load_case(folder, name)
    case = folder, name, images, brain
    volume = grid.voxel_volume(brain)
    stem = f"{name}/anat/{name}_space-T1w_label-L"
    for contrasts, probability in embedded_scores.segmentations(card, *case):
        mask = embedded_scores.lesion_mask(probability, card, volume)
        model_folder = out / f"{card.name} ({contrasts})"
        image.save(image.like(mask, brain, np.uint8), model_folder / f"{stem}_mask.nii.gz")
        image.save(image.like(probability, brain), model_folder / f"{stem}_probseg.nii.gz")
    mask = embedded_model.naive(images["T1w"], "T1w", brain)
    image.save(image.like(mask, brain, np.uint8), last)


def main():
    """Command line."""
    command = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    command.add_argument("--model", default=DEFAULT_MODEL)
    command.add_argument("--work", type=Path, default=Path(tempfile.gettempdir()) / "embedded_model")
    command.add_argument("--jobs", type=int, default=2)
    arguments = command.parse_args()
    folder = embedded_cohort.write("test", arguments.work)
    weights = catalog.load(arguments.model).weights.sha256
    predictions = arguments.work / f"predictions-{weights[:12]}"
    names = sorted(path.name for path in folder.glob("sub-*"))
    task = partial(predict, folder=folder, model=arguments.model, out=predictions)
    start = embedded_scores.single_threaded
    with ProcessPoolExecutor(arguments.jobs, get_context("spawn"), start) as pool:
        list(pool.map(task, names))
    results = arguments.work / "results"
    models = {path.name: path for path in sorted(predictions.iterdir())}
    evaluate(models, folder, results, arguments.jobs)
    rows = pd.read_csv(results / "evaluation.tsv", sep="\t")
    tables = {name: getattr(published_tables, name.lower())(rows) for name in TABLES}
    text = HEADER.format(model=arguments.model, patients=len(names), heads=heads(folder))
    write_section("results", f"{text}\n{sections(tables)}")


if __name__ == "__main__":
    main()
