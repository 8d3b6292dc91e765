"""``bids_stroke-simulate``: write a small BIDS dataset of simulated stroke patients."""

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from bids_stroke.errors import UsageError
from bids_stroke.training.recipe_settings import SimulationRecipe
from bids_stroke.training.recipes import read_recipe
from bids_stroke.utils.files import new_folder

from .command import CommandParser, run_parsed

README = """\
Simulated stroke patients: this dataset contains no scan of any person.

T1w and FLAIR images of digital heads with one chronic lesion in the territory of a middle cerebral
artery, made by bids_stroke-simulate around the MNI152 (ICBM 2009a symmetric) template. Everything
in participants.tsv is invented. The true masks of lesion and brain are in derivatives/truth.
"""
PARTICIPANTS = {
    "age": {"Description": "Age (invented)", "Units": "years"},
    "sex": {"Description": "Sex (invented)", "Levels": {"F": "female", "M": "male"}},
    "nihss": {"Description": "NIH Stroke Scale at admission, 0 to 42 (invented)"},
    "lesion_side": {
        "Description": "Hemisphere of the lesion",
        "Levels": {"left": "left", "right": "right"},
    },
}


def parser() -> CommandParser:
    """Return the parser of the command."""
    command = CommandParser(
        prog="bids_stroke-simulate",
        description="Write a small BIDS dataset of simulated stroke patients with ground-truth masks.",
    )
    command.add_argument("out", type=Path, metavar="OUT", help="new folder for the dataset")
    command.add_argument(
        "--participants",
        type=_within(int, 1, 999),
        default=3,
        metavar="N",
        help="number of participants (default: 3)",
    )
    command.add_argument(
        "--resolution",
        type=_within(float, 1, 4),
        default=1.0,
        metavar="MM",
        help="voxel size of the T1w, 1 to 4 mm; FLAIR slices are 3 mm thicker (default: 1)",
    )
    command.add_argument(
        "--brains",
        type=Path,
        nargs="+",
        metavar="DIR",
        help="folders of skull-stripped T1w images of healthy people, or of label maps of heads, to "
        "add lesions to (default: digital heads around the MNI152 template)",
    )
    command.add_argument(
        "--lesions",
        type=Path,
        nargs="+",
        metavar="DIR",
        help="folders of lesion masks in MNI space, for --brains",
    )
    command.add_argument(
        "--seed", type=_within(int, 0, 2**31), default=1, metavar="N", help="random seed (default: 1)"
    )
    return command


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return the exit status."""
    return run_parsed(parser(), _simulate, argv)


def _simulate(arguments: argparse.Namespace) -> int:
    options = dict(vars(arguments))
    out, brains, lesions = (options.pop(name) for name in ("out", "brains", "lesions"))
    if bool(brains) != bool(lesions):
        raise UsageError("--brains and --lesions must be used together; give both or neither.")
    with new_folder(out) as folder:
        if brains:
            _write_brains(folder, brains=brains, lesions=lesions, **options)
        else:
            _write_heads(folder, **options)
    return 0


def _write_heads(folder: Path, participants: int, resolution: float, seed: int) -> None:
    """Write participants with digital heads around the template."""
    import numpy as np
    import pandas as pd

    from bids_stroke.bids.derivatives import write_json, write_tsv
    from bids_stroke.bids.names import session_name
    from bids_stroke.training.simulation import dataset, phantom, phantom_template, scanner

    truth = folder / "derivatives" / "truth"
    dataset.describe(folder, truth, seed, README, "Simulated stroke patients", licence="CC0")
    template = phantom_template.template(resolution)
    rows = []
    for number in range(1, participants + 1):
        # Each participant has a separate random stream, independent of the number of participants.
        rng = np.random.default_rng([seed, number])
        name, side = session_name(f"{number:02d}"), ("left", "right")[(number - 1) % 2]
        scans, masks = scanner.scan_head(phantom.head(template, side, rng), rng)
        ml = dataset.write_participant(folder, truth, name, scans, masks, dataset.SIDECARS)
        nihss = int(np.clip(round(4 + ml / 6 + rng.normal(0, 2)), 1, 30))
        rows.append((name, int(rng.integers(45, 86)), rng.choice(["F", "M"]), nihss, side))
        print(f"{name}: lesion of {ml:.1f} ml, {side}")
    write_tsv(
        pd.DataFrame(rows, columns=["participant_id", *PARTICIPANTS]), folder / "participants.tsv"
    )
    write_json(PARTICIPANTS, folder / "participants.json")


def _write_brains(
    folder: Path,
    brains: Sequence[Path],
    lesions: Sequence[Path],
    participants: int,
    resolution: float,
    seed: int,
) -> None:
    """Write participants from user-supplied brains and lesion masks."""
    import tempfile

    from bids_stroke.training.simulation import dataset, subjects, synthesis

    recipe = read_recipe("embedded")
    assert isinstance(recipe, SimulationRecipe)
    with tempfile.TemporaryDirectory() as cache:
        heads = [
            subjects.load_subject(path, cache) for path in subjects.find_scans(brains)[:participants]
        ]
    shapes = [shape for path in subjects.find_scans(lesions) if (shape := subjects.load_lesion(path))]
    tile = [round(side * recipe.spacing / resolution) for side in recipe.tile]
    simulator = synthesis.Simulator(heads, shapes, tile, resolution, recipe.synthesis)
    plan: list[dataset.PlannedParticipant] = [
        (number % len(heads), None) for number in range(participants)
    ]
    for name, ml in dataset.write(folder, simulator, plan, seed, synthesis.CONTRASTS):
        print(f"{name}: lesion of {ml:.1f} ml")


def _within(kind: type[int] | type[float], low: float, high: float) -> Callable[[str], int | float]:
    """Return an argparse type for numbers from ``low`` to ``high``."""

    def number(text: str) -> int | float:
        value = kind(text)
        if not low <= value <= high:
            raise argparse.ArgumentTypeError(f"{text} is not between {low} and {high}")
        return value

    number.__name__ = kind.__name__
    return number


if __name__ == "__main__":
    sys.exit(main())
