"""Recipes of several trainings: one per network and regime, or per plane."""

from pathlib import Path

import yaml

from bids_stroke.data import DATA
from bids_stroke.errors import UsageError

RECIPES = DATA / "recipes"
#: What a recipe holds, by the engine that trains it.
SECTIONS = {
    "sources": {"held_out", "channels", "inputs", "network", "training", "synthesis"},
    "runs": {"data", "split", "training", "card"},
    "stages": {"data", "split", "network", "training", "card"},
    "nnunet": {"data", "split", "card"},
}


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
    content = content if isinstance(content, dict) else {}
    if "extends" in content:
        content = merged(read_recipe(content.pop("extends")), content)
    engine = next((name for name in SECTIONS if name in content), None)
    if not engine:
        raise UsageError(
            f"{recipe} lacks the sections of a recipe; it needs one of {', '.join(SECTIONS)}."
        )
    missing = SECTIONS[engine] - set(content)
    if missing:
        raise UsageError(f"{recipe} lacks the sections {', '.join(sorted(missing))}.")
    return content


def merged(base, changes):
    """Sections of ``base``, changed where ``changes`` says so; None takes a key out."""
    both = {key: value for key, value in base.items() if changes.get(key, value) is not None}
    for key, value in changes.items():
        if isinstance(value, dict) and isinstance(base.get(key), dict):
            both[key] = merged(base[key], value)
        elif value is not None:
            both[key] = value
    return both


def expand_runs(recipe):
    """Recipe of every training of a recipe with ``runs``.

    Parameters
    ----------
    recipe : dict
        ``runs`` holds, by name, what a training changes in the recipe; ``regimes``, if there, the
        stages by the ending of the name, and every run is trained in each regime.

    Returns
    -------
    dict of str to dict
    """
    left_out = ("runs", "regimes", "ensembles")
    base = {key: value for key, value in recipe.items() if key not in left_out}
    regimes = recipe.get("regimes") or {"": None}
    return {
        name + ending: merged(base, changes)
        | {"name": name + ending}
        | ({"stages": stages} if stages else {})
        for ending, stages in regimes.items()
        for name, changes in recipe["runs"].items()
    }
