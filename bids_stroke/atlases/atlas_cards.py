"""Atlas cards: description and download of label atlases, such as the arterial territories."""

from dataclasses import dataclass, field, fields
from pathlib import Path

from bids_stroke.data import DATA
from bids_stroke.errors import ResourceError, UsageError
from bids_stroke.utils import safe_yaml
from bids_stroke.utils.cache import cache_dir
from bids_stroke.utils.download import Progress
from bids_stroke.utils.files import PathLike

from .sources import Source, fetch_file

#: Extensions of atlas cards.
CARD_EXTENSIONS = (".yaml", ".yml")
_FOLDER = DATA / "label_atlases"


@dataclass(frozen=True, kw_only=True)
class AtlasCard:
    """Description of a label atlas that is downloaded on demand.

    Attributes
    ----------
    name : str
    atlas : str
        Value of the ``atlas-`` entity.
    space : str
        Template space of the image.
    source : Source
        3D image of integer labels (0: background).
    regions : dict of int to str
        Name of each label.
    licence, citation : str
    path : Path
        File of the card.
    """

    name: str
    atlas: str
    space: str
    source: Source
    regions: dict[int, str]
    licence: str
    citation: str = ""
    path: Path = field(repr=False)

    def __post_init__(self) -> None:
        texts = (self.name, self.atlas, self.space, self.licence, self.citation)
        if not all(isinstance(text, str) for text in texts):
            raise ValueError("name, atlas, space, licence and citation must be text")
        if not (_is_label(self.atlas) and _is_label(self.space)):
            raise ValueError("atlas and space must be letters and digits")
        if not (
            isinstance(self.regions, dict)
            and self.regions
            and all(isinstance(label, int) and label > 0 for label in self.regions)
            and all(isinstance(name, str) for name in self.regions.values())
        ):
            raise ValueError("regions must be names by label (1, 2, …)")

    @property
    def image(self) -> Path:
        """Path of the image, before or after its download."""
        extension = ".nii.gz" if self.source.url.endswith(".gz") else ".nii"
        return cache_dir() / "atlases" / f"atlas-{self.atlas}_space-{self.space}_dseg{extension}"

    @property
    def paths(self) -> list[Path]:
        """Paths of all files."""
        return [self.image]


def _is_label(text: str) -> bool:
    return text.isascii() and text.isalnum()


def is_card(path: PathLike) -> bool:
    """Return whether a path is that of a card, by its extension."""
    return Path(path).suffix in CARD_EXTENSIONS


def load_card(atlas: PathLike) -> AtlasCard:
    """Read the card of an atlas.

    Parameters
    ----------
    atlas : str or Path
        Name of a card of the package, or path of a card (``.yaml``).

    Raises
    ------
    UsageError
        If the card does not exist or is not valid.
    """
    path = Path(atlas) if is_card(atlas) else _FOLDER / f"{atlas}.yaml"
    if not path.is_file():
        raise UsageError(
            f"Unknown atlas {atlas}; use a NIfTI file with --atlas-labels, an atlas card, or one of: "
            f"{', '.join(names())}."
        )
    try:
        content = safe_yaml.read(path)
        content["source"] = Source(**content["source"])
        return AtlasCard(**content, path=path)
    except (OSError, KeyError, TypeError, ValueError) as error:
        keys = ", ".join(item.name for item in fields(AtlasCard) if item.name != "path")
        reason = " ".join(str(error).split())
        raise UsageError(f"{path} is not a valid atlas card ({reason}); the keys are {keys}.") from None


def names() -> list[str]:
    """List the names of the atlases of this package."""
    return sorted(card.stem for card in _FOLDER.glob("*.yaml"))


def fetch(card: AtlasCard, progress: Progress = lambda done, total: None) -> list[Path]:
    """Download the image of an atlas, unless it exists.

    Raises
    ------
    DownloadError
        If the image cannot be downloaded, or differs from the card.
    """
    return [fetch_file(f"The atlas {card.name}", card.source, card.image, progress)]


def check_image(card: AtlasCard) -> None:
    """Check that the image of an atlas exists.

    Raises
    ------
    ResourceError
        If it has not been downloaded.
    """
    if not card.image.is_file():
        raise ResourceError(
            f"The atlas {card.name} has not been downloaded; run bids_stroke-atlases fetch."
        )
