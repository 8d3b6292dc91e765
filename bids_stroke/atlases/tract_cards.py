"""Tract cards: description of a tract, location of its files, and their download."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, TypedDict

from bids_stroke.bids.names import IMAGE_EXTENSIONS, label_of, space_of
from bids_stroke.data import DATA
from bids_stroke.errors import ResourceError, UsageError
from bids_stroke.utils import safe_yaml
from bids_stroke.utils.cache import cache_dir
from bids_stroke.utils.download import Progress
from bids_stroke.utils.files import PathLike, package_file

from .sources import Source, fetch_file

#: Name of the default tract.
JUELICH = "juelich-cst"
#: Extensions of tract cards.
CARD_EXTENSIONS = (".yaml", ".yml")
_NUMBER = (int, float)


class Cutoffs(TypedDict):
    """Cut-offs of the weighted load (ml) between small and medium, and between medium and large."""

    lower: float
    upper: float


class CutoffSources(TypedDict):
    """Sentence on the source of each cut-off."""

    lower: str
    upper: str


@dataclass(frozen=True, kw_only=True)
class TractCard:
    """Description of a tract.

    ``file`` is one map, or one map for each of the sides ``L`` and ``R``. It is downloaded if the card
    has ``sources``. Otherwise it is a file of ``package`` or, without a package, relative to the card.
    """

    name: str
    atlas: str  # value of the atlas- entity
    file: str | dict[str, str]
    space: str
    cutoffs_ml: Cutoffs | None = None
    package: str | None = None
    sources: dict[str, Source] | None = None  # by file name
    volumes: dict[str, int] | None = None  # L and R, zero-based; a 3D file is split at x = 0
    scale: float = 1.0  # factor that converts stored values to probabilities
    z_mm: list[float] | None = None  # lowest and highest slice used
    axis: str | None = "z"  # along which the tract runs: x, y or z; None if there is no such axis
    symmetric: bool = False  # average each side with the mirror image of the other
    cutoff_sources: CutoffSources | None = None
    validated: bool = False  # the cut-offs were derived on this map
    own_cutoffs: bool = False  # the cut-offs were set by the user
    licence: str = ""
    citation: str = ""

    def __post_init__(self) -> None:
        requirements = {
            "name and space must be text": _are(str, [self.name, self.space]),
            "atlas must be letters and digits": (
                _are(str, [self.atlas]) and self.atlas.isascii() and self.atlas.isalnum()
            ),
            "file must be one map, or a map for L and a map for R": (
                isinstance(self.file, str) or _has(self.file, "LR", str)
            ),
            "volumes must be the numbers of L and R in one map": (
                self.volumes is None or (isinstance(self.file, str) and _has(self.volumes, "LR", int))
            ),
            "scale must be a positive number": _are(_NUMBER, [self.scale]) and self.scale > 0,
            "z_mm must be two numbers, the lower first": self.z_mm is None or _ascend(self.z_mm),
            "axis must be x, y, z or null": self.axis in ("x", "y", "z", None),
            "symmetric must be true or false": _are(bool, [self.symmetric]),
            "cutoffs_ml must be a lower and an upper positive number": (
                self.cutoffs_ml is None or _are_cutoffs(self.cutoffs_ml)
            ),
        }
        unmet = [requirement for requirement, is_met in requirements.items() if not is_met]
        if unmet:
            raise ValueError(unmet[0])

    @property
    def files(self) -> list[str]:
        """One file, or the files of the left and the right side."""
        return [self.file] if isinstance(self.file, str) else [self.file[side] for side in "LR"]

    @property
    def paths(self) -> list[Path]:
        """Paths of the files, before or after their download."""
        if self.sources:
            return [cache_dir() / "tracts" / self.atlas / file for file in self.files]
        if self.package:
            return [package_file(self.package, file, f"The tract {self.name}") for file in self.files]
        return list(map(Path, self.files))

    @property
    def is_supplied(self) -> bool:
        """Whether the files are user-supplied."""
        return not (self.package or self.sources)


def _are(kind: type | tuple[type, ...], values: Iterable[object]) -> bool:
    """Return whether all values have a type."""
    return all(isinstance(value, kind) for value in values)


def _has(value: object, keys: Collection[str], kind: type | tuple[type, ...]) -> bool:
    """Return whether a value is a mapping of exactly these keys to values of a type."""
    return isinstance(value, dict) and {*value} == {*keys} and _are(kind, value.values())


def _ascend(values: list[float]) -> bool:
    """Return whether values are two ascending numbers."""
    return (
        isinstance(values, list)
        and _are(_NUMBER, values)
        and len(values) == 2
        and values[0] < values[1]
    )


def _are_cutoffs(value: Cutoffs) -> bool:
    keys = ("lower", "upper")
    return _has(value, keys, _NUMBER) and 0 < value["lower"] <= value["upper"]


def load_card(tract: PathLike = JUELICH, cutoffs_ml: Sequence[float] | None = None) -> TractCard:
    """Read the card of a tract.

    Parameters
    ----------
    tract : str or Path
        Name of a card of the package, path of a card (``.yaml``), or path of a probability map
        (``.nii``, ``.nii.gz``, 0-1) whose name states its space (``space-MNI152NLin6Asym``). A map
        without a card has the cut-offs of the default card, unvalidated.
    cutoffs_ml : pair of float, optional
        Lower and upper cut-off of the category, instead of those of the card.

    Raises
    ------
    UsageError
        If the card does not exist or is not valid, or if the name of a map states no space.
    """
    card = _load_card(tract)
    if cutoffs_ml is None:
        return card
    lower, upper = map(float, cutoffs_ml)
    source = "Set by the user."
    return replace(
        card,
        cutoffs_ml=Cutoffs(lower=lower, upper=upper),
        cutoff_sources=CutoffSources(lower=source, upper=source),
        own_cutoffs=True,
    )


def _load_card(tract: PathLike) -> TractCard:
    path = Path(tract)
    if path.name.endswith(IMAGE_EXTENSIONS):
        default = _load_card(JUELICH)
        return TractCard(
            name=path.name.partition(".nii")[0],
            atlas=label_of(path),
            file=str(path),
            space=space_of(path),
            cutoffs_ml=default.cutoffs_ml,
            cutoff_sources=default.cutoff_sources,
        )
    if path.suffix not in CARD_EXTENSIONS:
        path = DATA / "tracts" / f"{tract}.yaml"
    if not path.exists():
        raise UsageError(
            f"Unknown tract {tract}; use a NIfTI file, a tract card, or one of: {', '.join(names())}."
        )
    try:
        card = TractCard(**_with_sources(safe_yaml.read(path)))
        for file in card.files:
            safe_yaml.check_file_name(file)
    except (OSError, TypeError, ValueError) as error:
        keys = ", ".join(item.name for item in fields(TractCard))
        reason = " ".join(str(error).split())
        raise UsageError(f"{path} is not a valid tract card ({reason}); the keys are {keys}.") from None
    return _with_paths(card, path.parent) if card.is_supplied else card


def _with_sources(content: dict[str, Any]) -> dict[str, Any]:
    """Convert the sources in the content of a card to objects."""
    if sources := content.get("sources"):
        content["sources"] = {file: Source(**source) for file, source in sources.items()}
    return content


def _with_paths(card: TractCard, folder: Path) -> TractCard:
    """Return a card with the paths of its files, which lie in a folder."""
    paths = [str(folder / file) for file in card.files]
    return replace(card, file=paths[0] if len(paths) == 1 else dict(zip("LR", paths, strict=True)))


def names() -> list[str]:
    """List the names of the tracts of this package."""
    return sorted(card.stem for card in (DATA / "tracts").glob("*.yaml"))


def fetch(card: TractCard, progress: Progress = lambda done, total: None) -> list[Path]:
    """Download the missing files of a tract.

    Parameters
    ----------
    card : TractCard
    progress : callable
        Called with the downloaded and the total number of bytes.

    Returns
    -------
    list of Path

    Raises
    ------
    DownloadError
        If a file cannot be downloaded, or differs from the card.
    """
    for file, path in zip(card.files, card.paths, strict=True):
        if card.sources:
            fetch_file(f"{file} of the tract {card.name}", card.sources[file], path, progress)
    return card.paths


def check_files(card: TractCard) -> None:
    """Check that the files of a tract exist.

    Raises
    ------
    ResourceError
        If a file has not been downloaded.
    UsageError
        If a user-supplied file does not exist.
    """
    for path in card.paths:
        if path.is_file():
            continue
        if card.sources:
            raise ResourceError(
                f"The tract {card.name} has not been downloaded; run bids_stroke-tracts fetch."
            )
        raise UsageError(f"{path}, a file of the tract {card.name}, does not exist; check --tract.")
