"""Tracts: their cards, and their probability maps on the grid of the template."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import TypedDict

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

from bids_stroke.bids.names import IMAGE_EXTENSIONS, label_of, space_of
from bids_stroke.data import DATA
from bids_stroke.errors import ImageError, ResourceError
from bids_stroke.spatial import headers, image
from bids_stroke.spatial.masks import ROUNDING
from bids_stroke.spatial.template_transforms import load_transform, warp
from bids_stroke.spatial.templates import TEMPLATE, hemisphere_map, template_grid
from bids_stroke.utils import safe_yaml
from bids_stroke.utils.cache import cached_images
from bids_stroke.utils.files import PathLike, package_file, stamp

JUELICH = "juelich-cst"


class Cutoffs(TypedDict):
    """Cut-offs of the weighted load (ml) between small and medium, and between medium and large."""

    lower: float
    upper: float


class CutoffSources(TypedDict):
    """Source of each cut-off, in a sentence."""

    lower: str
    upper: str


@dataclass(frozen=True, kw_only=True)
class TractCard:
    """What a tract is. ``file`` lies in ``package``, or beside the card when there is none."""

    name: str
    atlas: str  # value of the atlas- entity
    file: str
    space: str
    cutoffs_ml: Cutoffs
    package: str | None = None
    volumes: dict[str, int] | None = None  # L and R, zero-based; a 3D file is split at x = 0
    scale: float = 1.0  # times a stored value is a probability
    z_mm: list[float] | None = None  # lowest and highest slice used
    cutoff_sources: CutoffSources | None = None
    validated: bool = False  # the cut-offs were derived on this map
    own_cutoffs: bool = False  # the cut-offs are the user's
    licence: str = ""
    citation: str = ""


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
        names = ", ".join(sorted(card.stem for card in (DATA / "tracts").glob("*.yaml")))
        raise ResourceError(f"{tract} is no tract; give a NIfTI file, a card, or one of: {names}.")
    try:
        card = TractCard(**safe_yaml.read(path))
        safe_yaml.inside(card.file)
    except (OSError, TypeError, ValueError) as error:
        keys = ", ".join(item.name for item in fields(TractCard))
        reason = " ".join(str(error).split())
        raise ResourceError(f"{path} is not a tract card ({reason}); its keys: {keys}.") from None
    return card if card.package else replace(card, file=str(path.parent / card.file))


def load_tract(
    tract: TractCard | PathLike = JUELICH, space: str = TEMPLATE
) -> dict[str, nib.Nifti1Image]:
    """Load a tract on the 1 mm grid of the template.

    Parameters
    ----------
    tract : TractCard, str or Path
        The card, or what :func:`bids_stroke.atlases.tracts.load_card` takes.
    space : str
        Template to bring the tract to.

    Returns
    -------
    dict of str to nib.Nifti1Image
        ``L`` and ``R``: probability 0-1, float32, (x, y, z).

    Raises
    ------
    ResourceError
        If the tract's package, its file, or the transform from its space is missing.
    ImageError
        If the file holds no probability map.
    """
    card = tract if isinstance(tract, TractCard) else load_card(tract)
    reference = template_grid(space)
    path = _map_path(card)
    if not path.exists():
        raise ResourceError(f"{path}, the file of the tract {card.name}, is missing.")
    key = [asdict(card), space, stamp(path)]
    images = cached_images(card.atlas, key, lambda: _on_grid(card, reference, space))
    return dict(zip("LR", images, strict=True))


def _on_grid(card: TractCard, reference: nib.Nifti1Image, space: str) -> list[nib.Nifti1Image]:
    maps = warp(probability_maps(card), reference, load_transform(card.space, space))
    if not any(probability.any() for probability in maps):
        raise ImageError(
            f"{_map_path(card)} does not reach the template; check its header and its space."
        )
    if len(maps) == 1:  # one map of both sides; voxels on the midline belong half to either
        right = (1 + hemisphere_map(reference).get_fdata(dtype=np.float32)) / 2
        maps = [maps[0] * (1 - right), maps[0] * right]
    heights = slice_heights(reference)
    low, high = card.z_mm or (heights[0], heights[-1])
    inside = (heights >= low) & (heights <= high)
    return [image.like(probability * inside, reference, np.float32) for probability in maps]


def _map_path(card: TractCard) -> Path:
    if card.package:
        return package_file(card.package, card.file, f"The tract {card.name}")
    return Path(card.file)


def probability_maps(card: TractCard) -> list[nib.Nifti1Image]:
    """Open the probability maps (0-1) of a card: left and right, or one of both sides.

    Raises
    ------
    ImageError
        If the file is not an image of probabilities.
    """
    path = _map_path(card)
    if card.volumes:
        img = image.open_image(path)
        headers.check_affine(img, path)
        headers.check_head(img, path)
        first, last = min(card.volumes.values()), max(card.volumes.values())
        stack = np.asarray(img.dataobj[..., first : last + 1])  # read once: it is compressed
        arrays = [stack[..., card.volumes[side] - first] for side in "LR"]
    else:
        img = image.load_supplied(path)
        arrays = [np.asanyarray(img.dataobj)]
    arrays = [array * np.float32(card.scale) for array in arrays]
    low, high = min(map(np.min, arrays)), max(map(np.max, arrays))
    if low < -ROUNDING or high > 1 + ROUNDING or high <= 0:
        raise ImageError(
            f"{path} holds values from {low:g} to {high:g}, but a tract needs probabilities "
            "between 0 and 1; rescale it, or give a card with its scale."
        )
    return [image.like(np.clip(array, 0, 1), img, np.float32) for array in arrays]


def slice_heights(img: nib.Nifti1Image) -> NDArray[np.float64]:
    """World z (mm) of the axial slices of an image that is aligned with the template."""
    return img.affine[2, 3] + img.affine[2, 2] * np.arange(img.shape[2])
