"""Heads and lesions of a recipe for simulated strokes: discovery, split and loading."""

from collections.abc import Sequence
from pathlib import Path
from typing import TypeAlias

from bids_stroke.training.recipe_settings import SimulationRecipe
from bids_stroke.training.simulation import subjects
from bids_stroke.training.simulation.synthesis import Simulator
from bids_stroke.utils.files import PathLike

#: Files by kind: ``heads``, ``lesions``.
Files: TypeAlias = dict[str, list[Path]]
Material: TypeAlias = tuple[Sequence[subjects.Subject], Sequence[subjects.Lesion]]


def parts(recipe: SimulationRecipe, data: PathLike) -> dict[str, Files]:
    """Files of each part: ``{"training": {"heads": [...], "lesions": [...]}, …}``.

    Each folder of the recipe's ``sources`` is divided by itself, so that every part has its share
    of each.
    """
    divided: dict[str, Files] = {part: {} for part in ("training", "validation", "test")}
    for kind, folders in recipe.sources.items():
        held_out = recipe.held_out[kind]
        for folder in folders:
            files = subjects.scans([Path(data) / folder])
            shares = subjects.split(files, held_out.validation, held_out.test, recipe.seed)
            for part, chosen in zip(divided.values(), shares, strict=True):
                part.setdefault(kind, []).extend(chosen)
    return divided


def material(files: Files, cache: PathLike) -> Material:
    """Load the files of a part: subjects and lesions, as
    :class:`bids_stroke.training.simulation.synthesis.Simulator` takes them."""
    heads = [subjects.subject(path, cache) for path in files["heads"]]
    return heads, [lesion for path in files["lesions"] if (lesion := subjects.lesion(path))]


def simulator(loaded: Material, recipe: SimulationRecipe, device: str = "cpu") -> Simulator:
    """The :class:`bids_stroke.training.simulation.synthesis.Simulator` of a recipe, of what
    :func:`bids_stroke.training.engine.sources.material` has loaded."""
    return Simulator(*loaded, recipe.tile, recipe.spacing, recipe.synthesis, device)
