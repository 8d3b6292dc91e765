"""Output spaces: the default template, which needs no file, and those of TemplateFlow."""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from bids_stroke.errors import ResourceError, UsageError

from .templates import TEMPLATE

#: Environment variable with TemplateFlow's folder.
HOME_VARIABLE = "TEMPLATEFLOW_HOME"
#: Indices of TemplateFlow's grids, in the order of preference.
RESOLUTIONS = ("1", "2")
_FILES = {"t1w": (None, "T1w"), "brain": ("brain", "mask")}  # desc, suffix


@dataclass(frozen=True)
class Space:
    """A template: ``resolution`` is the value of the res- entity; ``t1w`` (with the skull or
    without) and ``brain`` (mask) lie on one grid, and are None for the default space."""

    name: str
    resolution: str
    t1w: Path | None = None
    brain: Path | None = None


DEFAULT_SPACE = Space(TEMPLATE, RESOLUTIONS[0])


def find_spaces(names: Iterable[str]) -> tuple[Space, ...]:
    """Find the templates of the output spaces.

    Parameters
    ----------
    names : iterable of str
        TemplateFlow's names; its folder is ``$TEMPLATEFLOW_HOME`` or ``~/.cache/templateflow``.

    Returns
    -------
    tuple of Space
        The default space first, whether named or not.

    Raises
    ------
    UsageError
        If TemplateFlow has no such space.
    ResourceError
        If a file is neither there nor to be had from the network.
    """
    others = (name for name in dict.fromkeys(names) if name != DEFAULT_SPACE.name)
    return (DEFAULT_SPACE, *map(_find_space, others))


def _find_space(name: str) -> Space:
    for resolution in RESOLUTIONS:
        paths = _space_paths(name, resolution)
        if all(map(_filled, paths.values())):
            return Space(name, resolution, **paths)
    return _fetch_space(name)


def home() -> Path:
    """TemplateFlow's folder: ``$TEMPLATEFLOW_HOME``, or ``~/.cache/templateflow``."""
    return Path(os.environ.get(HOME_VARIABLE, Path.home() / ".cache" / "templateflow"))


def _space_paths(name: str, resolution: str) -> dict[str, Path]:
    """Where TemplateFlow keeps the files of a space."""
    stem = home() / f"tpl-{name}" / f"tpl-{name}_res-{int(resolution):02}"
    return {
        key: Path(f"{stem}{'_desc-' + desc if desc else ''}_{suffix}.nii.gz")
        for key, (desc, suffix) in _FILES.items()
    }


def _filled(path: Path) -> bool:
    """TemplateFlow keeps an empty file in the place of each that it has not fetched."""
    return path.is_file() and path.stat().st_size > 0


def _fetch_space(name: str) -> Space:
    """Have TemplateFlow download the finest files of a space."""
    paths = _space_paths(name, RESOLUTIONS[0])
    missing = next(path for path in paths.values() if not _filled(path))
    try:
        from templateflow.client import TemplateFlowClient

        client = TemplateFlowClient(root=home())
        client.cache.update(local=True, overwrite=False, silent=True)
        known = all(path.is_file() for path in paths.values())
        for desc, suffix in _FILES.values() if known else ():
            client.get(
                name,
                resolution=int(RESOLUTIONS[0]),
                desc=desc,
                suffix=suffix,
                extension=".nii.gz",
            )
    except Exception as error:  # no network, no permission: either way there is no file
        raise ResourceError(
            f"The template space {name} needs {missing}, which is not there and cannot be downloaded "
            f"({type(error).__name__}); connect to the network once, copy the file there, or leave "
            "the space out."
        ) from None
    if not known:
        raise UsageError(
            f"TemplateFlow has no T1w template of the space {name} with a brain mask; give "
            f"spaces such as {DEFAULT_SPACE.name}, MNI152NLin2009cAsym or MNI152NLin6Asym."
        )
    return Space(name, RESOLUTIONS[0], **paths)
