"""Files and folders of the host that a run needs, to be mounted in a container."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields
from pathlib import Path

from bids_stroke.atlases.maps import Maps
from bids_stroke.data import DATA
from bids_stroke.models import brain_extraction, catalog
from bids_stroke.models.card import Card
from bids_stroke.models.ensembles import Model
from bids_stroke.settings import Settings
from bids_stroke.spatial import template_spaces
from bids_stroke.utils.cache import HOME_VARIABLE, cache_dir

#: Settings with the folders that a run writes to.
WRITTEN = ("output_dir", "work_dir")


@dataclass(frozen=True)
class HostPaths:
    """Files, folders and environment variables of the host that a run needs.

    Attributes
    ----------
    read, written : tuple of Path
        Existing input files and folders, without duplicates, and output folders.
    environment : dict of str to str
        Variables with the locations of caches.
    """

    read: tuple[Path, ...]
    written: tuple[Path, ...]
    environment: dict[str, str]


def find_host_paths(settings: Settings) -> HostPaths:
    """Find the files and folders of the host that a run needs.

    These are the paths in the settings, and the files of the model, the tracts and the output spaces.

    Raises
    ------
    StrokeError
        If a card cannot be read.
    """
    values = {field.name: getattr(settings, field.name) for field in fields(settings)}
    written = [values.pop(name) for name in WRITTEN]
    maps = Maps(settings.tracts, settings.cutoffs_ml, settings.atlases)
    cards = filter(Path.is_file, map(Path, settings.tracts))
    read = [*_paths_in(values.values()), *cards, *maps.files]
    templates: list[Path] = []
    if settings.level == "participant":
        templates += _template_files([*settings.output_spaces, *maps.registered_spaces])
        if not settings.lesion_derivatives:
            read += _model_files(catalog.load(settings.model))
        if network := brain_extraction.find_network(settings.brain_extraction):
            read += _model_files(network.card)
    environment = {}
    if templates:
        environment[template_spaces.HOME_VARIABLE] = str(template_spaces.home())
    if maps.registered_spaces or any(path.is_relative_to(cache_dir()) for path in read):
        written.append(cache_dir())
        environment[HOME_VARIABLE] = str(cache_dir())
    return HostPaths(_existing([*read, *templates]), tuple(written), environment)


def _existing(paths: Iterable[Path]) -> tuple[Path, ...]:
    """Return the existing paths outside of the package, in order and without duplicates."""
    absolute = dict.fromkeys(path.absolute() for path in paths)
    return tuple(path for path in absolute if path.exists() and not path.is_relative_to(DATA))


def _paths_in(values: Iterable[object]) -> Iterator[Path]:
    """Yield the paths in arbitrarily nested values."""
    for value in values:
        if isinstance(value, Path):
            yield value
        elif isinstance(value, tuple | list):
            yield from _paths_in(value)
        elif isinstance(value, dict):
            yield from _paths_in(value.values())


def _template_files(spaces: Iterable[str]) -> Iterator[Path]:
    """Yield the TemplateFlow files of template spaces."""
    for space in template_spaces.find_spaces(spaces):
        yield from (path for path in (space.t1w, space.brain) if path)


def _model_files(model: Model) -> Iterator[Path]:
    """Yield the cards and weights of a model and its members, or the folder of an nnU-Net."""
    yield Path(str(model.path).partition("?")[0])  # without the selection of folds
    if isinstance(model, Card):
        yield from map(model.weights_path, model.all_weights)
        return
    for member in model.members:
        yield from _model_files(member)
