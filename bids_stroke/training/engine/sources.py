"""Heads and lesions of a recipe for simulated strokes: discovery, split and loading."""

from collections.abc import Sequence
from pathlib import Path
from typing import TypeAlias

from bids_stroke.errors import DatasetError
from bids_stroke.training.recipe_settings import SimulationRecipe
from bids_stroke.training.recipes import PARTS
from bids_stroke.training.simulation import subjects
from bids_stroke.training.simulation.synthesis import Simulator
from bids_stroke.utils.files import PathLike

#: Files by kind: ``heads``, ``lesions``.
Files: TypeAlias = dict[str, list[Path]]
SimulatorInputs: TypeAlias = tuple[Sequence[subjects.Subject], Sequence[subjects.Lesion]]


def find_files(recipe: SimulationRecipe, data: PathLike) -> dict[str, Files]:
    """Files of each part: ``{"training": {"heads": [...], "lesions": [...]}, …}``.

    The recipe's split names the files of validation and test; all others are training files.

    Raises
    ------
    DatasetError
        If a file of the split is missing.
    """
    divided: dict[str, Files] = {part: {kind: [] for kind in recipe.sources} for part in PARTS}
    listed = dict(recipe.split)
    for kind, folders in recipe.sources.items():
        for folder in folders:
            for path in subjects.find_scans([Path(data) / folder]):
                place = path.relative_to(data).as_posix()
                part = listed.pop(place, "training")
                divided[part][kind].append(path)
    if listed:
        raise DatasetError(
            f"{data} lacks {next(iter(listed))}, one of {len(listed)} missing files of the recipe's "
            "split; complete the data, or give the recipe another split."
        )
    return divided


def load_files(files: Files, cache: PathLike) -> SimulatorInputs:
    """Load the files of a part: subjects and lesions, as
    :class:`bids_stroke.training.simulation.synthesis.Simulator` takes them."""
    heads = [subjects.load_subject(path, cache) for path in files["heads"]]
    return heads, [lesion for path in files["lesions"] if (lesion := subjects.load_lesion(path))]


def build_simulator(
    loaded: SimulatorInputs, recipe: SimulationRecipe, device: str = "cpu"
) -> Simulator:
    """The :class:`bids_stroke.training.simulation.synthesis.Simulator` of a recipe, of what
    :func:`bids_stroke.training.engine.sources.load_files` has loaded."""
    return Simulator(*loaded, recipe.tile, recipe.spacing, recipe.synthesis, device)
