"""The choice of one image of a contrast: which images never count, and which of the others comes first.

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

#: Least extent (mm) from left to right, back to front and bottom to top of a field of view that holds
#: an adult's brain.
BRAIN_MM = (120, 150, 110)
#: Voxels are equally fine if their volumes differ by less than this share.
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
    """The images of a contrast that may be chosen; the others are added to the unused ones.

    Parameters
    ----------
    contrast : str
    paths : iterable of Path
    values : mapping
        The filter of the contrast: what it asks for by name counts, but for parts of complex images.
    selection : Selection
    template : str, optional
        The template space of the images; by default that of the scanner.
    """
    kept = []
    for path in paths:
        if reason := _exclusion(contrast, path, filters.for_pybids(values), template):
            selection.unused.append(Unused(path, reason, excluded=True))
        else:
            kept.append(path)
    return kept


def _exclusion(contrast: str, path: Path, values: Filter, template: str | None) -> str | None:
    """Why an image never counts; None if it may be chosen."""
    entities = Name.parse(path).entities
    space = entities.get("space")
    if (part := entities.get("part")) in _COMPLEX_PARTS:
        return f"part-{part} is no image of magnitude"
    if "inv" in entities and "inv" not in values:
        return f"inv-{entities['inv']} is a single inversion of MP2RAGE; a filter by inv takes it"
    if template:
        return None if space == template else f"it is not in {template}, the space of the lesion mask"
    if not in_scanner_space(space, contrast) and "space" not in values:
        return f"it is in another space, {space}; a filter by space takes it"
    return None


@dataclass(frozen=True)
class _Candidate:
    """An image of a contrast that may be chosen."""

    contrast: str
    path: Path
    orientation: str | None

    @cached_property
    def name(self) -> Name:
        return Name.parse(self.path)

    @cached_property
    def problem(self) -> str | None:
        """Why the image cannot be read, or is of no head; None if nothing is wrong with its header."""
        try:
            image.check_header(self.path, self.orientation)
        except ImageError as error:
            return str(error)
        return None

    @cached_property
    def header(self) -> nib.Nifti1Image | None:
        try:
            return image.open_image(self.path, self.orientation)
        except Exception:  # ``problem`` states what is wrong
            return None

    @cached_property
    def field_mm(self) -> tuple[float, ...]:
        """Extent from left to right, back to front and bottom to top (mm); 0 of an unusable image."""
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
        """Value of a numbered entity; None without one."""
        value = comparable(key, self.name.entities.get(key))
        return value if isinstance(value, int) else None


@dataclass(frozen=True)
class _Rule:
    """A preference: of the images left, those of the smallest ``measure`` stay.

    ``text`` is what the chosen image has; ``reason`` states why another one is not chosen. A rule that
    is not ``clear`` chooses among images that are all fit for use.
    """

    text: str
    measure: Callable[[_Candidate], float]
    reason: Callable[[_Candidate], str]
    clear: bool = False
    tolerance: float = 0

    def split(self, left: Sequence[_Candidate]) -> tuple[list[_Candidate], list[_Candidate]]:
        """The images that stay, and those that do not."""
        most = min(map(self.measure, left))
        most *= 1 + self.tolerance
        kept = [item for item in left if self.measure(item) <= most]
        return kept, [item for item in left if item not in kept]


def _problem(candidate: _Candidate) -> float:
    if candidate.problem is None:
        return 0
    return 1 if candidate.header is not None else 2


def _derived(candidate: _Candidate) -> float:
    return "desc" in candidate.name.entities or len(candidate.name.words) > 1


def _holds_no_brain(candidate: _Candidate) -> float:
    pairs = zip(candidate.field_mm, BRAIN_MM, strict=True)
    return any(side < least for side, least in pairs)


def _echo(candidate: _Candidate) -> float:
    echo = candidate.number("echo")
    if echo is None:
        return _FIRST
    return echo if _best_echo(candidate) == "first echo" else -echo


def _best_echo(candidate: _Candidate) -> str:
    """The echo that has most of the contrast."""
    return "first echo" if candidate.contrast == "T1w" else "last echo"


_RULES = (
    _Rule("readable as an image of a head", _problem, lambda item: item.problem or "unreadable"),
    _Rule(
        "without contrast agent",
        lambda item: has_contrast_agent(item.path),
        lambda item: "it was taken with contrast agent",
        clear=True,
    ),
    _Rule(
        "not derived from another image",
        _derived,
        lambda item: "its name has desc- or a further word: it is derived from another image",
        clear=True,
    ),
    _Rule(
        "a field of view that holds a brain",
        _holds_no_brain,
        lambda item: (
            f"its field of view of {headers.format_shape(item.field_mm)} mm holds no whole brain"
        ),
        clear=True,
    ),
    _Rule(
        "the combination of echoes, or the echo of most contrast",
        _echo,
        lambda item: (
            f"echo-{item.name.entities['echo']} is not the {_best_echo(item)}, nor a combination"
        ),
    ),
    _Rule(
        "the finest voxels",
        lambda item: item.voxel_mm3,
        lambda item: f"its voxels of {item.voxel_mm3:.3g} mm³ are larger",
        tolerance=_SAME_VOLUME,
    ),
    _Rule(
        "the latest run",
        lambda item: -(item.number("run") or 0),
        lambda item: (
            f"run-{item.name.entities['run']} is not the latest"
            if "run" in item.name.entities
            else "it has no run-, others have"
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
    """Choose one of several images of a contrast, and note why.

    Parameters
    ----------
    contrast : str
    paths : sequence of Path
        At least one, as :func:`bids_stroke.bids.choice.usable` gives them.
    values : mapping
        The filter of the contrast.
    selection : Selection
    orientation : {"RAS", "LAS"}, optional
        That which is assumed of images whose headers state none.
    """
    if len(paths) == 1:
        return paths[0]
    left = sorted((_Candidate(contrast, path, orientation) for path in paths), key=_by_name)
    applied: list[_Rule] = []
    dropped: list[Unused] = []
    for rule in _RULES:
        left, others = rule.split(left)
        dropped += [Unused(item.path, rule.reason(item)) for item in others]
        applied += [rule] if others else []
    *equal, last = left
    dropped += [Unused(item.path, f"by name it comes before {last.path.name}") for item in equal]
    selection.unused += dropped
    why = ", then ".join([*(rule.text for rule in applied), *(["the last name"] if equal else [])])
    other = dropped[-1].path
    filter_text = filters.suggestion(contrast, last.path, other, values)
    otherwise = f"filter with {filter_text}" if filter_text else "remove or rename one of them"
    selection.note(
        f"{last.path.name} was chosen of {len(paths)} {contrast} images: {why}; to choose "
        f"{other.name}, {otherwise}.",
        ambiguous=bool(equal) or not all(rule.clear for rule in applied),
    )
    return last.path


def _by_name(candidate: _Candidate) -> str:
    return natural_key(candidate.path.name)
