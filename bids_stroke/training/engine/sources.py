"""Source files (heads and lesions) of a simulation recipe: discovery, split and loading."""

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
    """Find the files of each part: ``{"training": {"heads": [...], "lesions": [...]}, …}``.

    The recipe's split lists the files for validation and test; all others are training files.

    Raises
    ------
    DatasetError
        If a file of the split is missing.
    """
    files: dict[str, Files] = {part: {kind: [] for kind in recipe.sources} for part in PARTS}
    missing = dict(recipe.split)
    for kind, folders in recipe.sources.items():
        for folder in folders:
            for path in subjects.find_scans([Path(data) / folder]):
                part = missing.pop(path.relative_to(data).as_posix(), "training")
                files[part][kind].append(path)
    if missing:
        raise DatasetError(
            f"{data} lacks {next(iter(missing))}, one of {len(missing)} missing files of the recipe's "
            "split; add the files or change the split of the recipe."
        )
    return files


def load_files(files: Files, cache: PathLike) -> SimulatorInputs:
    """Load the subjects and lesions of a part, the inputs of
    :class:`bids_stroke.training.simulation.synthesis.Simulator`."""
    heads = [subjects.load_subject(path, cache) for path in files["heads"]]
    return heads, [lesion for path in files["lesions"] if (lesion := subjects.load_lesion(path))]


def build_simulator(
    loaded: SimulatorInputs, recipe: SimulationRecipe, device: str = "cpu"
) -> Simulator:
    """Build the :class:`bids_stroke.training.simulation.synthesis.Simulator` of a recipe from the
    inputs loaded by :func:`bids_stroke.training.engine.sources.load_files`."""
    return Simulator(*loaded, recipe.tile, recipe.spacing, recipe.synthesis, device)
