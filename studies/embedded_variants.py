"""Compare variants of the training of the embedded model.

    python studies/embedded_variants.py train NAME [NAME …] --steps 300 [--work DIR] [--start CARD]
    python studies/embedded_variants.py compare FIRST NAME [NAME …] [--work DIR]

``train`` trains each variant for a number of steps on the same stream of samples, from the same model
(``fresh`` from random weights), and prints the minutes. For a comparison at equal time, give fewer
steps for variants with slower steps. A repeated call continues training. ``compare`` evaluates the
named variants on the same simulated patients, with the heads and lesion shapes held out for validation
(``embedded_cohort.yaml``) at the spacing of each recipe; ``start`` is the model before the training. It
prints Dice and detection, paired differences of the Dice from the first variant, and volumes in heads
without a lesion. ``T1w family``, ``T2w family`` and ``FLAIR family`` are networks for some of the
inputs; together, they are scored as ``families``. Intervals are computed as in ``embedded_model.py``.
"""

import argparse
import tempfile
from concurrent.futures import ProcessPoolExecutor
from functools import lru_cache, partial
from multiprocessing import get_context
from pathlib import Path

import embedded_cohort
import embedded_scores
import held_out
import numpy as np
import pandas as pd
import torch
from common import DATA, share
from embedded_model import SIZES, healthy_table, interval, show, with_means
from safetensors.torch import load_file
from torch.nn import functional

from bids_stroke.compute import devices
from bids_stroke.lesion.postprocessing import threshold
from bids_stroke.models import catalog, weights
from bids_stroke.settings import DEFAULT_MODEL
from bids_stroke.training.engine import loop, samples
from bids_stroke.training.recipes import merge, parse_simulation, read_content

FINE = {"spacing": 1.25, "tile": [128, 160, 128]}
START = "start"
#: Changes of the recipe, by the name of the variant.
VARIANTS = {
    START: {},
    "mirror": {},
    "image": {"mirror": None, "network": {"arguments": {"in_channels": 3}}},
    "fresh": {},
    "lesions": {"training": {"lesion_weights": {"power": 0.5}}},
    "T1w family": {
        "inputs": [
            {"contrasts": ["T1w"], "share": 0.65},
            {"contrasts": ["T1w", "FLAIR"], "share": 0.35},
        ]
    },
    "T2w family": {"inputs": [{"contrasts": ["T2w"], "share": 1}]},
    "FLAIR family": {"inputs": [{"contrasts": ["FLAIR"], "share": 1}]},
    "1.25 mm": FINE,
}
FAMILIES = ("T1w family", "T2w family", "FLAIR family")
DIVISOR = 16  # of the sizes that the network accepts: twice the product of its strides
THRESHOLD, COMPONENT = 0.5, 100.0
EACH = 8  # lesions of each size and stage
WITHOUT = 24  # heads without a lesion


def recipe_of(name):
    """Return the recipe of a variant."""
    content = merge(read_content("embedded"), VARIANTS[name])
    return parse_simulation(content, name)


def folder_of(name, work):
    """Return the folder of a variant."""
    return work / name.replace(" ", "-")


def train(name, work, steps, start):
    """Train a variant for a number of steps."""
    initial = None if name == "fresh" else catalog.load(start)
    out = folder_of(name, work)
    share(out, work, "cache")  # prepared heads, the same for all variants
    summary = loop.train_on_simulations(recipe_of(name), out, DATA, steps=steps, initial=initial)
    print(f"{name}: {summary.steps} steps, {summary.minutes} minutes", flush=True)


def plan():
    """Return the seed and the lesions of each patient."""
    rng = np.random.default_rng(5)
    stages = ("chronic", "subacute")
    lesions = [
        [(float(np.exp(rng.uniform(*np.log(span)))), stage)]
        for span in embedded_cohort.SETTINGS["sizes"].values()
        for stage in stages
        for _ in range(EACH)
    ]
    return list(enumerate([*lesions, *([[]] * WITHOUT)]))


@lru_cache
def simulator_of(work, spacing):
    """Return the simulator of the heads and lesions held out for validation."""
    return held_out.simulator("validation", work, spacing, embedded_cohort.SETTINGS["synthesis"])


@lru_cache
def network_of(name, work, start):
    """Return the trained network of a variant."""
    recipe = recipe_of(name)
    network = weights.build(recipe.network)
    if name == START:
        network.load_state_dict(loop.initial_weights(recipe, catalog.load(start)))
    else:
        network.load_state_dict(load_file(folder_of(name, work) / "weights.safetensors"))
    return devices.place_network(network.eval(), "cpu")


def score(patient, names, work, start):
    """Return the scores of variants on a patient, from each input of their recipes."""
    seed, lesions = patient
    rows, drawn = [], {}
    for name in names:
        recipe = recipe_of(name)
        for entry in recipe.inputs:
            key = recipe.spacing, *entry.contrasts
            if key not in drawn:
                simulator = simulator_of(work, recipe.spacing)
                head = seed % len(simulator.subjects)
                drawn[key] = simulator.sample([6, seed], entry.contrasts, head, lesions)
            sample = drawn[key]
            tensors = samples.tensors(sample, recipe, np.random.default_rng([7, seed]))
            network = network_of(name, work, start)
            x, y, z = tensors.mask.shape[1:]
            padding = [0, -z % DIVISOR, 0, -y % DIVISOR, 0, -x % DIVISOR]
            with torch.inference_mode(), devices.fast_arithmetic("cpu"):
                logits = network(functional.pad(tensors.image[None].float(), padding)).float()
            probability = (logits[0, 0, :x, :y, :z].sigmoid() * tensors.mask[0]).numpy()
            mask = threshold(probability, THRESHOLD, COMPONENT, recipe.spacing**3) > 0
            row = {"variant": name, "name": seed, "input": "+".join(entry.contrasts)}
            row |= {"head": sample.head, "stage": "+".join(sample.stages) or "none"}
            row |= embedded_scores.scores(mask, sample.label.numpy(), recipe.spacing**3 / 1000)
            rows.append(row | {"error_ml": abs(row["predicted_ml"] - row["true_ml"])})
    return rows


def score_all(names, work, start, jobs):
    """Return the scores of each variant."""
    task = partial(score, names=names, work=work, start=start)
    # A process forked after the use of torch may hang.
    with ProcessPoolExecutor(jobs, get_context("spawn"), embedded_scores.single_threaded) as pool:
        rows = pd.DataFrame([row for part in pool.map(task, plan()) for row in part])
    rows = rows.replace({"variant": dict.fromkeys(FAMILIES, "families")})
    rows = rows.set_index(["name", "input"], drop=False).rename_axis([None, None])
    return dict(iter(rows.groupby("variant", sort=False)))


def comparison(tables):
    """Return the scores of each variant by input and size, with differences from the first."""
    tables = {name: with_means(rows) for name, rows in tables.items()}
    first = next(iter(tables.values()))
    lines = []
    for contrasts, group in first[first.true_ml > 0].groupby("input", sort=False):
        for size in ("1-10 ml", "> 10 ml"):
            low, high = SIZES[size]
            inside = group[(group.true_ml > low) & (group.true_ml <= high)].index
            for name, table in tables.items():
                part = table.loc[inside]
                line = {"input": contrasts, "size": size, "n": len(inside), "variant": name}
                line |= {"Dice": f"{part.dice.mean():.2f}", "detected": f"{part.detected.mean():.2f}"}
                if table is not first:
                    difference = part.dice - first.loc[inside].dice
                    line["difference from the first"] = interval(difference, part["head"])
                lines.append(line)
    return pd.DataFrame(lines).fillna("")


def main():
    """Command line."""
    command = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    command.add_argument("what", choices=("train", "compare"))
    command.add_argument("names", nargs="+", choices=VARIANTS, metavar="NAME", help=", ".join(VARIANTS))
    command.add_argument("--steps", type=int, default=300)
    command.add_argument("--start", default=DEFAULT_MODEL, metavar="CARD")
    command.add_argument("--jobs", type=int, default=2)
    command.add_argument("--work", type=Path, default=Path(tempfile.gettempdir()) / "embedded_variants")
    arguments = command.parse_args()
    if arguments.what == "train":
        task = partial(train, work=arguments.work, steps=arguments.steps, start=arguments.start)
        # The memory of a training is free after its process.
        with ProcessPoolExecutor(1, get_context("spawn"), max_tasks_per_child=1) as pool:
            list(pool.map(task, arguments.names))
        return
    tables = score_all(arguments.names, arguments.work, arguments.start, arguments.jobs)
    show("Variants", comparison(tables))
    show("Without a lesion", healthy_table(tables))


if __name__ == "__main__":
    main()
