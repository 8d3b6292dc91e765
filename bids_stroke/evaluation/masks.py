"""Find the lesion masks of a folder, from records or by file name."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, TypeAlias

from bids_stroke.bids import logs, record, supplied_masks
from bids_stroke.bids.folders import misplacement
from bids_stroke.bids.names import (
    CONTRASTS,
    Name,
    is_image,
    is_template,
    join_session_name,
    session_name,
    split_session_name,
    with_suffix,
)
from bids_stroke.bids.record import Record
from bids_stroke.bids.supplied_masks import SuppliedMask
from bids_stroke.bids.transform_chains import chains_to
from bids_stroke.settings import SPACES
from bids_stroke.spatial.templates import TEMPLATE
from bids_stroke.utils.files import PathLike

#: Participant and session of a scan.
Scan: TypeAlias = tuple[str, str | None]
#: Spaces in order of preference (docs/files.md), for scans with several masks.
_SPACES = (*CONTRASTS, None, *SPACES, "MNI152NLin6Asym")


@dataclass(frozen=True)
class Mask:
    """A lesion mask and the related files of its session.

    Attributes
    ----------
    path : Path
    space : str, optional
        Contrast or template whose grid the mask is on; None if unknown.
    rank : int
        Preference among masks on the same grid; the lowest rank is used.
    probability : Path, optional
        Lesion probability on the same grid.
    chains : mapping of str to tuple of Path
        Transforms of the session from each space to the template, in order of application.
    resampled : bool
        Whether the mask is a resampled copy of another mask of the session.
    image : Path, optional
        Image on which the mask was predicted, if known.
    supplied : SuppliedMask, optional
        Parsed file name, for masks found by name.
    """

    path: Path
    space: str | None = None
    rank: int = 0
    probability: Path | None = None
    chains: Mapping[str, tuple[Path, ...]] = field(default_factory=dict, hash=False)
    resampled: bool = False
    image: Path | None = None
    supplied: SuppliedMask | None = None

    @property
    def in_template(self) -> bool:
        """Whether the mask is in a template space."""
        return is_template(self.space)

    def belongs_to(self, image: Path | None) -> bool:
        """Check that no entity in the name of the mask conflicts with an image."""
        return self.supplied is None or image is None or self.supplied.belongs_to(image)


class Masks(NamedTuple):
    """Masks of a folder by scan, in order of preference; ``failures`` states why a session has no
    masks."""

    by_scan: dict[Scan, list[Mask]]
    failures: Mapping[Scan, str]

    def select(self, wanted: Callable[[str], bool]) -> "Masks":
        """Select the masks of some sessions; ``wanted`` is called with the session name."""
        return Masks(
            {scan: masks for scan, masks in self.by_scan.items() if wanted(join_session_name(*scan))},
            self.failures,
        )


def find_masks(folder: PathLike) -> Masks:
    """Find the lesion masks of a folder.

    In an output folder of bids_stroke, the masks of a session are those listed in its record; failed
    sessions have no masks. In other BIDS datasets, masks are found by name. In a folder that is not a
    BIDS dataset, each image is the mask of a scan with the name of the file.
    """
    folder = Path(folder)
    if logs.recorded(folder):
        return _masks_of_records(folder)
    named = supplied_masks.find_lesion_masks(folder, exclude=[folder / "work"])
    return _masks_by_names(folder, named) if named else Masks(_masks_outside_bids(folder), {})


def _masks_by_names(folder: Path, named: Mapping[tuple[str, str | None], list[SuppliedMask]]) -> Masks:
    """Group masks by scan; a session with a mask in the folder of another session is a failure."""
    masks, failures = dict[Scan, list[Mask]](), dict[Scan, str]()
    for labels, session_masks in named.items():
        scan = _scan(session_name(*labels))
        problems = (misplacement(mask.path, folder) for mask in session_masks)
        if problem := next(filter(None, problems), None):
            failures[scan] = problem
        else:
            masks[scan] = sorted(map(_mask_by_name, session_masks), key=_preference)
    return Masks(masks, failures)


def _preference(mask: Mask) -> tuple[int, int]:
    """Return the sort key of a mask among those of its session."""
    position = _SPACES.index(mask.space) if mask.space in _SPACES else len(_SPACES)
    return position, mask.rank


def _masks_outside_bids(folder: Path) -> dict[Scan, list[Mask]]:
    """Use each image of a folder as the mask of a scan with the name of the file."""
    masks: dict[Scan, list[Mask]] = {}
    for path in sorted(folder.glob("*.nii*")):
        if is_image(path.name):
            name = path.name.removesuffix(".gz").removesuffix(".nii")
            masks.setdefault((name, None), []).append(Mask(path))
    return masks


def _scan(name: str) -> Scan:
    """Split a session name into a scan."""
    participant, session = split_session_name(name)
    return participant, session or None


def _masks_of_records(folder: Path) -> Masks:
    """Read the masks of all sessions in an output folder."""
    masks, failures = dict[Scan, list[Mask]](), dict[Scan, str]()
    for session_record in record.read_all(folder):
        if session_record.complete(folder):
            masks[_scan(session_record.name)] = list(_masks_of_session(folder, session_record))
        else:
            reason = session_record.error or "outputs are missing; run the participant level again."
            failures[_scan(session_record.name)] = f"{session_record.name} failed in {folder}: {reason}"
    return Masks(masks, failures)


def _masks_of_session(folder: Path, session_record: Record) -> Iterator[Mask]:
    """Yield the masks of a session with increasing rank: on the reference image, on other images, in
    templates."""
    chains = chains_to(TEMPLATE, [path for _, path in session_record.files(folder)])
    probabilities = session_record.paths(folder, "lesion_probability")
    if native := session_record.path(folder, "lesion_mask"):
        probability = session_record.path(folder, "lesion_probability")
        image = _image(session_record, session_record.reference)
        yield Mask(native, session_record.reference, 0, probability, chains, image=image)
    masks = session_record.paths(folder, "lesion_mask")
    for rank, space in enumerate(sorted(masks, key=is_template), 1):
        resampled = native is not None or rank > 1
        image = _image(session_record, space)
        yield Mask(masks[space], space, rank, probabilities.get(space), chains, resampled, image)


def _image(session_record: Record, contrast: str | None) -> Path | None:
    """Return the raw image of a contrast that the session used."""
    path = session_record.inputs.get(contrast) if contrast else None
    return Path(path) if path else None


def _mask_by_name(mask: SuppliedMask) -> Mask:
    """Build a mask that was found by name, with related files in the same folder."""
    name = session_name(mask.entities["sub"], mask.entities.get("ses"))
    probability = with_suffix(mask.path, "probseg")
    has_probability = Name.parse(mask.path).suffix == "mask" and probability.is_file()
    files = mask.path.parent.glob(f"{name}_*_xfm.*")
    return Mask(
        mask.path,
        mask.space,
        int(not mask.is_whole_lesion),
        probability if has_probability else None,
        chains_to(TEMPLATE, (path for path in files if Name.parse(path).session_name == name)),
        supplied=mask,
    )
