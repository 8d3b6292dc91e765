"""Commands in an Apptainer image in which only the folders and files of the run are mounted."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bids_stroke.errors import UsageError
from bids_stroke.execution.host_paths import find_host_paths
from bids_stroke.models import brain_extraction, catalog
from bids_stroke.settings import NNUNET, Settings


def commands(settings: Settings, group: Settings, image: Path) -> tuple[list[str], list[str]]:
    """Create the commands that run ``bids_stroke`` and ``bids_stroke-slurm`` in an image.

    Parameters
    ----------
    settings, group : Settings
        Settings of the participant level and of the group level.
    image : Path
        Apptainer image, as an absolute path.

    Raises
    ------
    UsageError
        If Apptainer cannot bind a path.
    """
    needed = [find_host_paths(settings), find_host_paths(group)]
    for path in (*needed[0].written, *needed[1].written):
        path.mkdir(parents=True, exist_ok=True)
    start = ["apptainer", "exec", "--containall", "--no-home"]
    start += [] if settings.device == "cpu" else ["--nv"]
    for name, value in {**needed[1].environment, **needed[0].environment}.items():
        start += ["--env", f"{name}={value}"]
    inputs = (f"{_bindable(path)}:{path}:ro" for paths in needed for path in paths.read)
    # Output folders come last, since they may be inside of the dataset.
    outputs = (str(_bindable(path)) for paths in needed for path in paths.written)
    for bind in dict.fromkeys([*inputs, *outputs]):
        start += ["--bind", bind]
    return [*start, str(image), "bids_stroke"], [*start, str(image), "bids_stroke-slurm"]


def _bindable(path: Path) -> Path:
    """Return a path that Apptainer can bind.

    Raises
    ------
    UsageError
        If the path contains a character that separates the parts of a bind specification.
    """
    if set(str(path)) & set(",:"):
        raise UsageError(f"{path} has a comma or a colon, so Apptainer cannot bind it; rename it.")
    return path


def with_bound_models(settings: Settings, options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options of a command in an image, with the paths of the models that are bound.

    Parameters
    ----------
    settings : Settings
        Settings of the participant level.
    options : mapping of str to object
        Given options of ``bids_stroke``, with absolute paths.
    """
    bound = dict(options)
    # Links to a card or a folder are resolved, since the target is bound.
    if not settings.lesion_derivatives and settings.model not in catalog.names():
        bound["model"] = str(catalog.load(settings.model).path)
    if network := brain_extraction.find_network(settings.brain_extraction):
        bound["brain_extraction"] = f"{NNUNET}{network.card.path}"
    return bound
