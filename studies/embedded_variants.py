"""Compare variants of the training of the embedded model.

    python studies/embedded_variants.py train NAME [NAME …] --steps 300 [--work DIR] [--start CARD]
    python studies/embedded_variants.py compare FIRST NAME [NAME …] [--work DIR]

``train`` trains each variant for a number of steps on the same stream of samples, from the same model
(``fresh`` from random weights), and prints the minutes; a variant whose steps take longer gets fewer,
so that its time is that of the others. The same call continues. ``compare`` shows each variant the same
simulated patients on the heads and lesion shapes held out for validation (``embedded_cohort.yaml``), at
the spacing of its recipe, and prints Dice with paired differences from the first variant. Intervals are
those of ``embedded_model.py``.
"""

import argparse
import tempfile
from pathlib import Path

import embedded_cohort
import held_out
import numpy as np
import pandas as pd
import torch
from common import DATA
from embedded_model import SIZES, interval, show
from safetensors.torch import load_file

from bids_stroke.compute import devices
from bids_stroke.evaluation import metrics
from bids_stroke.lesion.postprocessing import threshold
from bids_stroke.models import catalog, weights
from bids_stroke.settings import DEFAULT_MODEL
from bids_stroke.training.engine import loop, samples
from bids_stroke.training.recipes import merge, parse_simulation, read_content

FINE = {"spacing": 1.25, "tile": [128, 160, 128]}
#: Changes of the recipe by the name of the variant.
VARIANTS = {
    "mirror": {},
    "image": {"mirror": None, "network": {"arguments": {"in_channels": 3}}},
    "fresh": {},
    "lesions": {"training": {"lesion_weights": {"power": 0.5}}},
    "T1w family": {"inputs": [{"contrasts": ["T1w"], "share": 0.65},
                              {"contrasts": ["T1w", "FLAIR"], "share": 0.35}]},
    "T2w family": {"inputs": [{"contrasts": ["T2w"], "share": 1}]},
    "FLAIR family": {"inputs": [{"contrasts": ["FLAIR"], "share": 1}]},
    "1.25 mm": FINE,
}  # fmt: skip
THRESHOLD, COMPONENT = 0.5, 100.0
EACH = 8  # lesions of each size and stage
WITHOUT = 24


def recipe_of(name):
    """Recipe of a variant."""
    content = merge(read_content("embedded"), VARIANTS[name])
    return parse_simulation(content, name)


def train(name, work, steps, start):
    """Train a variant for some steps."""
    initial = None if name == "fresh" else catalog.load(start)
    out = work / name.replace(" ", "-")
    done = loop.train_on_simulations(recipe_of(name), out, DATA, steps=steps, initial=initial)
    print(f"{name}: {done.steps} steps, {done.minutes} minutes", flush=True)


def plan():
    """Seeds and lesions of the patients."""
    rng = np.random.default_rng(5)
    stages = ("chronic", "subacute")
    lesions = [
        [(float(np.exp(rng.uniform(*np.log(span)))), stage)]
        for span in embedded_cohort.SETTINGS["sizes"].values()
        for stage in stages
        for _ in range(EACH)
    ]
    return list(enumerate([*lesions, *([[]] * WITHOUT)]))


def score(name, work):
    """Scores of a variant on every patient and input; kept in the folder of the variant."""
    recipe = recipe_of(name)
    folder = work / name.replace(" ", "-")
    kept = folder / "scores.pkl"
    if kept.exists() and kept.stat().st_mtime > (folder / "weights.safetensors").stat().st_mtime:
        return pd.read_pickle(kept)
    network = weights.build(recipe.network)
    network.load_state_dict(load_file(folder / "weights.safetensors"))
    network = devices.place_network(network.eval(), "cpu")
    settings = embedded_cohort.SETTINGS["synthesis"]
    simulator = held_out.simulator("validation", work, recipe.spacing, settings)
    rows = []
    for seed, lesions in plan():
        for entry in recipe.inputs:
            sample = simulator.sample(
                [6, seed], entry.contrasts, seed % len(simulator.subjects), lesions
            )
            shown = samples.tensors(sample, recipe, np.random.default_rng([7, seed]))
            with torch.inference_mode(), devices.fast_arithmetic("cpu"):
                logits = network(shown.image[None].float()).float()
            probability = (logits.sigmoid()[0, 0] * shown.mask[0]).numpy()
            found = threshold(probability, THRESHOLD, COMPONENT, recipe.spacing**3) > 0
            truth = sample.label.numpy()
            volume = recipe.spacing**3 / 1000
            rows.append({
                "seed": seed, "input": "+".join(entry.contrasts), "head": sample.head,
                "stage": "+".join(sample.stages) or "none", "dice": metrics.dice(found, truth),
                "true_ml": truth.sum() * volume, "found_ml": found.sum() * volume,
            })  # fmt: skip
    table = pd.DataFrame(rows)
    table.to_pickle(kept)
    return table


def comparison(tables):
    """Dice by input and size of each variant, with the difference from the first."""
    first = next(iter(tables.values())).set_index(["seed", "input"])
    lines = []
    for contrasts, group in first[first.true_ml > 0].groupby("input", sort=False):
        for size in ("1-10 ml", "> 10 ml"):
            low, high = SIZES[size]
            inside = group[(group.true_ml > low) & (group.true_ml <= high)].index
            line = {"input": contrasts, "size": size, "n": len(inside)}
            for name, table in tables.items():
                rows = table.set_index(["seed", "input"])
                if not inside.isin(rows.index).all():
                    continue
                part = rows.loc[inside]
                line[name] = f"{part.dice.mean():.2f}"
                if table is not next(iter(tables.values())):
                    line[f"{name} minus first"] = interval(
                        part.dice - first.loc[inside].dice, part["head"]
                    )
            lines.append(line)
        line = {"input": contrasts, "size": "no lesion, mean ml"}
        for name, table in tables.items():
            healthy = table[(table.true_ml == 0) & (table.input == contrasts)]
            line |= {"n": len(healthy), name: f"{healthy.found_ml.mean():.2f}"}
        lines.append(line)
    return pd.DataFrame(lines)


def main():
    """Command line."""
    command = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    command.add_argument("what", choices=("train", "compare"))
    command.add_argument("names", nargs="+", choices=VARIANTS, metavar="NAME", help=", ".join(VARIANTS))
    command.add_argument("--steps", type=int, default=300)
    command.add_argument("--start", default=DEFAULT_MODEL, metavar="CARD")
    command.add_argument("--work", type=Path, default=Path(tempfile.gettempdir()) / "embedded_variants")
    arguments = command.parse_args()
    if arguments.what == "train":
        for name in arguments.names:
            train(name, arguments.work, arguments.steps, arguments.start)
        return
    torch.set_num_threads(1)
    tables = {name: score(name, arguments.work) for name in arguments.names}
    show("Variants", comparison(tables))


if __name__ == "__main__":
    main()
