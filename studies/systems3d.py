"""Train the 3D systems on the fixed cohorts of simulated patients, and write their tables.

    python studies/systems3d.py [--work DIR] [--systems s2 s4] [--device cpu]

The cohorts are those of ``studies/cohorts.py``. ``source`` represents ATLAS: S2 and the T1w network of
S4 (and S3) are trained on it. ``target`` represents patients of a hospital with T1w and FLAIR, to which
the T1w network is adapted. The embedded recipes are reduced to 2 mm and to sizes that are feasible on a
CPU (``SMALL``). Every training is a run of ``bids_stroke-train``, and a repeated call continues. The
models predict ``test`` with the true brain mask. The tables and the claims of the papers are written to
the section of this command in docs/results.md. S4 requires the package nnunetv2.
"""

import shutil

import cohorts
import learning_curves
import pandas as pd
import yaml
from claims import HOLDS, MIN_HEADS, OPEN, Claim, listed
from common import evaluate, run, share, write_section
from paper_tables import sections

from bids_stroke.evaluation import published_tables, statistics
from bids_stroke.models import catalog, inference

#: Changes of the embedded recipes: half the resolution and half the tile size, half the features of S2,
#: and less training.
NNUNET = {"spacing": [2.0] * 3, "gpu_memory_gb": 0.5, "workers": 0, "save_every": 1}
ADAPTED = {**NNUNET, "epochs": 5, "iterations": 15, "validation_iterations": 4, "learning_rate": 1e-3}
ZOOM_IN = {"name": "zoom-in", "tile": [64] * 3, "epochs": 14, "learning_rate": 1e-3, "cycle": 14}
ZOOM_OUT = {"name": "zoom-out", "tile": [72, 86, 84], "epochs": 6, "learning_rate": 1e-4, "cycle": 2}
#: A longer zoom-in with as many updates as zoom-out (one per scan and epoch), at the same rate.
PROLONGED = ZOOM_OUT | {"name": "prolonged", "tile": ZOOM_IN["tile"]}
S2 = {
    "data": {"spacing": [2.0] * 3, "brain_extraction": "none"},
    "split": {"validation": 6, "test": None},
    "network": {"arguments": {"features": 8, "groups": 4}},
    "training": {"workers": 0},
    "card": {"tile": ZOOM_OUT["tile"], "window": ZOOM_OUT["tile"]},
}
SMALL = {
    "s2": S2 | {"stages": [ZOOM_IN, ZOOM_OUT | {"snapshots": [2, 4, 6]}]},
    "s2_zoom_in": S2 | {"stages": [ZOOM_IN]},
    "s2_prolonged": S2 | {"stages": [ZOOM_IN, PROLONGED]},
    "s4": {"nnunet": {**NNUNET, "epochs": 10, "iterations": 20, "validation_iterations": 4}},
    "s4_control": {"nnunet": ADAPTED},
    "s4_adapt": {"nnunet": ADAPTED},
}
# Name in the tables: recipe, cohort, initial model (or initialization of its new channel), and card.
SYSTEMS = {
    "s2": {
        "3D-ResU-Net-F": ("s2_zoom_in", "source", None, "s2_zoom_in"),
        "3D-ResU-Net": ("s2", "source", None, "s2"),
        "3D-ResU-Net-E": ("s2", "source", None, "s2-E"),
        "3D-ResU-Net-F, prolonged": ("s2_prolonged", "source", None, "s2_prolonged"),
    },
    "s4": {
        "pretrained (T1w)": ("s4", "source", None, "s4"),
        "pretrained (FLAIR)": ("s4", "source", None, "s4"),
        "fine-tuned (T1w)": ("s4_control", "target", "s4", "s4_control"),
        "fine-tuned (T1w+FLAIR)": ("s4_adapt", "target", "s4", "s4_adapt"),
        "fine-tuned from zeros (T1w+FLAIR)": ("s4_adapt", "target", "zeros", "s4_adapt"),
        "not pretrained (T1w+FLAIR)": ("s4_adapt", "target", None, "s4_adapt"),
    },
}
#: Runs and last stages of the networks whose trainings log the Dice of validation scans.
STAGES = {
    "s2": {
        "3D-ResU-Net-F": "s2_zoom_in/zoom-in",
        "3D-ResU-Net": "s2/zoom-out",
        "3D-ResU-Net-F, prolonged": "s2_prolonged/prolonged",
    }
}
#: Models that receive another contrast instead of the T1w.
SUBSTITUTES = {"pretrained (FLAIR)": "FLAIR"}

HEADINGS = {
    "s2": """## S2 on simulated patients

The 3D-ResU-Net of Tomita et al., trained on {source} patients: after zoom-in (F), after zoom-out (last
epoch), the ensemble of the snapshots of zoom-out (E), and after a zoom-in that is prolonged by as many
updates as zoom-out. Networks read the center of the template, as in the paper.""",
    "s4": """## S3 and S4 on simulated patients

nnU-Net trained on the T1w of {source} patients (pretrained), then fine-tuned on {target} other
patients, half of them subacute: on their T1w, or on T1w and FLAIR (weights of the FLAIR duplicated from
the T1w, or zeros). One fold of five is trained. For comparison: nnU-Net trained on T1w and FLAIR from
random initialization, and the pretrained network on the FLAIR instead of the T1w.""",
}
COMMON = """Scores on {test} other patients with {heads} heads at 2 mm, with the true brain mask. They
share no head or lesion with the training data. Heads are the units of intervals and tests. The section
is made by `python studies/systems3d.py --systems {system}`, which defines seeds, sizes and epochs, much
smaller than in the papers."""
TABLES = {
    "s2": ("S2_table5", "S2_table2", "S2_table4"),
    "s4": ("S3_table2", "S3_figure6", "S4_table2"),
}
#: Scores by which the networks of S2 and S4 are compared, and whether lower values are better.
S2_SCORES = {"dice": False, "hd_mm": True, "assd_mm": True, "precision": False}
S4_SCORES = {"dice": False, "jaccard": False, "assd_mm": True, "f1_anima": False}


def claims_s2():
    """Return the claims of Tomita et al. on their training."""
    out, zoomed_in = ["3D-ResU-Net"], [["3D-ResU-Net-F"]]
    for score, lower in S2_SCORES.items():
        yield Claim("Zoom-out improves zoom-in", score, out, zoomed_in, lower)
    words = "Zoom-out improves a zoom-in with as many updates"
    yield Claim(words, "dice", out, [["3D-ResU-Net-F, prolonged"]])
    words = "The ensemble of snapshots improves the last epoch (the paper: no)"
    yield Claim(words, "dice", ["3D-ResU-Net-E"], [out])


def claims_s4():
    """Return the claims of Meddahi et al. 2023 and 2024."""
    both, single, start = "fine-tuned (T1w+FLAIR)", "fine-tuned (T1w)", "pretrained (T1w)"
    for score, lower in S4_SCORES.items():
        words = "Fine-tuning on T1w and FLAIR improves the pretrained network"
        yield Claim(words, score, [both], [[start]], lower)
    for score in ("dice", "assd_mm"):
        words = "T1w and FLAIR are better than T1w, both fine-tuned"
        yield Claim(words, score, [both], [[single]], S4_SCORES[score])
    words = "The pretrained network is better on T1w than on FLAIR"
    yield Claim(words, "dice", [start], [["pretrained (FLAIR)"]])
    words = "Pretraining is better than none"
    yield Claim(words, "dice", [both], [["not pretrained (T1w+FLAIR)"]])
    words = "Duplicated weights are better than zeros (not in the papers)"
    yield Claim(words, "dice", [both], [["fine-tuned from zeros (T1w+FLAIR)"]])


def size_claim(rows):
    """Format the relation of Dice to the size of the lesion (Tomita et al., Figure 3)."""
    part = rows[rows["model"] == "3D-ResU-Net"]
    line = statistics.dice_against_volume(part["dice"], part["true_volume_ml"], part["unit"])
    holds = line.units >= MIN_HEADS and line.slope > 0 and line.pearson_p < 0.05
    return (
        f"- Dice increases with the size of the lesion: {HOLDS if holds else OPEN} (R² {line.r2:.2f}, "
        f"p {line.pearson_p:.3f} over {line.units} heads; paper: R² 0.34)"
    )


def recipe(name, work):
    """Write an embedded recipe at reduced size, and return its path."""
    path = work / "recipes" / f"{name}.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump({"extends": name, **SMALL[name]}, sort_keys=False))
    return path


def train(title, work, folders):
    """Train a system unless done before, and return its card."""
    name, cohort, start, card = next(s[title] for s in SYSTEMS.values() if title in s)
    out = work / "runs" / "-".join(filter(None, (name, start)))
    path = out / "cards" / f"{card}.yaml"
    if path.is_file():
        return path
    folder = folders[cohort]
    options = ["--initial", str(_initial(name, start, work, folders))] if start else []
    share(out, work, "cache", "arrays")
    if name in ("s2", "s2_prolonged"):
        # The first stage is identical to the other recipe, with the same seed.
        first = train("3D-ResU-Net-F", work, folders).parents[1]
        shutil.copytree(first / "zoom-in", out / "zoom-in", dirs_exist_ok=True)
    data = [folder, out, "--labels", cohorts.truth(folder)]
    run("bids_stroke.cli.train", recipe(name, work), *data, *options)
    run("bids_stroke.cli.models", "export", out, path.parent)
    return path


def _initial(name, start, work, folders):
    """Return the card of the T1w network, for ``zeros`` with its new channel initialized by zeros."""
    source = train("pretrained (T1w)", work, folders)
    if start != "zeros":
        return source
    out = work / "zeros"
    channels = ["--channels", "T1w", "FLAIR", "--new", "zeros"]
    run("bids_stroke.cli.models", "adapt", source, out, *channels)
    return next(out.glob("*.yaml"))


def predict(path, folder, out, device, substitute=None):
    """Write the masks of a model for the patients of a cohort unless they exist.

    ``substitute`` is the contrast that the model receives instead of the T1w.
    """
    model = catalog.load(path)
    for name in cohorts.participants(folder):
        if (out / name / "anat" / f"{name}_space-T1w_label-L_mask.nii.gz").is_file():
            continue
        images, brain, _ = cohorts.load(folder, name)
        if substitute:
            images = {"T1w": images[substitute]}
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
        for number, title in enumerate(SYSTEMS[system]):
            # Names are numbers, because ANTs does not accept brackets in paths.
            predictions[title] = work / "predictions" / system / f"{number:02d}"
            card = train(title, work, folders)
            substitute = SUBSTITUTES.get(title)
            predict(card, folders["test"], predictions[title], arguments.device, substitute)
        results = work / "results" / system
        evaluate(predictions, folders["test"], results)
        rows = pd.read_csv(results / "evaluation.tsv", sep="\t")
        tables = {name: getattr(published_tables, name.lower())(rows) for name in TABLES[system]}
        claims = listed(rows, {"s2": claims_s2, "s4": claims_s4}[system]())
        if system == "s2":
            claims += f"\n{size_claim(rows)}"
        parts = [text.format(system=system, **counts) for text in (HEADINGS[system], COMMON)]
        parts += [sections(tables), "### Claims of the papers", claims]
        if system in STAGES:
            stages = {model: work / "runs" / folder for model, folder in STAGES[system].items()}
            parts.append(learning_curves.section(stages, rows))
        write_section(f"systems3d {system}", "\n\n".join(parts))


if __name__ == "__main__":
    main()
