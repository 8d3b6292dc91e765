"""Output spaces: the default template, which needs no files, and TemplateFlow templates."""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from platformdirs import user_cache_path

from bids_stroke.errors import ResourceError, UsageError

from .templates import TEMPLATE

#: Environment variable with the TemplateFlow folder.
HOME_VARIABLE = "TEMPLATEFLOW_HOME"
#: Resolution indices of TemplateFlow, in order of preference.
RESOLUTIONS = ("1", "2")
_FILES = {"t1w": (None, "T1w"), "brain": ("brain", "mask")}  # desc, suffix


@dataclass(frozen=True)
class Space:
    """A template space: ``resolution`` is the value of the ``res-`` entity; ``t1w`` (with or without
    skull) and ``brain`` (mask) are on the same grid, and are None for the default space."""

    name: str
    resolution: str
    t1w: Path | None = None
    brain: Path | None = None


DEFAULT_SPACE = Space(TEMPLATE, RESOLUTIONS[0])


def find_spaces(names: Iterable[str]) -> tuple[Space, ...]:
    """Find the templates of the output spaces, and download missing TemplateFlow templates.

    Parameters
    ----------
    names : iterable of str
        TemplateFlow names.

    Returns
    -------
    tuple of Space
        The default space, whether named or not, followed by the other spaces.

    Raises
    ------
    UsageError
        If TemplateFlow has no such space.
    ResourceError
        If a file is missing and cannot be downloaded.
    """
    others = (name for name in dict.fromkeys(names) if name != DEFAULT_SPACE.name)
    return (DEFAULT_SPACE, *map(_find_space, others))


def _find_space(name: str) -> Space:
    for resolution in RESOLUTIONS:
        paths = _space_paths(name, resolution)
        if all(map(_is_downloaded, paths.values())):
            return Space(name, resolution, **paths)
    return _fetch_space(name)


def home() -> Path:
    """Return the TemplateFlow folder: ``$TEMPLATEFLOW_HOME``, or TemplateFlow's default.

    The default on Linux is ``$XDG_CACHE_HOME/templateflow`` or ``~/.cache/templateflow``.
    """
    # TemplateFlow itself writes to its folder when it is imported.
    return Path(os.environ.get(HOME_VARIABLE) or user_cache_path("templateflow"))


def _space_paths(name: str, resolution: str) -> dict[str, Path]:
    """Return the paths where TemplateFlow stores the files of a space."""
    stem = home() / f"tpl-{name}" / f"tpl-{name}_res-{int(resolution):02}"
    return {
        key: Path(f"{stem}{'_desc-' + desc if desc else ''}_{suffix}.nii.gz")
        for key, (desc, suffix) in _FILES.items()
    }


def _is_downloaded(path: Path) -> bool:
    """Return whether a file is downloaded; until then, TemplateFlow stores an empty file."""
    return path.is_file() and path.stat().st_size > 0


def _fetch_space(name: str) -> Space:
    """Download the files of a space in the finest resolution from TemplateFlow."""
    paths = _space_paths(name, RESOLUTIONS[0])
    missing = next(path for path in paths.values() if not _is_downloaded(path))
    try:
        from templateflow.client import TemplateFlowClient

        client = TemplateFlowClient(root=home())
        client.cache.update(local=True, overwrite=False, silent=True)
        exists = all(path.is_file() for path in paths.values())
        for desc, suffix in _FILES.values() if exists else ():
            client.get(
                name,
                resolution=int(RESOLUTIONS[0]),
                desc=desc,
                suffix=suffix,
                extension=".nii.gz",
            )
    except Exception as error:  # such as no network or no permission
        raise ResourceError(
            f"The template space {name} needs {missing}, which is missing and cannot be downloaded "
            f"({type(error).__name__}); run once with network access, copy the file to this path, or "
            "omit the space."
        ) from None
    if not exists:
        raise UsageError(
            f"TemplateFlow has no T1w template with a brain mask for the space {name}; use spaces such "
            f"as {DEFAULT_SPACE.name}, MNI152NLin2009cAsym or MNI152NLin6Asym, without modifiers such "
            "as :res-2."
        )
    return Space(name, RESOLUTIONS[0], **paths)
