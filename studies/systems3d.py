"""Train the 3D systems on the fixed cohorts of simulated patients, and write their tables.

    python studies/systems3d.py [--work DIR] [--systems s2 s4] [--device cpu]

The cohorts are those of ``studies/cohorts.py``. ``source`` represents ATLAS: S2 and the T1w network of
S4 (and S3) are trained on it. ``target`` represents patients of a hospital with T1w and FLAIR, to which
the T1w network is adapted. The embedded recipes are reduced to 2 mm and to sizes that are feasible on a
CPU (``SMALL``). Every training is a run of ``bids_stroke-train``, and a repeated call continues. The
models predict ``test`` with the true brain mask. The tables of ``bids_stroke-evaluate`` are written to
the section of this command in docs/results.md. S4 requires the package nnunetv2.
"""

import shutil

import cohorts
import yaml
from common import claims, evaluate, published_tables, run, write_section

from bids_stroke.models import catalog, inference

#: Changes of the embedded recipes: half the resolution and half the tile size, half the features of S2,
#: and less training.
NNUNET = {"spacing": [2.0] * 3, "gpu_memory_gb": 0.5, "workers": 0, "save_every": 1}
ADAPTED = {**NNUNET, "epochs": 5, "iterations": 15, "validation_iterations": 4, "learning_rate": 1e-3}
ZOOM_IN = {"name": "zoom-in", "tile": [64] * 3, "epochs": 14, "learning_rate": 1e-3, "cycle": 14}
ZOOM_OUT = {"name": "zoom-out", "tile": [72, 86, 84], "epochs": 6, "learning_rate": 1e-4, "cycle": 2}
S2 = {
    "data": {"spacing": [2.0] * 3, "brain_extraction": "none", "space": "native"},
    "split": {"validation": 6, "test": None},
    "network": {"arguments": {"features": 8, "groups": 4}},
    "training": {"workers": 0},
    "card": {"tile": ZOOM_OUT["tile"]},
}
SMALL = {
    "s2": S2 | {"stages": [ZOOM_IN, ZOOM_OUT | {"snapshots": [2, 4, 6]}]},
    "s2_zoom_in": S2 | {"stages": [ZOOM_IN]},
    "s4": {"nnunet": {**NNUNET, "epochs": 10, "iterations": 20, "validation_iterations": 4}},
    "s4_control": {"nnunet": ADAPTED},
    "s4_adapt": {"nnunet": ADAPTED},
}
# Name in the tables: recipe, cohort, initial model (or initialization of its new channel), and card.
SYSTEMS = {
    "s2": {
        "3D-ResU-Net, zoom-in": ("s2_zoom_in", "source", None, "s2_zoom_in"),
        "3D-ResU-Net, zoom-in and out": ("s2", "source", None, "s2-E"),
    },
    "s4": {
        "nnU-Net, T1w of source": ("s4", "source", None, "s4"),
        "fine-tuned on T1w": ("s4_control", "target", "s4", "s4_control"),
        "fine-tuned on T1w and FLAIR": ("s4_adapt", "target", "s4", "s4_adapt"),
        "the same, FLAIR from zeros": ("s4_adapt", "target", "zeros", "s4_adapt"),
        "T1w and FLAIR, not pretrained": ("s4_adapt", "target", None, "s4_adapt"),
    },
}

HEADINGS = {
    "s2": """## S2 on simulated patients

The 3D-ResU-Net of Tomita et al. with and without zoom-out, trained on {source} patients.""",
    "s4": """## S3 and S4 on simulated patients

nnU-Net trained on the T1w of {source} patients, then transferred to {target} other patients, half
of them subacute: fine-tuned on their T1w, or adapted to T1w and FLAIR (weights of the FLAIR
duplicated from the T1w, or zeros). For comparison, nnU-Net trained on T1w and FLAIR from random
initialization.""",
}
COMMON = """Scores on {test} other patients with {heads} heads at 2 mm, with the true brain mask. They
share no head or lesion with the training data. Heads are the units of intervals and tests. The table
is made by `python studies/systems3d.py --systems {system}`, which defines seeds, sizes and epochs.
They are much smaller than in the papers, so that only the order of the models can be compared with
them."""
TABLES = {"s2": ("S2_table5", "S2_table2"), "s4": ("S4_table2", "S2_table2")}
#: Claims of the papers: text, better model, worse model.
CLAIMS = {
    "s2": [("Zoom-out improves zoom-in", "3D-ResU-Net, zoom-in and out", "3D-ResU-Net, zoom-in")],
    "s4": [
        ("T1w and FLAIR are better than T1w", "fine-tuned on T1w and FLAIR", "fine-tuned on T1w"),
        (
            "Pretraining is better than none",
            "fine-tuned on T1w and FLAIR",
            "T1w and FLAIR, not pretrained",
        ),
        ("Fine-tuning helps", "fine-tuned on T1w", "nnU-Net, T1w of source"),
    ],
}


def recipe(name, work):
    """Write an embedded recipe at reduced size, and return its path."""
    path = work / "recipes" / f"{name}.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump({"extends": name, **SMALL[name]}, sort_keys=False))
    return path


def train(title, work, folders):
    """Train a system unless done before, and return its card."""
    name, cohort, start, card = next(s[title] for s in SYSTEMS.values() if title in s)
    out = work / "runs" / title.replace(",", "").replace(" ", "-")
    path = out / "cards" / f"{card}.yaml"
    if path.is_file():
        return path
    folder = folders[cohort]
    options = ["--initial", str(_initial(name, start, work, folders))] if start else []
    if name == "s2":
        # The first stage is identical to the other recipe, with the same seed.
        first = train("3D-ResU-Net, zoom-in", work, folders).parents[1]
        shutil.copytree(first / "zoom-in", out / "zoom-in", dirs_exist_ok=True)
    data = [folder, out, "--labels", cohorts.truth(folder)]
    run("bids_stroke.cli.train", recipe(name, work), *data, *options)
    run("bids_stroke.cli.models", "export", out, path.parent)
    return path


def _initial(name, start, work, folders):
    """Return the card of the T1w network, for ``zeros`` with its new channel initialized by zeros."""
    source = train("nnU-Net, T1w of source", work, folders)
    if start != "zeros":
        return source
    out = work / "zeros"
    channels = ["--channels", "T1w", "FLAIR", "--new", "zeros"]
    run("bids_stroke.cli.models", "adapt", source, out, *channels)
    return next(out.glob("*.yaml"))


def predict(path, folder, out, device):
    """Write the masks of a model for the patients of a cohort unless they exist."""
    model = catalog.load(path)
    for name in cohorts.participants(folder):
        if (out / name / "anat" / f"{name}_space-T1w_label-L_mask.nii.gz").is_file():
            continue
        images, brain, _ = cohorts.load(folder, name)
        probability = inference.predict(model, images, brain, brain, device)
        cohorts.write_prediction(probability, model, folder, name, out)


def main():
    """Command line."""
    command = cohorts.system_parser(__doc__.splitlines()[0], SYSTEMS, "systems3d")
    arguments = command.parse_args()
    work = arguments.work
    folders, counts = cohorts.write_all(arguments.cohorts)
    for system in arguments.systems:
        predictions = {}
        for title in SYSTEMS[system]:
            predictions[title] = work / "predictions" / title
            card = train(title, work, folders)
            predict(card, folders["test"], predictions[title], arguments.device)
        results = work / "results" / system
        evaluate(predictions, folders["test"], results)
        parts = [HEADINGS[system], COMMON, published_tables(results, *TABLES[system])]
        parts += ["### Claims of the papers", claims(results, CLAIMS[system])]
        text = "\n\n".join(parts).format(system=system, **counts)
        write_section(f"systems3d {system}", text)


if __name__ == "__main__":
    main()
