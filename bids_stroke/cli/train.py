"""``bids_stroke-train``: train a model on patients with lesion masks, or on simulated strokes."""

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from bids_stroke.errors import StrokeError, UsageError
from bids_stroke.training.recipe_settings import PatientRecipe, SimulationRecipe
from bids_stroke.training.recipes import RECIPES, read_recipe

from .encoding import start_in_utf8


def parser() -> argparse.ArgumentParser:
    """The command's arguments."""
    command = argparse.ArgumentParser(
        prog="bids_stroke-train",
        usage="bids_stroke-train RECIPE BIDS_DIR [BIDS_DIR …] OUT --labels DIR [DIR …] [options]\n"
        "       bids_stroke-train RECIPE OUT --data DIR [--minutes N] [--decay CHECKPOINT]",
        description="Train a model on patients with lesion masks, or on simulated strokes. The same "
        "command again continues a training that was interrupted.",
    )
    shipped = ", ".join(sorted(path.stem for path in RECIPES.glob("*.yaml")))
    command.add_argument(
        "recipe", metavar="RECIPE", help=f"YAML file of all settings, or one that is shipped: {shipped}"
    )
    command.add_argument(
        "bids_dirs", nargs="*", type=Path, metavar="BIDS_DIR", help="datasets of patients"
    )
    command.add_argument("out", type=Path, metavar="OUT", help="folder for weights and logs")
    command.add_argument(
        "--initial", metavar="MODEL", help="model, card or nnunet:FOLDER to start from and to adapt"
    )
    patients = command.add_argument_group("patients")
    patients.add_argument(
        "--labels",
        nargs="+",
        type=Path,
        default=[],
        metavar="DIR",
        help="where the lesion masks of each dataset lie, in the order of the datasets",
    )
    patients.add_argument(
        "--split", type=Path, metavar="TSV", help="participant_id and part of each, instead of a draw"
    )
    patients.add_argument(
        "--fold", type=int, metavar="N", help="the fold that validates, for recipes with folds (0)"
    )
    patients.add_argument(
        "--nprocs", type=int, default=1, metavar="N", help="scans prepared side by side (1)"
    )
    simulated = command.add_argument_group("simulated strokes")
    simulated.add_argument(
        "--data",
        type=Path,
        metavar="DIR",
        help="folder that holds the folders of the recipe's sources",
    )
    simulated.add_argument(
        "--minutes",
        type=float,
        metavar="N",
        help="duration of this call (until it is interrupted; for --decay, by the recipe)",
    )
    simulated.add_argument(
        "--decay",
        type=Path,
        metavar="CHECKPOINT",
        help="checkpoint of another training, from which the learning rate decays to zero",
    )
    return command


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point; returns the exit status."""
    start_in_utf8(argv)
    arguments = parser().parse_intermixed_args(argv)
    try:
        recipe = read_recipe(arguments.recipe)
        if isinstance(recipe, SimulationRecipe):
            summary = _simulated(recipe, arguments)
        else:
            summary = _patients(recipe, arguments)
    except StrokeError as error:
        print(f"bids_stroke-train: {error}", file=sys.stderr)
        return 2 if isinstance(error, UsageError) else 1
    print(json.dumps(summary, indent=2))
    return 0


def _patients(recipe: PatientRecipe, arguments: argparse.Namespace) -> dict[str, Any]:
    folders, labels = arguments.bids_dirs, arguments.labels
    if not folders:
        raise UsageError(f"{arguments.recipe} trains on patients; name a BIDS dataset before OUT.")
    if len(labels) != len(folders):
        raise UsageError(
            f"--labels names {len(labels)} folders of masks for {len(folders)} datasets; name one each."
        )
    if arguments.minutes is not None or arguments.decay:
        raise UsageError("--minutes and --decay go with simulated strokes; leave them out.")
    with _libraries():
        from bids_stroke.training.run import train_on_patients
    return train_on_patients(
        recipe,
        list(zip(folders, labels, strict=True)),
        arguments.out,
        split_path=arguments.split,
        fold=arguments.fold,
        initial=arguments.initial,
        processes=arguments.nprocs,
        report=lambda line: print(line, file=sys.stderr),
    )


def _simulated(recipe: SimulationRecipe, arguments: argparse.Namespace) -> dict[str, Any]:
    if arguments.bids_dirs or arguments.labels:
        raise UsageError(f"{arguments.recipe} trains on simulated strokes; give OUT alone, and --data.")
    if arguments.data is None:
        raise UsageError("Name the folder of the training data with --data.")
    if arguments.minutes is not None and not arguments.minutes > 0:
        raise UsageError(f"--minutes is {arguments.minutes:g}; give a positive number.")
    if arguments.initial and arguments.decay:
        raise UsageError("--decay starts from its checkpoint; leave --initial out.")
    with _libraries():
        from bids_stroke.training.engine.loop import train_on_simulations
        from bids_stroke.training.run import source_card
    summary = train_on_simulations(
        recipe,
        arguments.out,
        arguments.data,
        minutes=arguments.minutes,
        initial=source_card(arguments.initial or recipe.initial),
        decay_from=arguments.decay,
    )
    return asdict(summary)


@contextmanager
def _libraries() -> Iterator[None]:
    """Context of imports that load slowly and are not always installed."""
    try:
        yield
    except ModuleNotFoundError as error:
        raise UsageError(
            f"Training needs {error.name}; install it with pip install bids_stroke[train]."
        ) from None


if __name__ == "__main__":
    sys.exit(main())
