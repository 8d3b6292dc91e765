"""Recipes: YAML files with all settings of a training."""

import csv
from pathlib import Path

import yaml

from bids_stroke.data import DATA
from bids_stroke.errors import UsageError
from bids_stroke.models.card import Network
from bids_stroke.utils.files import PathLike

from . import finetuning_recipe
from .recipe_sections import fill, merge
from .recipe_settings import (
    Augmentation,
    DataSettings,
    GridData,
    Input,
    LesionWeights,
    Loss,
    MirrorError,
    NNUNetRecipe,
    NNUNetSettings,
    PatientRecipe,
    RunsRecipe,
    Section,
    SimulationRecipe,
    SimulationTraining,
    SplitRules,
    Stage,
    StagedRecipe,
    StageTraining,
)

RECIPES = DATA / "recipes"
PARTS = ("training", "validation", "test")
#: Required sections of a recipe, by the section that identifies its kind.
SECTIONS = {
    "sources": {"split", "channels", "inputs", "network", "training", "synthesis"},
    "runs": {"data", "split", "training", "card"},
    "stages": {"data", "split", "network", "training", "card"},
    "nnunet": {"data", "split", "card"},
    "finetuning": {"data", "split", "card", "initial", "simulation"},
}


def read_recipe(recipe: PathLike) -> SimulationRecipe | PatientRecipe:
    """Read a recipe by its path or by the name of an embedded recipe.

    Raises
    ------
    UsageError
        If the recipe cannot be read, or lacks a section or a setting.
    """
    content = read_content(recipe)
    if "sources" in content:
        return parse_simulation(content, str(recipe))
    return parse_patients(content, str(recipe))


def read_content(recipe: PathLike) -> Section:
    """Read the unparsed sections of a recipe file, including those of the recipe that it extends.

    Raises
    ------
    UsageError
        If the recipe cannot be read or lacks a section.
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
        content = merge(read_content(content.pop("extends")), content)
    _check_sections(content, str(recipe))
    return content


def parse_simulation(content: Section, source: str) -> SimulationRecipe:
    """Parse a simulation recipe.

    Parameters
    ----------
    content : dict
        ``split`` is the path of a TSV file with the columns ``file`` (``folder/name``) and ``part``.
    source : str
        Name of the recipe in messages.

    Raises
    ------
    UsageError
        If a setting is missing, or the split cannot be read.
    """
    training = dict(content["training"])
    weights = fill(LesionWeights, training.pop("lesion_weights", None), source)
    mirror = content.get("mirror")
    return fill(
        SimulationRecipe,
        content,
        source,
        split=_read_split(content["split"], source),
        network=fill(Network, content["network"], source),
        inputs=[fill(Input, entry, source) for entry in content["inputs"]],
        training=fill(SimulationTraining, training, source, lesion_weights=weights),
        mirror=fill(MirrorError, mirror, source) if mirror else None,
    )


def _read_split(name: str, source: str) -> dict[str, str]:
    """Read the part of each listed file from a TSV file, embedded or at a path."""
    path = RECIPES / name
    path = path if path.is_file() else Path(name)
    try:
        with path.open(newline="") as stream:
            parts = {row["file"]: row["part"] for row in csv.DictReader(stream, delimiter="\t")}
    except (OSError, KeyError, csv.Error, UnicodeDecodeError) as error:
        raise UsageError(f"The split {path} of recipe {source} cannot be read: {error}.") from None
    unknown = set(parts.values()) - set(PARTS)
    if unknown:
        raise UsageError(
            f"{path} has the unknown parts {', '.join(sorted(map(str, unknown)))}; use "
            f"{', '.join(PARTS)}."
        )
    return parts


def parse_patients(content: Section, source: str) -> PatientRecipe:
    """Parse a patient recipe.

    Parameters
    ----------
    content : dict
        Sections of the recipe. ``runs`` holds the changes of each training by its name. ``regimes``
        (optional) holds the stages by the ending of the name; every run is trained in each regime.
    source : str
        Name of the recipe in messages.

    Raises
    ------
    UsageError
        If a setting is missing.
    """
    if "nnunet" in content:
        return fill(
            NNUNetRecipe,
            content,
            source,
            **_shared(content, DataSettings, source),
            nnunet=fill(NNUNetSettings, content["nnunet"], source),
        )
    if "finetuning" in content:
        simulation = read_content(content["simulation"])
        if "sources" not in simulation:
            raise UsageError(
                f"{source} has the simulation {content['simulation']}, which is not a recipe of "
                "simulated strokes; use embedded."
            )
        return finetuning_recipe.parse(content, parse_simulation(simulation, source), source)
    if "runs" in content:
        runs = {name: _staged(run, source) for name, run in _expanded(content).items()}
        shared = _shared(content, GridData, source)
        return fill(RunsRecipe, content, source, **shared, runs=runs)
    return _staged(content, source)


def _check_sections(content: Section, source: str) -> None:
    engine = next((name for name in SECTIONS if name in content), None)
    if not engine:
        raise UsageError(
            f"{source} lacks the sections of a recipe; it must have one of {', '.join(SECTIONS)}."
        )
    missing = SECTIONS[engine] - set(content)
    if missing:
        raise UsageError(f"{source} lacks the sections {', '.join(sorted(missing))}.")


def _staged(content: Section, source: str) -> StagedRecipe:
    training, stages = dict(content["training"]), {}
    if "stages" in content:
        stages["stages"] = [fill(Stage, stage, source) for stage in content["stages"]]
    if "loss" in training:
        training["loss"] = fill(Loss, training["loss"], source)
    if training.get("augmentation"):
        training["augmentation"] = fill(Augmentation, training["augmentation"], source)
    return fill(
        StagedRecipe,
        content,
        source,
        **_shared(content, GridData, source),
        **stages,
        network=fill(Network, content["network"], source),
        training=fill(StageTraining, training, source),
    )


def _shared(content: Section, data: type[DataSettings], source: str) -> Section:
    """Parse the settings shared by all recipes for patients."""
    return {
        "data": fill(data, content["data"], source),
        "split": fill(SplitRules, content["split"], source),
        "content": content,
    }


def _expanded(content: Section) -> dict[str, Section]:
    """Return the content of every training of a recipe with ``runs``."""
    excluded = ("runs", "regimes", "ensembles")
    base = {key: value for key, value in content.items() if key not in excluded}
    regimes = content.get("regimes") or {"": None}
    return {
        name + ending: merge(base, changes)
        | {"name": name + ending}
        | ({"stages": stages} if stages else {})
        for ending, stages in regimes.items()
        for name, changes in content["runs"].items()
    }
