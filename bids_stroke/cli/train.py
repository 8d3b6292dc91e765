"""``bids_stroke-train``: train a model on real brains with simulated lesions."""

import argparse
import json
import sys
from pathlib import Path

import yaml

from bids_stroke.errors import StrokeError, UsageError


def parser():
    """The command's arguments."""
    command = argparse.ArgumentParser(prog="bids_stroke-train", description=__doc__)
    command.add_argument("recipe", type=Path, metavar="RECIPE", help="YAML file of all settings")
    command.add_argument("out", type=Path, metavar="OUT", help="folder for weights and logs")
    command.add_argument(
        "--brains", type=Path, required=True, metavar="DIR", help="skull-stripped healthy T1w"
    )
    command.add_argument(
        "--lesions",
        type=Path,
        required=True,
        nargs="+",
        metavar="DIR",
        help="lesion masks in MNI space",
    )
    return command


def read_recipe(path):
    """Read a recipe."""
    try:
        recipe = yaml.safe_load(Path(path).read_text())
    except (OSError, yaml.YAMLError) as error:
        raise UsageError(f"{path} cannot be read as a recipe: {error}") from None
    missing = {"network", "training", "synthesis", "held_out"} - set(recipe or {})
    if missing:
        raise UsageError(f"{path} lacks the sections {', '.join(sorted(missing))}.")
    return recipe


def main(argv=None):
    """Entry point; returns the exit status."""
    arguments = parser().parse_args(argv)
    try:
        recipe = read_recipe(arguments.recipe)
        from bids_stroke.training.loop import train  # torch loads slowly

        summary = train(recipe, arguments.out, arguments.brains, arguments.lesions)
    except StrokeError as error:
        print(f"bids_stroke-train: {error}", file=sys.stderr)
        return 2 if isinstance(error, UsageError) else 1
    print(json.dumps(summary, indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
