"""Files and folders of the host that a run needs, for containers that see nothing else."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields
from pathlib import Path

from bids_stroke.atlases.maps import Maps
from bids_stroke.data import DATA
from bids_stroke.models import catalog
from bids_stroke.models.card import Card
from bids_stroke.models.ensembles import Model
from bids_stroke.settings import Settings
from bids_stroke.spatial import template_spaces
from bids_stroke.utils.cache import HOME_VARIABLE, cache_dir

#: Settings that name the folders that a run writes.
WRITTEN = ("output_dir", "work_dir")


@dataclass(frozen=True)
class HostPaths:
    """What a run needs of the host.

    Attributes
    ----------
    read, written : tuple of Path
        Existing files and folders that it reads, each once, and folders that it writes.
    environment : dict of str to str
        Variables that lead to caches among them.
    """

    read: tuple[Path, ...]
    written: tuple[Path, ...]
    environment: dict[str, str]


def find_host_paths(settings: Settings) -> HostPaths:
    """Find the files and folders of the host that a run needs.

    Every setting that holds a path counts, and so does what the cards of the model and the tracts and
    the output spaces name.

    Raises
    ------
    StrokeError
        If a card cannot be read.
    """
    values = {field.name: getattr(settings, field.name) for field in fields(settings)}
    written = [values.pop(name) for name in WRITTEN]
    maps = Maps(settings.tracts, settings.cutoffs_ml, settings.atlases)
    cards = filter(Path.is_file, map(Path, settings.tracts))
    read = [*paths_in(values.values()), *cards, *maps.files]
    templates: list[Path] = []
    if settings.level == "participant":
        templates += _template_files([*settings.output_spaces, *maps.registered_spaces])
        if not settings.lesion_derivatives:
            read += _model_files(catalog.load(settings.model))
    environment = {}
    if templates:
        environment[template_spaces.HOME_VARIABLE] = str(template_spaces.home())
    if maps.registered_spaces or any(path.is_relative_to(cache_dir()) for path in read):
        written.append(cache_dir())
        environment[HOME_VARIABLE] = str(cache_dir())
    return HostPaths(_existing([*read, *templates]), tuple(written), environment)


def _existing(paths: Iterable[Path]) -> tuple[Path, ...]:
    """Each path once, in order, without those that do not exist and those of the package."""
    absolute = dict.fromkeys(path.absolute() for path in paths)
    return tuple(path for path in absolute if path.exists() and not path.is_relative_to(DATA))


def paths_in(values: Iterable[object]) -> Iterator[Path]:
    """Yield the paths among values, however they are nested."""
    for value in values:
        if isinstance(value, Path):
            yield value
        elif isinstance(value, tuple | list):
            yield from paths_in(value)
        elif isinstance(value, dict):
            yield from paths_in(value.values())


def _template_files(spaces: Iterable[str]) -> Iterator[Path]:
    """Files of TemplateFlow."""
    for space in template_spaces.find_spaces(spaces):
        yield from (path for path in (space.t1w, space.brain) if path)


def _model_files(model: Model) -> Iterator[Path]:
    """Cards of a model and of its members, and their weights; the folder of an nnU-Net."""
    yield Path(str(model.path).partition("?")[0])  # without the choice of folds
    if isinstance(model, Card):
        yield from map(model.weights_path, model.all_weights)
        return
    for member in model.members:
        yield from _model_files(member)
