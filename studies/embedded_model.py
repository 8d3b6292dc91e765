"""Measure the embedded model on simulated patients that were not used in training.

    python studies/embedded_model.py scores  MODEL [MODEL …] [--part test] [--work DIR] [--jobs 2]
    python studies/embedded_model.py sweep   MODEL
    python studies/embedded_model.py fit     MODEL
    python studies/embedded_model.py curve   MODEL
    python studies/embedded_model.py app     MODEL --heads N

The cohort (``embedded_cohort.yaml``) is written to ``--work`` unless it exists; its checksum is
verified. The model predicts from each of its inputs (T1w, T1w with FLAIR, …) with the true brain mask.

``scores`` prints the scores of one model, or of several models with paired differences from the first,
in Markdown, and the section ``measured`` of the card of the last model. Intervals are bootstrap
intervals over heads and, within each resampled head, over its lesions. ``sweep`` prints Dice and false
positives on the validation part for thresholds and smallest components. ``fit`` prints the section
``calibration`` of the card: temperatures and volume errors of the validation part. ``curve`` draws the
reliability curve of the test part in docs/pictures. ``app`` runs the whole app, including brain
extraction and bias correction, on the T1w of N heads with skull. Data are read from
``$BIDS_STROKE_SHARED/data``.
"""

import argparse
import tempfile
from pathlib import Path

import embedded_calibration
import embedded_cohort
import embedded_scores
import numpy as np
import pandas as pd
import yaml
from common import run, start_dataset
from nibabel.affines import voxel_sizes
from scipy import ndimage

from bids_stroke.models import catalog
from bids_stroke.settings import DEFAULT_MODEL
from bids_stroke.spatial import grid, image
from bids_stroke.utils.files import atomic

RESAMPLES = 1000
SIZES = {
    "< 1 ml": (0, 1),
    "1-10 ml": (1, 10),
    "10-50 ml": (10, 50),
    "> 50 ml": (50, np.inf),
    "> 1 ml": (1, np.inf),
    "> 10 ml": (10, np.inf),
}
MEASURED = ("< 1 ml", "1-10 ml", "> 10 ml")  # sizes in the card
MEAN = "mean of inputs"
WITH_SKULL = "training_seg"  # prefix of the names of heads with skull


def sphere(radius, spacing):
    """Return a spherical structuring element of a radius in mm."""
    radii = np.maximum(np.round(radius / np.asarray(spacing)), 1).astype(int)
    grid = np.indices(2 * radii + 1) - radii[:, None, None, None]
    return ((grid / radii[:, None, None, None]) ** 2).sum(0) <= 1


def naive(img, contrast, brain):
    """Segment by a naive rule: largest component of the darkest or brightest voxels after opening."""
    mask, spacing = np.asarray(brain.dataobj) > 0, voxel_sizes(img.affine)
    data = img.get_fdata(dtype=np.float32)
    core = ndimage.binary_erosion(mask, sphere(4, spacing))
    if contrast == "T1w":
        unusual = data < 0.5 * np.percentile(data[mask], 85)
    else:
        median = np.median(data[mask])
        spread = 1.4826 * np.median(np.abs(data[mask] - median))
        unusual = data > median + 2.5 * spread
    labels, count = ndimage.label(ndimage.binary_opening(unusual & core, sphere(2, spacing)))
    sizes = np.bincount(labels.ravel(), minlength=2)
    return labels == 1 + sizes[1:].argmax() if count else labels > 0


def nested_bootstrap(values, heads, seed=0):
    """Return the mean and its 95% interval from resampling heads and, within heads, values."""
    rng = np.random.default_rng(seed)
    groups = [group.to_numpy() for _, group in values.groupby(heads.to_numpy())]
    means = []
    for _ in range(RESAMPLES):
        sampled = [groups[i] for i in rng.integers(len(groups), size=len(groups))]
        drawn = [group[rng.integers(len(group), size=len(group))] for group in sampled]
        means.append(np.concatenate(drawn).mean())
    low, high = np.percentile(means, (2.5, 97.5))
    return values.mean(), low, high


def interval(values, heads):
    """Format the mean and its interval."""
    return "{:.2f} ({:.2f} to {:.2f})".format(*nested_bootstrap(values, heads))


def prepared(rows, people):
    """Add head, stage and volume error to rows, and remove lesions without a voxel."""
    rows = rows.merge(people[["head", "stage"]], left_on="name", right_index=True)
    rows = rows[(rows.true_ml > 0) | rows.stage.isna()].fillna({"stage": "none"})
    return rows.assign(error_ml=(rows.predicted_ml - rows.true_ml).abs())


def with_means(rows):
    """Append the mean scores of each participant over the inputs, as a further input."""
    columns = dict.fromkeys(("dice", "detected", "error_ml", "true_ml"), "mean")
    means = rows.groupby("name", sort=False).agg(columns | {"head": "first", "stage": "first"})
    means = means.assign(input=MEAN, name=means.index).set_index(["name", "input"], drop=False)
    return pd.concat([rows, means.rename_axis([None, None])])


def lesion_table(models):
    """Return the scores by input, stage and size, with differences from the first model.

    ``models`` maps names to rows of :func:`prepared` in the same order.
    """
    models = {name: with_means(rows) for name, rows in models.items()}
    first = next(iter(models.values()))
    lines = []
    for (contrasts, stage), group in first[first.true_ml > 0].groupby(["input", "stage"], sort=False):
        for size, (low, high) in SIZES.items():
            inside = group[(group.true_ml > low) & (group.true_ml <= high)].index
            line = {"input": contrasts, "stage": stage, "size": size, "n": len(inside)}
            for name, rows in models.items():
                part = rows.loc[inside]
                line |= {
                    f"Dice, {name}": interval(part.dice, part["head"]),
                    f"detected, {name}": f"{part.detected.mean():.2f}",
                    f"volume error (ml), {name}": f"{part.error_ml.median():.1f}",
                }
                if rows is not first:
                    difference = part.dice - first.loc[inside].dice
                    line[f"Dice, {name} minus the first"] = interval(difference, part["head"])
            lines.append(line)
    return pd.DataFrame(lines)


def healthy_table(models):
    """Return the false-positive volumes in heads without a lesion."""
    lines = []
    for name, rows in models.items():
        for contrasts, part in rows[rows.true_ml == 0].groupby("input", sort=False):
            line = {"input": contrasts, "model": name, "n": len(part)}
            quantiles = part.predicted_ml.quantile([0.5, 0.95, 1]).round(2)
            lines.append(
                line | dict(zip(("median ml", "95 % ml", "largest ml"), quantiles, strict=True))
            )
    return pd.DataFrame(lines)


def measured_section(rows):
    """Return the section ``measured`` of a card: scores by input, stage and size of the lesions."""
    section = []
    for (stage, contrasts), group in rows.groupby(["stage", "input"], sort=False):
        if stage == "none":
            keys = "false_positive_ml", "false_positive_ml_95_percent"
            volumes = group.predicted_ml.quantile([0.5, 0.95]).round(2)
            line = {"what": "no lesion", "input": contrasts, "n": len(group)}
            section.append(line | dict(zip(keys, volumes.tolist(), strict=True)))
            continue
        for size in MEASURED:
            low, high = SIZES[size]
            part = group[(group.true_ml > low) & (group.true_ml <= high)]
            scores = part[["dice", "detected"]].mean().round(2).to_dict()
            line = {"what": f"{stage}, {size}", "input": contrasts, "n": len(part)}
            section.append(line | scores | {"volume_error_ml": round(float(part.error_ml.median()), 1)})
    return section


def run_app(folder, model, number, work, jobs):
    """Score the app and the network alone on the T1w of ``number`` heads with skull."""
    people = pd.read_csv(folder / "participants.tsv", sep="\t")
    small = people.lesion_volume.between(0, 1, inclusive="neither")
    people = people[people["head"].str.startswith(WITH_SKULL) & ~small]
    selected = people.iloc[np.linspace(0, len(people) - 1, number).round().astype(int)]
    bids, out = work / f"app-{number}" / "bids", work / f"app-{number}" / "out"
    if not bids.exists():
        with atomic(bids) as partial:
            start_dataset(partial, "cohort")
            for name in selected.participant_id:
                (partial / name / "anat").mkdir(parents=True)
                for path in (folder / name / "anat").glob("*_T1w.*"):
                    (partial / name / "anat" / path.name).symlink_to(path.absolute())
    run("bids_stroke", bids, out, "participant", "--model", model, "--nprocs", jobs)
    card, rows = catalog.load(model), []
    for name, stage in zip(selected.participant_id, selected.stage, strict=True):
        images, brain, truth = embedded_cohort.load_case(folder, name)
        volume = grid.voxel_volume(brain)
        inputs = {"T1w": images["T1w"]}
        probability = embedded_scores.segmentation(card, folder, name, inputs, brain)
        (path,) = (out / name / "anat").glob("*_space-T1w_label-L_*_mask.nii.gz")
        masks = {
            "network": embedded_scores.lesion_mask(probability, card, volume),
            "app": np.asarray(image.load(path).dataobj) > 0,
        }
        row = {"participant": name, "stage": stage, "truth_ml": truth.sum() * volume / 1000}
        for method, mask in masks.items():
            scores = embedded_scores.scores(mask, truth, volume / 1000)
            row |= {f"dice_{method}": scores["dice"], f"predicted_ml_{method}": scores["predicted_ml"]}
        rows.append(row)
    return pd.DataFrame(rows)


def sweep_table(rows):
    """Return Dice and false-positive volumes by threshold and smallest component."""
    keys = ["input", "threshold", "min_component_mm3"]
    mean = rows[rows.true_ml > 0].groupby(keys, sort=False).dice.mean()
    false = rows[rows.true_ml == 0].groupby(keys, sort=False).predicted_ml
    result = pd.concat([mean, false.median(), false.quantile(0.95)], axis=1).round(3)
    result.columns = ["dice", "without lesion: median ml", "95 % ml"]
    return result.reset_index()


def show(title, table):
    """Print a table in Markdown."""
    print(f"\n{title}\n\n{table.to_markdown(index=False)}", flush=True)


def main():
    """Command line."""
    command = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    command.add_argument("what", choices=("scores", "sweep", "fit", "curve", "app"))
    command.add_argument("models", nargs="*", default=[DEFAULT_MODEL], metavar="MODEL")
    command.add_argument("--part", choices=embedded_cohort.PARTS)
    command.add_argument("--mirror", action="store_true", help="average with the mirrored prediction")
    command.add_argument("--heads", type=int, default=4, metavar="N")
    command.add_argument("--jobs", type=int, default=2)
    command.add_argument("--work", type=Path, default=Path(tempfile.gettempdir()) / "embedded_model")
    arguments = command.parse_args()
    part = arguments.part or ("validation" if arguments.what in ("sweep", "fit") else "test")
    folder = embedded_cohort.write(part, arguments.work)
    people = embedded_cohort.participants(folder)
    model, jobs = arguments.models[0], arguments.jobs
    if arguments.what == "app":
        rows = run_app(folder, model, arguments.heads, arguments.work, jobs)
        show("Whole app", rows.round(2))
    elif arguments.what == "sweep":
        rows, _ = embedded_scores.for_all(embedded_scores.sweep, folder, model, arguments.mirror, jobs)
        show("Thresholds and smallest components", sweep_table(prepared(rows, people)))
    elif arguments.what in ("fit", "curve"):
        shared = (folder, model, arguments.mirror, jobs)
        rows, voxels = embedded_scores.for_all(embedded_scores.measure, *shared)
        if arguments.what == "curve":
            embedded_calibration.draw(voxels)
        else:
            section = embedded_calibration.fit(rows, voxels, catalog.load(model))
            print(yaml.safe_dump({"calibration": section}, sort_keys=False))
    else:
        cards = [catalog.load(name) for name in arguments.models]
        tables, voxels = {}, {}
        for name, card in zip(arguments.models, cards, strict=True):
            shared = (folder, name, arguments.mirror, jobs)
            rows, voxels[card.name] = embedded_scores.for_all(embedded_scores.measure, *shared)
            rows = prepared(rows, people).set_index(["name", "input"], drop=False)
            tables[card.name] = rows.rename_axis([None, None])
        show("Lesions", lesion_table(tables))
        show("Without a lesion", healthy_table(tables))
        for card in cards:
            table = embedded_calibration.table(tables[card.name], voxels[card.name], card)
            show("Calibration", table)
        print(yaml.safe_dump({"measured": measured_section(rows)}, sort_keys=False))


if __name__ == "__main__":
    main()
