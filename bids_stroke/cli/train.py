"""``bids_stroke-train``: train a model on patients with lesion masks, or on simulated strokes."""

import argparse
import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from importlib import import_module
from pathlib import Path
from typing import Any

from bids_stroke.errors import UsageError
from bids_stroke.training.finetuning_recipe import FinetuningRecipe
from bids_stroke.training.recipe_settings import PatientRecipe, SimulationRecipe
from bids_stroke.training.recipes import RECIPES, read_recipe

from .command import CommandParser, run
from .option_groups import positive


def parser() -> CommandParser:
    """Return the parser of the command."""
    command = CommandParser(
        prog="bids_stroke-train",
        usage="bids_stroke-train RECIPE BIDS_DIR [BIDS_DIR …] OUT --labels DIR [DIR …] [options]\n"
        "       bids_stroke-train finetune BIDS_DIR OUT --labels CORRECTIONS [--minutes N]\n"
        "       bids_stroke-train RECIPE OUT --data DIR [--minutes N] [--decay CHECKPOINT]",
        description="Train a model on patients with lesion masks or on simulated strokes, or fine-tune "
        "a model on corrected masks. Run the same command again to continue an interrupted training.",
    )
    shipped = ", ".join(sorted(path.stem for path in RECIPES.glob("*.yaml")))
    command.add_argument(
        "recipe",
        metavar="RECIPE",
        help=f"YAML file with all settings, or the name of an included recipe: {shipped}",
    )
    command.add_argument(
        "bids_dirs", nargs="*", type=Path, metavar="BIDS_DIR", help="BIDS datasets of patients"
    )
    command.add_argument("out", type=Path, metavar="OUT", help="output folder for weights and logs")
    command.add_argument(
        "--initial",
        metavar="MODEL",
        help="initial model: a name, a model card or nnunet:FOLDER; its channels are adapted",
    )
    patients = command.add_argument_group("patients")
    patients.add_argument(
        "--labels",
        nargs="+",
        type=Path,
        default=[],
        metavar="DIR",
        help="folders of the lesion masks of each dataset, in the order of the datasets",
    )
    patients.add_argument(
        "--split",
        type=Path,
        metavar="TSV",
        help="table with participant_id and part of each participant, instead of a random split",
    )
    patients.add_argument(
        "--fold",
        type=int,
        metavar="N",
        help="validation fold, for recipes with cross-validation (default: 0)",
    )
    patients.add_argument(
        "--nprocs",
        type=positive,
        metavar="N",
        help="number of scans to prepare in parallel (default: 1)",
    )
    simulated = command.add_argument_group("simulated strokes and fine-tuning")
    simulated.add_argument(
        "--data",
        type=Path,
        metavar="DIR",
        help="folder that contains the source folders of the recipe; optional for fine-tuning, which "
        "simulates strokes in the heads of the participants",
    )
    simulated.add_argument(
        "--minutes",
        type=float,
        metavar="N",
        help="duration of this run (default: until interrupted; with --decay and for fine-tuning, "
        "defined by the recipe)",
    )
    simulated.add_argument(
        "--decay",
        type=Path,
        metavar="CHECKPOINT",
        help="checkpoint of another training to continue, with the learning rate decaying to zero",
    )
    return command


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return the exit status."""
    command = parser()
    return run(command.prog, lambda: _train(command.parse_intermixed_args(argv)), argv)


def _train(arguments: argparse.Namespace) -> int:
    recipe = read_recipe(arguments.recipe)
    if isinstance(recipe, SimulationRecipe):
        summary = _simulated(recipe, arguments)
    else:
        summary = _patients(recipe, arguments)
    print(json.dumps(summary, indent=2))
    return 0


def _refuse(arguments: argparse.Namespace, names: Iterable[str], recipes: str) -> None:
    """Raise an error if an option is given that only other recipes use."""
    for name in names:
        if getattr(arguments, name) is not None:
            raise UsageError(f"--{name} has no effect on {recipes}; remove it.")


def _check_minutes(minutes: float | None) -> None:
    if minutes is not None and not minutes > 0:
        raise UsageError(f"--minutes is {minutes:g}; give a positive number.")


def _patients(recipe: PatientRecipe, arguments: argparse.Namespace) -> dict[str, Any]:
    folders, labels = arguments.bids_dirs, arguments.labels
    if not folders:
        raise UsageError(f"{arguments.recipe} trains on patients; give a BIDS dataset before OUT.")
    if len(labels) != len(folders):
        raise UsageError(
            f"--labels has {len(labels)} folders of masks for {len(folders)} datasets; give one per "
            "dataset."
        )
    if arguments.split and not arguments.split.is_file():
        raise UsageError(f"{arguments.split} does not exist or is not a file; check --split.")
    if isinstance(recipe, FinetuningRecipe):
        _refuse(arguments, ("decay", "fold"), "fine-tuning")
    else:
        _refuse(arguments, ("data", "minutes", "decay"), "a training on patients")
    _check_minutes(arguments.minutes)
    with _libraries():
        import_module("lightning")  # which the engines import only after the preparation
        from bids_stroke.training.run import train_on_patients
    return train_on_patients(
        recipe,
        list(zip(folders, labels, strict=True)),
        arguments.out,
        split_path=arguments.split,
        fold=arguments.fold,
        initial=arguments.initial,
        processes=arguments.nprocs or 1,
        sources=arguments.data,
        minutes=arguments.minutes,
        report=lambda line: print(line, file=sys.stderr),
    )


def _simulated(recipe: SimulationRecipe, arguments: argparse.Namespace) -> dict[str, Any]:
    if arguments.bids_dirs or arguments.labels:
        raise UsageError(f"{arguments.recipe} trains on simulated strokes; give only OUT and --data.")
    _refuse(arguments, ("split", "fold", "nprocs"), "a training on simulated strokes")
    if arguments.data is None:
        raise UsageError("The training data are missing; give their folder with --data.")
    _check_minutes(arguments.minutes)
    if arguments.initial and arguments.decay:
        raise UsageError("--decay starts from its own checkpoint; remove --initial.")
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
    """Report missing packages during the import of optional dependencies."""
    try:
        yield
    except ModuleNotFoundError as error:
        raise UsageError(
            f"Training needs {error.name}; install it with pip install bids_stroke[train]."
        ) from None


if __name__ == "__main__":
    sys.exit(main())
