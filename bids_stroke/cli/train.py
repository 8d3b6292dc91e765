"""``bids_stroke-train``: train a model on simulated strokes."""

import argparse
import json
import os
import sys
from importlib.resources import files
from pathlib import Path

import yaml

from bids_stroke.errors import StrokeError, UsageError

RECIPES = Path(str(files("bids_stroke") / "data" / "recipes"))
SECTIONS = {"sources", "held_out", "channels", "inputs", "network", "training", "synthesis"}


def parser():
    """The command's arguments."""
    command = argparse.ArgumentParser(
        prog="bids_stroke-train",
        description="Train a model on simulated strokes. The same command again continues a "
        "training that was interrupted.",
    )
    shipped = ", ".join(sorted(path.stem for path in RECIPES.glob("*.yaml")))
    command.add_argument(
        "recipe", metavar="RECIPE", help=f"YAML file of all settings, or one that is shipped: {shipped}"
    )
    command.add_argument("out", type=Path, metavar="OUT", help="folder for weights and logs")
    command.add_argument(
        "--data",
        type=Path,
        metavar="DIR",
        help="where the folders of the recipe's sources lie (default: $BIDS_STROKE_SHARED/data)",
    )
    return command


def read_recipe(recipe):
    """Read a recipe by its path, or by the name of a shipped one.

    Raises
    ------
    UsageError
        If it cannot be read or lacks a section.
    """
    path = RECIPES / f"{recipe}.yaml"
    path = path if path.is_file() else Path(recipe)
    try:
        content = yaml.safe_load(path.read_text())
    except (OSError, yaml.YAMLError, UnicodeDecodeError) as error:
        reason = " ".join(str(error).split())
        raise UsageError(f"{recipe} cannot be read as a recipe: {reason}.") from None
    missing = SECTIONS - set(content if isinstance(content, dict) else ())
    if missing:
        raise UsageError(f"{recipe} lacks the sections {', '.join(sorted(missing))}.")
    return content


def main(argv=None):
    """Entry point; returns the exit status."""
    arguments = parser().parse_args(argv)
    try:
        recipe = read_recipe(arguments.recipe)
        summary = _train(recipe, arguments.out, arguments.data)
    except StrokeError as error:
        print(f"bids_stroke-train: {error}", file=sys.stderr)
        return 2 if isinstance(error, UsageError) else 1
    print(json.dumps(summary, indent=2))
    return 0


def _train(recipe, out, data):
    if data is None:
        if "BIDS_STROKE_SHARED" not in os.environ:
            raise UsageError("Name the folder of the training data with --data.")
        data = Path(os.environ["BIDS_STROKE_SHARED"]) / "data"
    try:
        from bids_stroke.training.loop import train  # torch loads slowly
    except ModuleNotFoundError as error:
        raise UsageError(
            f"Training needs {error.name}; install it with pip install bids_stroke[train]."
        ) from None
    return train(recipe, out, data)


if __name__ == "__main__":
    sys.exit(main())
