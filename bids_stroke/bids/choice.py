"""Choice of one image of a contrast: excluded images, and the order of preference of the others.

``docs/files.md`` lists these rules.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import nibabel as nib
import numpy as np
from nibabel.affines import voxel_sizes

from bids_stroke.errors import ImageError
from bids_stroke.spatial import grid, headers, image

from . import filters
from .filters import Filter
from .names import Name, comparable, in_scanner_space, natural_key
from .sessions import Selection, Unused
from .sidecars import has_contrast_agent

#: Minimum field of view (mm) that covers an adult brain: left-right, posterior-anterior,
#: inferior-superior.
BRAIN_MM = (120, 150, 110)
#: Voxel volumes are equal if they differ by less than this fraction.
_SAME_VOLUME = 0.01
_COMPLEX_PARTS = ("phase", "real", "imag")
_FIRST = float("-inf")


def usable(
    contrast: str,
    paths: Iterable[Path],
    values: Filter,
    selection: Selection,
    template: str | None = None,
) -> list[Path]:
    """Return the usable images of a contrast; add the others to the unused files of the selection.

    Parameters
    ----------
    contrast : str
    paths : iterable of Path
    values : mapping
        Filter of the contrast. It can select single inversions of MP2RAGE and images in other spaces,
        but not the phase, real or imaginary part of a complex image.
    selection : Selection
    template : str, optional
        Template space of the images; scanner space by default.
    """
    usable_paths = []
    for path in paths:
        if reason := _exclusion(contrast, path, filters.for_pybids(values), template):
            selection.unused.append(Unused(path, reason, excluded=True))
        else:
            usable_paths.append(path)
    return usable_paths


def _exclusion(contrast: str, path: Path, values: Filter, template: str | None) -> str | None:
    """Return why an image is excluded, or None if it is usable."""
    entities = Name.parse(path).entities
    space = entities.get("space")
    if (part := entities.get("part")) in _COMPLEX_PARTS:
        return f"part-{part} is not a magnitude image"
    if "inv" in entities and "inv" not in values:
        return f"inv-{entities['inv']} is a single inversion of MP2RAGE; filter by inv to use it"
    if template:
        return None if space == template else f"it is not in {template}, the space of the lesion mask"
    if not in_scanner_space(space, contrast) and "space" not in values:
        return f"it is in space {space}; filter by space to use it"
    return None


@dataclass(frozen=True)
class _Candidate:
    """A usable image of a contrast."""

    contrast: str
    path: Path
    orientation: str | None

    @cached_property
    def name(self) -> Name:
        return Name.parse(self.path)

    @cached_property
    def problem(self) -> str | None:
        """Problem with the header of the image; None if the header is valid."""
        try:
            image.check_header(self.path, self.orientation)
        except ImageError as error:
            return str(error)
        return None

    @cached_property
    def header(self) -> nib.Nifti1Image | None:
        try:
            return image.open_image(self.path, self.orientation)
        except Exception:  # ``problem`` describes the error
            return None

    @cached_property
    def field_mm(self) -> tuple[float, ...]:
        """Field of view (mm): left-right, posterior-anterior, inferior-superior; 0 if unusable."""
        if self.problem is not None or self.header is None:
            return (0, 0, 0)
        axes = nib.io_orientation(self.header.affine)[:, 0].astype(int)
        sides = np.array(self.header.shape[:3]) * voxel_sizes(self.header.affine)
        return tuple(float(sides[list(axes).index(axis)]) for axis in range(3))

    @property
    def voxel_mm3(self) -> float:
        volume = grid.voxel_volume(self.header) if self.header is not None else np.inf
        return volume if np.isfinite(volume) else np.inf

    def number(self, key: str) -> float | None:
        """Return the value of a numbered entity, or None without it."""
        value = comparable(key, self.name.entities.get(key))
        return value if isinstance(value, int) else None


@dataclass(frozen=True)
class _Rule:
    """A preference: the candidates with the smallest ``measure`` remain.

    ``text`` describes the chosen image. ``reason`` states why another image is not chosen. If
    ``clear`` is False, the rule chooses among images that are all suitable, so the choice is ambiguous.
    """

    text: str
    measure: Callable[[_Candidate], float]
    reason: Callable[[_Candidate], str]
    clear: bool = False
    tolerance: float = 0

    def split(self, candidates: Sequence[_Candidate]) -> tuple[list[_Candidate], list[_Candidate]]:
        """Split candidates into those that remain and those that do not."""
        limit = min(map(self.measure, candidates))
        limit *= 1 + self.tolerance
        remaining = [item for item in candidates if self.measure(item) <= limit]
        return remaining, [item for item in candidates if item not in remaining]


def _problem(candidate: _Candidate) -> float:
    if candidate.problem is None:
        return 0
    return 1 if candidate.header is not None else 2


def _derived(candidate: _Candidate) -> float:
    return "desc" in candidate.name.entities or len(candidate.name.words) > 1


def _is_smaller_than_brain(candidate: _Candidate) -> float:
    pairs = zip(candidate.field_mm, BRAIN_MM, strict=True)
    return any(side < minimum for side, minimum in pairs)


def _echo(candidate: _Candidate) -> float:
    echo = candidate.number("echo")
    if echo is None:
        return _FIRST
    return echo if _best_echo(candidate) == "first echo" else -echo


def _best_echo(candidate: _Candidate) -> str:
    """Return which echo has the strongest contrast."""
    return "first echo" if candidate.contrast == "T1w" else "last echo"


_RULES = (
    _Rule("a readable head image", _problem, lambda item: item.problem or "unreadable"),
    _Rule(
        "no contrast agent",
        lambda item: has_contrast_agent(item.path),
        lambda item: "it was acquired with a contrast agent",
        clear=True,
    ),
    _Rule(
        "not a derived image",
        _derived,
        lambda item: "its name has desc- or an additional suffix: it is derived from another image",
        clear=True,
    ),
    _Rule(
        "a field of view that covers the brain",
        _is_smaller_than_brain,
        lambda item: (
            f"its field of view of {headers.format_shape(item.field_mm)} mm does not cover the brain"
        ),
        clear=True,
    ),
    _Rule(
        "the combined echoes, or the echo with the strongest contrast",
        _echo,
        lambda item: (
            f"echo-{item.name.entities['echo']} is neither the {_best_echo(item)} nor a combination"
        ),
    ),
    _Rule(
        "the smallest voxels",
        lambda item: item.voxel_mm3,
        lambda item: f"its voxels are larger ({item.voxel_mm3:.3g} mm³)",
        tolerance=_SAME_VOLUME,
    ),
    _Rule(
        "the latest run",
        lambda item: -(item.number("run") or 0),
        lambda item: (
            f"run-{item.name.entities['run']} is not the latest run"
            if "run" in item.name.entities
            else "its name has no run-, unlike others"
        ),
    ),
)


def choose(
    contrast: str,
    paths: Sequence[Path],
    values: Filter,
    selection: Selection,
    orientation: str | None = None,
) -> Path:
    """Choose one of several images of a contrast and add a note with the reason.

    Parameters
    ----------
    contrast : str
    paths : sequence of Path
        At least one path, from :func:`bids_stroke.bids.choice.usable`.
    values : mapping
        Filter of the contrast.
    selection : Selection
    orientation : {"RAS", "LAS"}, optional
        Assumed orientation of images whose headers define none.
    """
    if len(paths) == 1:
        return paths[0]
    remaining = sorted((_Candidate(contrast, path, orientation) for path in paths), key=_by_name)
    applied: list[_Rule] = []
    dropped: list[Unused] = []
    for rule in _RULES:
        remaining, rejected = rule.split(remaining)
        dropped += [Unused(item.path, rule.reason(item)) for item in rejected]
        applied += [rule] if rejected else []
    *equal, last = remaining
    dropped += [Unused(item.path, f"it comes before {last.path.name} by name") for item in equal]
    selection.unused += dropped
    reasons = ", then ".join([*(rule.text for rule in applied), *(["the last name"] if equal else [])])
    other = dropped[-1].path
    filter_text = filters.suggestion(contrast, last.path, other, values)
    advice = f"filter with {filter_text}" if filter_text else "remove or rename one of them"
    selection.note(
        f"{last.path.name} was chosen from {len(paths)} {contrast} images: {reasons}; to choose "
        f"{other.name}, {advice}.",
        ambiguous=bool(equal) or not all(rule.clear for rule in applied),
    )
    return last.path


def _by_name(candidate: _Candidate) -> str:
    return natural_key(candidate.path.name)
