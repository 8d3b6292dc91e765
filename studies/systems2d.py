"""Train the 2D systems on the fixed cohorts of simulated patients, and write their tables.

    python studies/systems2d.py [--work DIR] [--cohorts DIR] [--systems s1 s5 split]
        [--encoder FILE]

The cohorts are those of ``studies/cohorts.py``. S1: ``source`` represents ATLAS and ``target`` patients
of a hospital. Eight networks are trained on the pooled cohorts (mixed data) and by intermediate tasks,
and ensembles are searched on the validation part. S5: networks for three planes on T1w and FLAIR of
both cohorts, from scratch and, with ``--encoder`` (a file, or ``resnet50-imagenet`` after its
download), from ImageNet weights. ``split``: a U-Net of S1 on mixed data, split by subject and, as in
the paper, by slice. The embedded recipes are reduced to 2 mm and to sizes that are feasible on a CPU.
Every training is a run of ``bids_stroke-train``, and a repeated call continues. All models predict
``test`` with the true brain mask. The tables of ``bids_stroke-evaluate`` are written to the section of
this command in docs/results.md.
"""

import json
import tempfile

import cohorts
import pandas as pd
import yaml
from common import difference, evaluate, published_tables, run, verdict, write_section

from bids_stroke.compute import devices
from bids_stroke.evaluation.published_tables import errors
from bids_stroke.models import catalog, ensembles, inference
from bids_stroke.training.recipes import read_content
from bids_stroke.training.search import title

AXIAL, SAGITTAL, CORONAL = [96, 112, 1], [1, 112, 96], [96, 1, 96]
EPOCHS = {"mixed": 12, "source": 9, "target": 5, "frozen": 6, "all": 6}
REGION_EPOCHS = 2
#: Feature maps: half of the recipe's sizes unless these are fixed (as for ImageNet weights), and a
#: quarter for the FC-DenseNet, which is ten times slower than the others.
FEATURES = {"resnet": 32, "fc_densenet": 12, "resnet50_unet": None, "vnet": None}
DEFAULT_FEATURES = 16
SMALL = {"spacing": [2.0] * 3, "brain_extraction": "none"}
SPLIT_NETWORK = "UNet"
S5_CHANNELS = {"contrasts": ["T1w", "FLAIR"], "inputs": [["T1w", "FLAIR"]]}

HEADINGS = {
    "s1": """## S1 on simulated patients

Eight 2D networks on axial slices of the T1w (Mohapatra et al.), each trained on the pooled {source} and
{target} patients (mixed data) and by intermediate tasks (`_FT`), and ensembles selected on {validation}
patients that were not used for training.""",
    "s5": """## S5 on simulated patients

Three networks on sagittal, coronal and axial slices of T1w and FLAIR (Chowdhury and Rahman), and their
votes, trained on {source} and {target} patients.""",
    "split": """## Split by subject and by slice

The U-Net of S1 on mixed data of {source} and {target} patients: validated on other subjects, and on
other slices of the training subjects, as in Mohapatra et al.""",
}
COMMON = """Scores on {test} other patients with {heads} heads at 2 mm, with the true brain mask. They
share no head or lesion with the training data, and half of the lesions are subacute. Heads are the
units of intervals and tests. The table is made by `python studies/systems2d.py --systems {system}`,
which defines sizes and epochs. They are much smaller than in the paper, so that only the order of the
models can be compared with it."""


def recipe(name, work, encoder=None):
    """Write an embedded recipe at reduced size, and return its path."""
    content = read_content(name)
    content["data"] |= SMALL
    content["training"] |= {"workers": 0, "batch": 2, "slices": 4}
    content["split"] |= {"validation": 0.15}
    if name.startswith("s1"):
        content.pop("ensembles", None)
        content["split"].pop("test")
        if name != "s1":
            content["runs"] = {SPLIT_NETWORK: content["runs"][SPLIT_NETWORK]}
    else:
        content["data"] |= S5_CHANNELS
        content["network"]["arguments"]["in_channels"] = 2
    if encoder:
        content["encoder"] = encoder
    for section in content["runs"].values():
        arguments = section.setdefault("network", {}).setdefault("arguments", {})
        network = arguments.get("network") or content["network"]["arguments"]["network"]
        features = FEATURES.get(network, DEFAULT_FEATURES)
        arguments |= {"features": features} if features else {}
    stages_of_runs = [section["stages"] for section in content["runs"].values() if "stages" in section]
    for stages in (*content.get("regimes", {}).values(), *stages_of_runs):
        for stage in stages:
            axis = stage["tile"].index(1)
            epochs = EPOCHS.get(stage["name"], REGION_EPOCHS)
            tile = list((SAGITTAL, CORONAL, AXIAL)[axis])
            stage |= {"tile": tile, "epochs": epochs, "cycle": epochs}
    path = work / "recipes" / f"{name}.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(content, sort_keys=False))
    return path


def train(name, work, folders, encoder=None):
    """Train a recipe on source and target unless done before, and return the folder of its cards."""
    out = work / "runs" / name
    marker = out / "cards" / "done"
    if not marker.is_file():
        data = [folders["source"], folders["target"]]
        labels = ["--labels", *map(cohorts.truth, data)]
        run("bids_stroke.cli.train", recipe(name, work, encoder), *data, out, "--nprocs", 2, *labels)
        action = "search" if name == "s1" else "export"
        run("bids_stroke.cli.models", action, out, out / "cards")
        marker.touch()
    return out / "cards"


def predict(models, folder, out, device):
    """Write the masks of models (by title) for the patients of a cohort; each network runs once.

    Returns
    -------
    dict of str to Path
        Folder of each model. Its name is a number, because ANTs does not accept brackets in paths.
    """
    outputs = {model: out / f"{number:02d}" for number, model in enumerate(models)}
    leaves = {leaf.identity(): leaf for model in models.values() for leaf in model.leaves}
    for name in cohorts.participants(folder):
        images, brain, _ = cohorts.load(folder, name)
        path = f"{name}/anat/{name}_space-T1w_label-L_mask.nii.gz"
        if all((output / path).is_file() for output in outputs.values()):
            continue
        predictions = {}
        with tempfile.TemporaryDirectory() as transforms:
            channels, frame = inference.prepare(next(iter(leaves.values())), images, brain, transforms)
            for key, leaf in leaves.items():
                predictions[key] = inference.predict_network(leaf, channels, device)
            for model_title, model in models.items():
                combined = ensembles.combine(model, predictions, frame.mask)
                probability = frame.to_reference(combined, brain)
                cohorts.write_prediction(probability, model, folder, name, outputs[model_title])
    return outputs


def score(rows, model, key):
    """Return the mean of a score of a model."""
    return rows.loc[rows["model"] == model, key].mean()


def claims_s1(rows, folder):
    """Compare the results with the claims of the paper on its networks and ensembles.

    Ensembles are those selected on the whole brain, from the cards in a folder.
    """
    models = list(rows["model"].unique())
    mixed = [model for model in models if f"{model}_FT" in models]
    tuned = [f"{model}_FT" for model in mixed]
    yield (
        f"Intermediate tasks versus mixed data (Dice, {len(mixed)} networks): "
        f"{verdict(difference(rows, 'dice', tuned, mixed))}."
    )
    stack, window = (title(catalog.load(folder / f"s1-{kind}.yaml")) for kind in ("stack", "aw"))
    names = [name.strip() for name in stack.partition(":")[2].split(",")]
    yield (
        f"Stacking versus its members (false-positive voxels per scan, {stack}): "
        f"{verdict(difference(rows, 'fp', [stack], names), lower=True)}."
    )
    single = [model for model in models if ":" not in model]
    best = max(single, key=lambda model: score(rows, model, "dice"))
    for other in (stack, best):
        summary = difference(rows, "absolute_load_difference_ml", [window], [other])
        yield (
            f"Agreement window ({window}) versus {other} (error of the load in ml): "
            f"{verdict(summary, lower=True)}."
        )


def claims_s5(rows):
    """Compare the results with the claims of the paper on its planes."""
    models = list(rows["model"].unique())
    for prefix in sorted({model.rpartition("-")[0] for model in models}):
        votes = [vote for vote in (f"{prefix}-confidence", f"{prefix}-vote") if vote in models]
        planes = [m for m in models if m.rpartition("-")[0] == prefix and m not in votes]
        for vote in votes:
            for plane in planes:
                conclusion = verdict(difference(rows, "dice", [vote], [plane]))
                yield f"{vote} versus {plane} (Dice): {conclusion}."
    pretrained, scratch = "s5-vote", "s5_scratch-vote"
    if pretrained in models and scratch in models:
        conclusion = verdict(difference(rows, "dice", [pretrained], [scratch]))
        yield f"ImageNet weights versus random initialization (Dice): {conclusion}."
    else:
        yield "ImageNet weights versus random initialization: not measured (weights not available)."


def table_s5(rows):
    """Return a table with the columns of the paper and the errors of volume and load."""
    columns = {
        "Dice": "dice",
        "IoU": "jaccard",
        "Accuracy": "accuracy",
        "Precision": "precision",
        "Recall": "sensitivity",
        "Specificity": "specificity",
    }
    lines = [
        {"Model": model}
        | {name: f"{part[key].mean():.3f}" for name, key in columns.items()}
        | errors(part)
        for model, part in rows.groupby("model", sort=False)
    ]
    return pd.DataFrame(lines).to_markdown(index=False, disable_numparse=True)


def table_split(rows, work, names):
    """Return a table of the Dice of each network in validation and in new patients."""
    lines = []
    for name in names:
        summary = json.loads((work / "runs" / name / SPLIT_NETWORK / "mixed/summary.json").read_text())
        new = f"{score(rows, name, 'dice'):.3f}"
        lines.append(
            {"Recipe": name, "Dice in validation": summary["val_dice"], "of new patients": new}
        )
    return pd.DataFrame(lines).to_markdown(index=False, disable_numparse=True)


def models_of(system, cards):
    """Load the models by title; titles of S5 start with the recipe."""
    models = {}
    for name, folder in cards.items():
        for path in sorted(folder.glob("*.yaml")):
            model = catalog.load(path)
            if system == "s1":
                models[title(model)] = model
            elif system == "split":
                models[name] = model
            else:
                models[f"{name}{model.name.removeprefix('s5')}"] = model
    return models


def section_parts(system, rows, results, work, recipes):
    """Return the tables of a section and the comparison with the paper."""
    if system == "split":
        return [table_split(rows, work, recipes)]
    if system == "s1":
        table = published_tables(results, "S1_table1", "S1_table2", "S1_table3")
        claims = claims_s1(rows, work / "runs/s1/cards")
    else:
        table, claims = table_s5(rows), claims_s5(rows)
    return [table, "### Claims of the paper", "\n".join(f"- {claim}" for claim in claims)]


def main():
    """Command line."""
    command = cohorts.system_parser(__doc__.splitlines()[0], HEADINGS, "systems2d")
    command.add_argument("--encoder", help="file of ImageNet weights, or resnet50-imagenet")
    arguments = command.parse_args()
    folders, counts = cohorts.write_all(arguments.cohorts)
    for system in arguments.systems:
        recipes = {
            "s1": ["s1"],
            "s5": ["s5_scratch", *(["s5"] if arguments.encoder else [])],
            "split": ["s1_mixed", "s1_mixed_by_slice"],
        }[system]
        cards = {
            name: train(name, arguments.work, folders, arguments.encoder if name == "s5" else None)
            for name in recipes
        }
        split = pd.read_csv(arguments.work / "runs" / recipes[0] / "split.tsv", sep="\t")
        counts |= {"validation": (split["part"] == "validation").sum(), "system": system}
        models = models_of(system, cards)
        out = arguments.work / "predictions" / system
        predictions = predict(models, folders["test"], out, devices.resolve(arguments.device))
        results = arguments.work / "results" / system
        evaluate(predictions, folders["test"], results)
        rows = pd.read_csv(results / "evaluation.tsv", sep="\t")
        parts = [HEADINGS[system].format(**counts), COMMON.format(**counts)]
        parts += section_parts(system, rows, results, arguments.work, recipes)
        write_section(f"systems2d {system}", "\n\n".join(parts))
        print(json.dumps({model: round(score(rows, model, "dice"), 3) for model in models}, indent=1))


if __name__ == "__main__":
    main()
