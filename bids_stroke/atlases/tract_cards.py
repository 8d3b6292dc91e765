"""Cards of tracts: what a tract is, where its files are, and their download."""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, TypedDict

from bids_stroke.bids.names import IMAGE_EXTENSIONS, label_of, space_of
from bids_stroke.data import DATA
from bids_stroke.errors import ResourceError
from bids_stroke.utils import safe_yaml
from bids_stroke.utils.cache import cache_dir
from bids_stroke.utils.download import Progress, RemoteFile, download
from bids_stroke.utils.files import PathLike, package_file

#: The default tract.
JUELICH = "juelich-cst"


class Cutoffs(TypedDict):
    """Cut-offs of the weighted load (ml) between small and medium, and between medium and large."""

    lower: float
    upper: float


class CutoffSources(TypedDict):
    """Source of each cut-off, in a sentence."""

    lower: str
    upper: str


@dataclass(frozen=True)
class Source:
    """Where a file of a tract is downloaded from, with its SHA-256 and its size in bytes."""

    url: str
    sha256: str
    bytes: int


@dataclass(frozen=True, kw_only=True)
class TractCard:
    """What a tract is.

    ``file`` is one map, or a map for each of the sides ``L`` and ``R``. It is downloaded if the card
    has ``sources``; otherwise it lies in ``package``, or beside the card when there is none.
    """

    name: str
    atlas: str  # value of the atlas- entity
    file: str | dict[str, str]
    space: str
    cutoffs_ml: Cutoffs | None = None
    package: str | None = None
    sources: dict[str, Source] | None = None  # by the name of the file
    volumes: dict[str, int] | None = None  # L and R, zero-based; a 3D file is split at x = 0
    scale: float = 1.0  # times a stored value is a probability
    z_mm: list[float] | None = None  # lowest and highest slice used
    axis: str | None = "z"  # along which the tract runs: x, y or z; None where it has no such axis
    symmetric: bool = False  # each side is the mean of itself and the mirror image of the other
    cutoff_sources: CutoffSources | None = None
    validated: bool = False  # the cut-offs were derived on this map
    own_cutoffs: bool = False  # the cut-offs are the user's
    licence: str = ""
    citation: str = ""

    def __post_init__(self) -> None:
        if self.axis not in ("x", "y", "z", None):
            raise ValueError(f"its axis is {self.axis}; give x, y, z or null")
        if isinstance(self.file, dict) and (sorted(self.file) != ["L", "R"] or self.volumes):
            raise ValueError("its file is one map, or one of L and one of R, each without volumes")

    @property
    def files(self) -> list[str]:
        """The file, or those of the left and the right side."""
        return [self.file] if isinstance(self.file, str) else [self.file[side] for side in "LR"]

    @property
    def paths(self) -> list[Path]:
        """Where the files are, or will be once they are downloaded."""
        if self.sources:
            return [cache_dir() / "tracts" / self.atlas / file for file in self.files]
        if self.package:
            return [package_file(self.package, file, f"The tract {self.name}") for file in self.files]
        return list(map(Path, self.files))

    @property
    def is_supplied(self) -> bool:
        """Whether the files are the user's."""
        return not (self.package or self.sources)


def load_card(tract: PathLike = JUELICH, cutoffs_ml: Sequence[float] | None = None) -> TractCard:
    """Read the card of a tract.

    Parameters
    ----------
    tract : str or Path
        Name of a card of the package, path of a card (``.yaml``), or path of a probability map
        (``.nii``, ``.nii.gz``, 0-1) whose name states its space (``space-MNI152NLin6Asym``). A bare
        map takes the cut-offs of the default card, unvalidated.
    cutoffs_ml : pair of float, optional
        Lower and upper cut-off of the category, in place of the card's.

    Raises
    ------
    ResourceError
        If there is no such card, or it is not one, or the name of a map states no space.
    """
    card = _load_card(tract)
    if cutoffs_ml is None:
        return card
    lower, upper = map(float, cutoffs_ml)
    source = "Given by the user."
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
    if path.suffix not in (".yaml", ".yml"):
        path = DATA / "tracts" / f"{tract}.yaml"
    if not path.exists():
        raise ResourceError(
            f"{tract} is no tract; give a NIfTI file, a card, or one of: {', '.join(names())}."
        )
    try:
        card = TractCard(**_with_sources(safe_yaml.read(path)))
        for file in card.files:
            safe_yaml.check_file_name(file)
    except (OSError, TypeError, ValueError) as error:
        keys = ", ".join(item.name for item in fields(TractCard))
        reason = " ".join(str(error).split())
        raise ResourceError(f"{path} is not a tract card ({reason}); its keys: {keys}.") from None
    return _beside(card, path.parent) if card.is_supplied else card


def _with_sources(content: dict[str, Any]) -> dict[str, Any]:
    """The content of a card with its sources as objects."""
    if sources := content.get("sources"):
        content["sources"] = {file: Source(**source) for file, source in sources.items()}
    return content


def _beside(card: TractCard, folder: Path) -> TractCard:
    """A card whose files lie in a folder."""
    paths = [str(folder / file) for file in card.files]
    return replace(card, file=paths[0] if len(paths) == 1 else dict(zip("LR", paths, strict=True)))


def names() -> list[str]:
    """Names of the tracts of the package."""
    return sorted(card.stem for card in (DATA / "tracts").glob("*.yaml"))


def fetch(card: TractCard, progress: Progress = lambda done, total: None) -> list[Path]:
    """Download the files of a tract that are not there yet.

    Parameters
    ----------
    card : TractCard
    progress : callable
        Takes the bytes that are there and those of the whole file.

    Returns
    -------
    list of Path

    Raises
    ------
    DownloadError
        If a file cannot be downloaded, or is not that of the card.
    """
    for file, path in zip(card.files, card.paths, strict=True):
        if card.sources:
            source = card.sources[file]
            remote = RemoteFile([source.url], source.sha256, source.bytes)
            advice = f"or copy the file to {path}"
            download(f"{file} of the tract {card.name}", remote, path, advice, progress)
    return card.paths


def check_files(card: TractCard) -> None:
    """Refuse a tract whose files are missing.

    Raises
    ------
    ResourceError
    """
    for path in card.paths:
        if path.is_file():
            continue
        if card.sources:
            raise ResourceError(
                f"The tract {card.name} is not here yet; get it with bids_stroke-tracts fetch."
            )
        raise ResourceError(f"{path}, a file of the tract {card.name}, does not exist; check --tract.")
