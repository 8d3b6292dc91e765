"""Measure the embedded model on simulated patients that its training never saw.

    python studies/embedded_model.py [--model simstroke] [--part test] [--work DIR] [--jobs 2]

First a cohort is written to ``--work`` (once; it does not depend on the model): lesions of four
sizes and two stages on held-out heads, with held-out shapes, and the same heads without lesion,
at 1 mm, as T1w, FLAIR and T2w. Its checksum is printed. Then the model sees each of its inputs (T1w,
T1w with FLAIR, …), given the true brain mask, and so does a naive rule: the darkest (T1w) or the
brightest voxels (FLAIR, T2w) inside the eroded brain, opened, of which the largest component is
kept. Tables are printed in Markdown, and as the card's ``measured`` list with ``--card``.

``--part validation --sweep`` prints the mean Dice and the false positives for thresholds and
smallest components instead, by which a card's are chosen. ``--mirror`` averages with the mirrored
head. ``--app N`` runs the whole app, with its own brain mask and bias correction, on the T1w of N of
the heads that have a skull, and shows its scores beside those of the network alone. Data are read
from ``$BIDS_STROKE_SHARED/data``.
"""

import argparse
import json
import tempfile
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import held_out
import numpy as np
import pandas as pd
import yaml
from common import run, start_dataset
from nibabel.affines import voxel_sizes
from scipy import ndimage

from bids_stroke.evaluation import detection, metrics
from bids_stroke.lesion.postprocessing import threshold
from bids_stroke.models import catalog, inference
from bids_stroke.settings import DEFAULT_MODEL
from bids_stroke.spatial import grid, image
from bids_stroke.training.simulation import dataset, synthesis
from bids_stroke.utils.files import atomic

SIZES = {"< 1 ml": (0.1, 1), "1-10 ml": (1, 10), "10-50 ml": (10, 50), "> 50 ml": (50, 250)}
COHORT = Path(__file__).with_name("embedded_cohort.yaml")
SPACING = 1.0
PARTS = ("test", "validation")
THRESHOLDS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6)
COMPONENTS = (10, 50, 100, 200)  # mm³
WHOLE = "training_seg"  # heads of these names have a skull


def write_cohort(part, work):
    """Write the cohort of a part of the recipe's split, unless it is there; returns its folder."""
    out = work / f"cohort-{part}"
    if out.exists():
        return out
    settings = yaml.safe_load(COHORT.read_text())
    simulator = held_out.simulator(part, work, SPACING, settings["synthesis"])
    seed = settings["seed"] + list(settings["parts"]).index(part)
    numbers = settings["parts"][part]
    rng = np.random.default_rng(seed)
    heads = len(simulator.subjects)
    plan = []
    for low, high in settings["sizes"].values():
        for stage in simulator.ranges["stages"]:
            volumes = np.exp(rng.uniform(np.log(low), np.log(high), numbers["each"]))
            plan += [(len(plan) + i, [(float(v), stage)]) for i, v in enumerate(volumes)]
    plan = [(index % heads, lesions) for index, lesions in plan]
    plan += [(index % heads, []) for index in range(numbers["without_lesion"])]
    with atomic(out) as folder:
        folder.mkdir(parents=True)
        for name, ml in dataset.write(folder, simulator, plan, seed, synthesis.CONTRASTS):
            print(f"{name}: {ml:.2f} ml", flush=True)
    return out


def lesion_mask(probability, card, voxel_mm3):
    """Array of the lesion, by the threshold and the smallest component of a card."""
    return threshold(probability, card.threshold, card.min_component_mm3, voxel_mm3) > 0


def sphere(radius, spacing):
    """Structuring element of a radius in mm."""
    reach = np.maximum(np.round(radius / np.asarray(spacing)), 1).astype(int)
    grid = np.indices(2 * reach + 1) - reach[:, None, None, None]
    return ((grid / reach[:, None, None, None]) ** 2).sum(0) <= 1


def naive(img, contrast, brain):
    """Darkest or brightest voxels inside the brain, opened; the largest component."""
    mask, spacing = np.asarray(brain.dataobj) > 0, voxel_sizes(img.affine)
    data = img.get_fdata(dtype=np.float32)
    core = ndimage.binary_erosion(mask, sphere(4, spacing))
    if contrast == "T1w":
        unusual = data < 0.5 * np.percentile(data[mask], 85)
    else:
        middle = np.median(data[mask])
        spread = 1.4826 * np.median(np.abs(data[mask] - middle))
        unusual = data > middle + 2.5 * spread
    labels, count = ndimage.label(ndimage.binary_opening(unusual & core, sphere(2, spacing)))
    sizes = np.bincount(labels.ravel(), minlength=2)
    return labels == 1 + sizes[1:].argmax() if count else labels > 0


def scores(found, truth, unit):
    """Agreement of a mask with the truth; ``unit`` is the volume of a voxel in ml."""
    return {
        "dice": metrics.dice(found, truth),
        "f1": detection.isles(found, truth).f1,
        "volume_error_ml": metrics.volume_difference(found, truth, 1000 * unit),
        "found_ml": found.sum() * unit,
    }


def load_case(folder, name):
    """Images by contrast, brain mask and truth (array) of a participant."""
    raw, truth = folder / name / "anat", folder / "derivatives" / "truth" / name / "anat"
    images = {c: image.load(raw / f"{name}_{c}.nii.gz") for c in synthesis.CONTRASTS}
    brain = image.load(truth / f"{name}_space-T1w_desc-brain_mask.nii.gz")
    lesion = image.load(truth / f"{name}_space-T1w_label-L_desc-truth_mask.nii.gz")
    return images, brain, np.asarray(lesion.dataobj) > 0


def single_threaded():
    """Start of a worker process."""
    import torch

    torch.set_num_threads(1)


def segmentations(card, images, brain, mirror):
    """Probability of the model for each of its inputs."""
    for contrasts in card.inputs or [card.select(synthesis.CONTRASTS)]:
        chosen = {c: images[c] for c in contrasts}
        img = inference.predict(card, chosen, brain, brain, device="cpu", mirror=mirror)
        yield "+".join(contrasts), img.get_fdata(dtype=np.float32)


def measure(name, folder, model, mirror):
    """Rows of one participant: model and naive rule, for each input."""
    card = catalog.load(model)
    images, brain, truth = load_case(folder, name)
    volume = grid.voxel_volume(brain)
    masks = []
    for contrasts, probability in segmentations(card, images, brain, mirror):
        masks.append(("model", contrasts, lesion_mask(probability, card, volume)))
    masks += [("naive", contrast, naive(img, contrast, brain)) for contrast, img in images.items()]
    patient = {"name": name, "truth_ml": truth.sum() * volume / 1000}
    return [
        patient | {"method": method, "input": contrasts} | scores(mask, truth, volume / 1000)
        for method, contrasts, mask in masks
    ]


def sweep(name, folder, model, mirror):
    """Rows of one participant for each threshold and smallest component."""
    card = catalog.load(model)
    images, brain, truth = load_case(folder, name)
    volume = grid.voxel_volume(brain)
    rows = []
    for contrasts, probability in segmentations(card, images, brain, mirror):
        for value in THRESHOLDS:
            for smallest in COMPONENTS:
                found = threshold(probability, value, smallest, volume) > 0
                row = {"input": contrasts, "threshold": value, "min_component_mm3": smallest}
                row["truth_ml"] = truth.sum() * volume / 1000
                row["found_ml"] = found.sum() * volume / 1000
                rows.append(row | {"dice": metrics.dice(found, truth)})
    return rows


def over(function, folder, model, mirror, jobs):
    """Rows of all participants."""
    names = sorted(path.name for path in folder.glob("sub-*"))
    task = partial(function, folder=folder, model=model, mirror=mirror)
    # A forked child of a process that has used torch may hang.
    with ProcessPoolExecutor(jobs, get_context("spawn"), single_threaded) as pool:
        return pd.DataFrame([row for rows in pool.map(task, names) for row in rows])


def summarize(table, stages):
    """One row for each input, stage, size and method; and for heads without lesion."""
    table = table.assign(stage=table.name.map(stages))
    lesions = table[table.truth_ml > 0]
    groups = {name: lesions[lesions.truth_ml.between(*span)] for name, span in SIZES.items()}
    groups = {"> 1 ml": lesions[lesions.truth_ml > 1]} | groups
    rows = []
    for size, group in groups.items():
        for (stage, contrasts), part in group.groupby(["stage", "input"], sort=False):
            row = {"input": contrasts, "stage": stage, "size": size}
            row["n"] = part.name.nunique()
            for method, suffix in (("model", ""), ("naive", "_naive")):
                of = part[part.method == method]
                if len(of):
                    row[f"dice{suffix}"] = of.dice.mean()
                    row[f"f1{suffix}"] = of.f1.mean()
                    row[f"volume_error_ml{suffix}"] = of.volume_error_ml.abs().median()
            rows.append(row)
    healthy = table[(table.truth_ml == 0) & (table.method == "model")]
    empty = [
        {
            "input": contrasts,
            "n": len(part),
            "median_ml": part.found_ml.median(),
            "largest_ml": part.found_ml.max(),
        }
        for contrasts, part in healthy.groupby("input", sort=False)
    ]
    return pd.DataFrame(rows).round(2), pd.DataFrame(empty).round(2)


def through_the_app(folder, model, number, work, jobs):
    """Scores of the app and of the network alone, on the T1w of ``number`` heads with a skull."""
    people = pd.read_csv(folder / "participants.tsv", sep="\t")
    small = people.lesion_volume.between(0, 1, inclusive="neither")
    people = people[people["head"].str.startswith(WHOLE) & ~small]
    chosen = people.iloc[np.linspace(0, len(people) - 1, number).round().astype(int)]
    bids, out = work / f"app-{number}" / "bids", work / f"app-{number}" / "out"
    if not bids.exists():
        with atomic(bids) as made:
            start_dataset(made, "cohort")
            for name in chosen.participant_id:
                (made / name / "anat").mkdir(parents=True)
                for path in (folder / name / "anat").glob("*_T1w.*"):
                    (made / name / "anat" / path.name).symlink_to(path.absolute())
    run("bids_stroke", bids, out, "participant", "--model", model, "--nprocs", jobs)
    card, rows = catalog.load(model), []
    for name, stage in zip(chosen.participant_id, chosen.stage, strict=True):
        images, brain, truth = load_case(folder, name)
        volume = grid.voxel_volume(brain)
        alone = inference.predict(card, {"T1w": images["T1w"]}, brain, brain, device="cpu").get_fdata()
        (path,) = (out / name / "anat").glob("*_space-T1w_label-L_*_mask.nii.gz")
        masks = {
            "network": lesion_mask(alone, card, volume),
            "app": np.asarray(image.load(path).dataobj) > 0,
        }
        row = {"participant": name, "stage": stage, "truth_ml": truth.sum() * volume / 1000}
        for method, found in masks.items():
            its = scores(found, truth, volume / 1000)
            row |= {f"dice_{method}": its["dice"], f"found_ml_{method}": its["found_ml"]}
        rows.append(row)
    return pd.DataFrame(rows)


def main():
    """Command line."""
    command = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    command.add_argument("--model", default=DEFAULT_MODEL)
    command.add_argument("--part", choices=PARTS, default="test")
    command.add_argument("--sweep", action="store_true", help="thresholds instead of the table")
    command.add_argument("--mirror", action="store_true")
    command.add_argument("--app", type=int, metavar="N", help="the whole app on N heads, T1w alone")
    command.add_argument("--card", action="store_true", help="also as YAML for the card")
    command.add_argument("--jobs", type=int, default=2)
    command.add_argument("--work", type=Path, default=Path(tempfile.gettempdir()) / "embedded_model")
    arguments = command.parse_args()
    folder = write_cohort(arguments.part, arguments.work)
    print(f"cohort {arguments.part}: sha256 {held_out.checksum(folder)}\n", flush=True)
    if arguments.app:
        where = arguments.work, arguments.jobs
        rows = through_the_app(folder, arguments.model, arguments.app, *where)
        print(rows.round(2).to_markdown(index=False))
        return
    shared = (folder, arguments.model, arguments.mirror, arguments.jobs)
    if arguments.sweep:
        rows = over(sweep, *shared)
        keys = ["input", "threshold", "min_component_mm3"]
        mean = rows[rows.truth_ml > 0].groupby(keys, sort=False).dice.mean()
        false = rows[rows.truth_ml == 0].groupby(keys, sort=False).found_ml
        result = pd.concat([mean, false.median(), false.max()], axis=1).round(3)
        result.columns = ["dice", "false_positive_ml_median", "false_positive_ml_max"]
        print(result.reset_index().to_markdown(index=False))
        return
    stages = pd.read_csv(folder / "participants.tsv", sep="\t").set_index("participant_id").stage
    lesions, healthy = summarize(over(measure, *shared), stages)
    print(lesions.to_markdown(index=False))
    print("\nWithout lesion:\n")
    print(healthy.to_markdown(index=False))
    if arguments.card:
        rows = [json.loads(row.dropna().to_json()) for _, row in lesions.iterrows()]
        rows += json.loads(healthy.assign(stage="no lesion").to_json(orient="records"))
        print("\n" + yaml.safe_dump(rows, sort_keys=False, width=200))


if __name__ == "__main__":
    main()
