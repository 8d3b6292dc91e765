"""Train the 2D systems on the fixed cohorts of simulated patients, and write their tables.

    python studies/systems2d.py [--work DIR] [--cohorts DIR] [--systems s1 s5 split]
        [--encoder FILE]

Cohorts are those of ``studies/cohorts.py``. S1: ``source`` stands for ATLAS and ``target`` for a
hospital's own patients; eight networks are trained on both in one pool, and by intermediate tasks,
and ensembles are searched on the validation part. S5: three planes on the T1w and FLAIR of both
cohorts, from scratch, and with ``--encoder`` (a file, or ``resnet50-imagenet`` once it is fetched) from
ImageNet's weights. ``split``: a U-Net of S1 on mixed data, divided by subject and, as in the paper, by
slice. Recipes are those that are shipped, at 2 mm and cut down to what a CPU can do.
Every training is a run of ``bids_stroke-train``, which continues where it was. All cards predict
``test``, given the true brain mask; ``bids_stroke-evaluate`` compares, and its tables are written to
the section of this command in docs/results.md.
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
#: Feature maps: half of the shipped sizes, where these are not fixed (ImageNet's weights are), and a
#: quarter of the FC-DenseNet's, which takes ten times as long as the others.
FEATURES = {"resnet": 32, "fc_densenet": 12, "resnet50_unet": None, "vnet": None}
DEFAULT_FEATURES = 16
SMALL = {"spacing": [2.0] * 3, "brain_extraction": "none"}
SPLIT_NETWORK = "UNet"
S5_CHANNELS = {"contrasts": ["T1w", "FLAIR"], "inputs": [["T1w", "FLAIR"]]}

HEADINGS = {
    "s1": """## S1 on simulated patients

Eight networks that read axial slices of the T1w (Mohapatra et al.), each trained on {source} and
{target} patients in one pool (mixed data) and by intermediate tasks (`_FT`), and ensembles found on
{validation} of them that did not train.""",
    "s5": """## S5 on simulated patients

Three networks on sagittal, coronal and axial slices of T1w and FLAIR (Chowdhury and Karkera), and their
votes, trained on {source} and {target} patients.""",
    "split": """## Division by subject and by slice

The U-Net of S1 on mixed data of {source} and {target} patients: validated on other subjects, and on
other slices of the subjects that it trains on, as Mohapatra et al. divide.""",
}
COMMON = """Scores on {test} further patients, made of {heads} heads, that share neither head nor lesion
with the others, half of them subacute, at 2 mm, given the true brain mask. Heads are the units of
intervals and tests. Made by `python studies/systems2d.py --systems {system}`, which states sizes and
epochs: far less than the paper's. Only the order of the models can be compared with it."""


def recipe(name, work, encoder=None):
    """A shipped recipe, cut down, as a file."""
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
    for one in content["runs"].values():
        arguments = one.setdefault("network", {}).setdefault("arguments", {})
        network = arguments.get("network") or content["network"]["arguments"]["network"]
        features = FEATURES.get(network, DEFAULT_FEATURES)
        arguments |= {"features": features} if features else {}
    own = [one["stages"] for one in content["runs"].values() if "stages" in one]
    for stages in (*content.get("regimes", {}).values(), *own):
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
    """Train a recipe on source and target, unless that is done; returns the folder of its cards."""
    out = work / "runs" / name
    done = out / "cards" / "done"
    if not done.is_file():
        data = [folders["source"], folders["target"]]
        labels = ["--labels", *map(cohorts.truth, data)]
        run("bids_stroke.cli.train", recipe(name, work, encoder), *data, out, "--nprocs", 2, *labels)
        cards = "search" if name == "s1" else "export"
        run("bids_stroke.cli.models", cards, out, out / "cards")
        done.touch()
    return out / "cards"


def predict(models, folder, out, device):
    """Write the masks of models, by title, for the patients of a cohort; each network runs once.

    Returns
    -------
    dict of str to Path
        Folder of each model: a number, since ANTs takes no brackets in paths.
    """
    places = {one: out / f"{number:02d}" for number, one in enumerate(models)}
    leaves = {leaf.identity(): leaf for model in models.values() for leaf in model.leaves}
    for name in cohorts.participants(folder):
        images, brain, _ = cohorts.load(folder, name)
        path = f"{name}/anat/{name}_space-T1w_label-L_mask.nii.gz"
        if all((place / path).is_file() for place in places.values()):
            continue
        answers = {}
        with tempfile.TemporaryDirectory() as transforms:
            channels, there = inference.prepare(next(iter(leaves.values())), images, brain, transforms)
            for key, leaf in leaves.items():
                answers[key] = inference.predict_network(leaf, channels, device)
            for one, model in models.items():
                found = there.to_reference(ensembles.combine(model, answers, there.mask), brain)
                cohorts.place(found, model, folder, name, places[one])
    return places


def score(rows, model, key):
    """Mean of a score of a model."""
    return rows.loc[rows["model"] == model, key].mean()


def claims_s1(rows, folder):
    """The claims of the paper on its networks and ensembles, whichever way they came out.

    Ensembles are those found on the whole brain, of the cards in a folder.
    """
    models = list(rows["model"].unique())
    mixed = [one for one in models if f"{one}_FT" in models]
    tuned = [f"{one}_FT" for one in mixed]
    yield (
        f"Intermediate tasks against mixed data (Dice, {len(mixed)} networks): "
        f"{verdict(difference(rows, 'dice', tuned, mixed))}."
    )
    stack, window = (title(catalog.load(folder / f"s1-{kind}.yaml")) for kind in ("stack", "aw"))
    names = [name.strip() for name in stack.partition(":")[2].split(",")]
    yield (
        f"Stacking against its members (false positive voxels a scan, {stack}): "
        f"{verdict(difference(rows, 'fp', [stack], names), lower=True)}."
    )
    single = [one for one in models if ":" not in one]
    best = max(single, key=lambda one: score(rows, one, "dice"))
    for other in (stack, best):
        found = difference(rows, "absolute_load_difference_ml", [window], [other])
        yield (
            f"The agreement window ({window}) against {other} (error of the load in ml): "
            f"{verdict(found, lower=True)}."
        )


def claims_s5(rows):
    """The claims of the paper on its planes, whichever way they came out."""
    models = list(rows["model"].unique())
    for start in sorted({one.rpartition("-")[0] for one in models}):
        votes = [one for one in (f"{start}-confidence", f"{start}-vote") if one in models]
        planes = [one for one in models if one.rpartition("-")[0] == start and one not in votes]
        for vote in votes:
            for plane in planes:
                found = verdict(difference(rows, "dice", [vote], [plane]))
                yield f"{vote} against {plane} (Dice): {found}."
    pretrained, scratch = "s5-vote", "s5_scratch-vote"
    if pretrained in models and scratch in models:
        found = verdict(difference(rows, "dice", [pretrained], [scratch]))
        yield f"ImageNet's weights against none (Dice): {found}."
    else:
        yield "ImageNet's weights against none: not measured, they were not there."


def table_s5(rows):
    """The paper's columns, and the errors of volume and load."""
    columns = {"Dice": "dice", "IoU": "jaccard", "Accuracy": "accuracy", "Precision": "precision",
               "Recall": "sensitivity", "Specificity": "specificity"}  # fmt: skip
    made = [
        {"Model": model}
        | {name: f"{part[key].mean():.3f}" for name, key in columns.items()}
        | errors(part)
        for model, part in rows.groupby("model", sort=False)
    ]
    return pd.DataFrame(made).to_markdown(index=False, disable_numparse=True)


def table_split(rows, work, names):
    """What validation tells of each network, and what new patients do."""
    made = []
    for name in names:
        summary = json.loads((work / "runs" / name / SPLIT_NETWORK / "mixed/summary.json").read_text())
        new = f"{score(rows, name, 'dice'):.3f}"
        made.append({"Recipe": name, "Dice in validation": summary["val_dice"], "of new patients": new})
    return pd.DataFrame(made).to_markdown(index=False, disable_numparse=True)


def models_of(system, found):
    """Models by title; of S5, with the recipe before them."""
    models = {}
    for name, folder in found.items():
        for path in sorted(folder.glob("*.yaml")):
            model = catalog.load(path)
            if system == "s1":
                models[title(model)] = model
            elif system == "split":
                models[name] = model
            else:
                models[f"{name}{model.name.removeprefix('s5')}"] = model
    return models


def told(system, rows, results, work, recipes):
    """What a section tells below its head: tables, and what the paper found."""
    if system == "split":
        return [table_split(rows, work, recipes)]
    if system == "s1":
        table = published_tables(results, "S1_table1", "S1_table2", "S1_table3")
        claims = claims_s1(rows, work / "runs/s1/cards")
    else:
        table, claims = table_s5(rows), claims_s5(rows)
    return [table, "### What the paper found", "\n".join(f"- {one}" for one in claims)]


def main():
    """Command line."""
    command = cohorts.system_parser(__doc__.splitlines()[0], HEADINGS, "systems2d")
    command.add_argument("--encoder", help="file of ImageNet's weights, or resnet50-imagenet")
    arguments = command.parse_args()
    folders, counts = cohorts.write_all(arguments.cohorts)
    for system in arguments.systems:
        recipes = {
            "s1": ["s1"],
            "s5": ["s5_scratch", *(["s5"] if arguments.encoder else [])],
            "split": ["s1_mixed", "s1_mixed_by_slice"],
        }[system]
        found = {
            name: train(name, arguments.work, folders, arguments.encoder if name == "s5" else None)
            for name in recipes
        }
        split = pd.read_csv(arguments.work / "runs" / recipes[0] / "split.tsv", sep="\t")
        counts |= {"validation": (split["part"] == "validation").sum(), "system": system}
        models = models_of(system, found)
        out = arguments.work / "predictions" / system
        places = predict(models, folders["test"], out, devices.resolve(arguments.device))
        results = arguments.work / "results" / system
        evaluate(places, folders["test"], results)
        rows = pd.read_csv(results / "evaluation.tsv", sep="\t")
        parts = [HEADINGS[system].format(**counts), COMMON.format(**counts)]
        parts += told(system, rows, results, arguments.work, recipes)
        write_section(f"systems2d {system}", "\n\n".join(parts))
        print(json.dumps({one: round(score(rows, one, "dice"), 3) for one in models}, indent=1))


if __name__ == "__main__":
    main()
