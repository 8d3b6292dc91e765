"""Lesion masks of a folder: those that records list, or those with the names of lesion masks."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, TypeAlias

from bids_stroke.bids import logs, record, supplied_masks
from bids_stroke.bids.folders import misplacement
from bids_stroke.bids.names import (
    REFERENCES,
    TRACE,
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
#: Spaces in the order of docs/files.md: of several masks, the one in the first of them is taken.
_SPACES = (*REFERENCES, TRACE, None, *SPACES, "MNI152NLin6Asym")


@dataclass(frozen=True)
class Mask:
    """A lesion mask, with the files of its session that go with it.

    ``space`` is the contrast or the template on whose grid it lies, None where that is unknown; of
    several masks on one grid, that of the lowest ``rank`` is taken; ``probability`` is on the same
    grid; ``chains`` are the transforms of its session from each space to the template, in the order of
    application; ``resampled`` is whether it shows the lesion of another mask of its session;
    ``image`` is the image of a predicted mask, ``supplied`` what the name of a mask says, both where
    they are known.
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
        """Whether it lies in a template space."""
        return is_template(self.space)

    def is_of(self, image: Path | None) -> bool:
        """Whether its name has no entity that an image contradicts."""
        return self.supplied is None or image is None or self.supplied.belongs_to(image)


class Masks(NamedTuple):
    """The masks of a folder by scan, those on images of the session first; ``failures`` states why a
    session has none."""

    of: dict[Scan, list[Mask]]
    failures: Mapping[Scan, str]

    def select(self, wanted: Callable[[str], bool]) -> "Masks":
        """The masks of the sessions whose names are wanted."""
        return Masks(
            {scan: masks for scan, masks in self.of.items() if wanted(join_session_name(*scan))},
            self.failures,
        )


def find_masks(folder: PathLike) -> Masks:
    """Find the lesion masks of a folder.

    In an output folder of bids_stroke, the masks of a session are those that its record lists, and a
    session that failed has none. In any other folder, masks are found by their names; in a folder that
    is no BIDS dataset, each image is the mask of a scan that is named as the file.
    """
    folder = Path(folder)
    if logs.recorded(folder):
        return _masks_of_records(folder)
    named = supplied_masks.find_lesion_masks(folder, exclude=[folder / "work"])
    return _masks_by_names(folder, named) if named else Masks(_masks_outside_bids(folder), {})


def _masks_by_names(folder: Path, named: Mapping[tuple[str, str | None], list[SuppliedMask]]) -> Masks:
    """The masks of sessions; a session with a file in the folder of another has none."""
    masks, failures = dict[Scan, list[Mask]](), dict[Scan, str]()
    for labels, found in named.items():
        scan = _scan(session_name(*labels))
        problems = (misplacement(mask.path, folder) for mask in found)
        if problem := next(filter(None, problems), None):
            failures[scan] = problem
        else:
            masks[scan] = sorted(map(_named, found), key=_order)
    return Masks(masks, failures)


def _order(mask: Mask) -> tuple[int, int]:
    """Sort key of a mask among those of its session."""
    place = _SPACES.index(mask.space) if mask.space in _SPACES else len(_SPACES)
    return place, mask.rank


def _masks_outside_bids(folder: Path) -> dict[Scan, list[Mask]]:
    """Each image of a folder as the mask of a scan that has its name."""
    masks: dict[Scan, list[Mask]] = {}
    for path in sorted(folder.glob("*.nii*")):
        if is_image(path.name):
            name = path.name.removesuffix(".gz").removesuffix(".nii")
            masks.setdefault((name, None), []).append(Mask(path))
    return masks


def _scan(name: str) -> Scan:
    """Scan of the name of a session."""
    participant, session = split_session_name(name)
    return participant, session or None


def _masks_of_records(folder: Path) -> Masks:
    """The masks of the sessions of an output folder."""
    masks, failures = dict[Scan, list[Mask]](), dict[Scan, str]()
    for listing in record.read_all(folder):
        if listing.complete(folder):
            masks[_scan(listing.name)] = list(_masks_of_session(folder, listing))
        else:
            reason = listing.error or "outputs are missing; run the participant level again."
            failures[_scan(listing.name)] = f"{listing.name} failed in {folder}: {reason}"
    return Masks(masks, failures)


def _masks_of_session(folder: Path, listing: Record) -> Iterator[Mask]:
    """The masks of a session: on its reference image, on other images, in templates; no two have the
    same rank."""
    chains = chains_to(TEMPLATE, [path for _, path in listing.files(folder)])
    probabilities = listing.paths(folder, "lesion_probability")
    if native := listing.path(folder, "lesion_mask"):
        probability = listing.path(folder, "lesion_probability")
        image = _image(listing, listing.reference)
        yield Mask(native, listing.reference, 0, probability, chains, image=image)
    masks = listing.paths(folder, "lesion_mask")
    for rank, place in enumerate(sorted(masks, key=is_template), 1):
        further = native is not None or rank > 1
        image = _image(listing, place)
        yield Mask(masks[place], place, rank, probabilities.get(place), chains, further, image)


def _image(listing: Record, contrast: str | None) -> Path | None:
    """The raw image of a contrast that a session read."""
    path = listing.inputs.get(contrast) if contrast else None
    return Path(path) if path else None


def _named(mask: SuppliedMask) -> Mask:
    """A mask that was found by its name, with the files beside it."""
    name = session_name(mask.entities["sub"], mask.entities.get("ses"))
    probability = with_suffix(mask.path, "probseg")
    beside = Name.parse(mask.path).suffix == "mask" and probability.is_file()
    files = mask.path.parent.glob(f"{name}_*_xfm.*")
    return Mask(
        mask.path,
        mask.space,
        int(not mask.is_whole_lesion),
        probability if beside else None,
        chains_to(TEMPLATE, (path for path in files if Name.parse(path).session_name == name)),
        supplied=mask,
    )
