"""User-supplied atlases: label images, and 4D images with a probability volume for each region."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
from nibabel.affines import apply_affine
from nibabel.spatialimages import SpatialImage
from numpy.typing import NDArray

from bids_stroke.bids.names import label_of, space_of
from bids_stroke.errors import ImageError, ResourceError, UsageError
from bids_stroke.spatial import grid, headers, image, masks, template_transforms, templates
from bids_stroke.spatial.templates import TEMPLATE, template
from bids_stroke.utils.cache import cached_images
from bids_stroke.utils.files import PathLike, stamp
from bids_stroke.utils.tables import read_table

from .atlas_cards import is_card, load_card
from .regions import Atlas, measure_regions, region_table

#: Scale factor of stored values by their upper limit: probabilities and percentages.
_SCALES = {1.0: 1.0, 100.0: 0.01}


@dataclass(frozen=True)
class ProbabilityAtlas:
    """Probability maps of regions: ``label`` is the value of the ``atlas-`` entity, ``names`` are in
    the order of the volumes of the file ``path``, which lies in the template ``space``."""

    label: str
    names: tuple[str, ...]
    path: Path
    space: str


def load_atlas(path: PathLike, labels: PathLike) -> Atlas | ProbabilityAtlas:
    """Load a user-supplied atlas.

    Parameters
    ----------
    path : path
        3D image of integer labels (0: background), or 4D image with a volume of probabilities (0-1 or
        percent) for each region; in the template space that ``space-`` in its name states.
    labels : path
        BIDS label table with the columns ``index`` and ``name`` (``_dseg.tsv``), or an atlas card. For
        probabilities, the regions in order of increasing index correspond to the volumes.

    Returns
    -------
    Atlas or ProbabilityAtlas

    Raises
    ------
    ImageError, ResourceError, UsageError
        If the file is not an atlas, the table does not match it, or its space has no transform to the
        template.
    """
    names = read_region_names(labels)
    if _is_4d(path):
        return _probability_atlas(Path(path), labels, names)
    img = image.load_supplied(path)
    data = masks.whole_numbers(np.asanyarray(img.dataobj))
    if data is None or data.min() < 0:
        raise ImageError(
            f"{path} contains values that are not labels (0, 1, 2, …); use integer labels, or a 4D "
            "image with a volume of probabilities for each region."
        )
    numbers = np.unique(data[data > 0]).astype(int)
    if missing := sorted(set(numbers.tolist()) - names.keys()):
        raise ResourceError(
            f"{labels} lacks the labels {', '.join(map(str, missing[:10]))} of its atlas; add a row "
            "for each of them."
        )
    reference = templates.template_grid()
    field = template_transforms.load_transform(space_of(path), TEMPLATE)
    # Labels of up to nine digits exist, but images are warped in single precision: warp their ranks.
    ranks = image.like(np.searchsorted(numbers, data, "right"), img)
    moved = template_transforms.warp([ranks], reference, field, order=0)[0].astype(int)
    if not moved.any():
        raise _no_overlap(path)
    regions = {number: name for number, name in names.items() if number > 0}
    return Atlas(label_of(path), regions, image.like(np.append(0, numbers)[moved], reference))


def check_atlas(path: PathLike) -> None:
    """Check the header of an atlas.

    Raises
    ------
    ImageError, ResourceError
        As for :func:`bids_stroke.atlases.supplied.load_atlas`.
    """
    if not _is_4d(path):
        image.check_header(path)
        return
    img = image.open_image(path)
    headers.check_affine(img, Path(path))
    headers.check_head(img, Path(path))


def measure(lesion_img: nib.Nifti1Image, atlas: Atlas | ProbabilityAtlas) -> pd.DataFrame:
    """Measure the lesion volume in each region.

    Parameters
    ----------
    lesion_img : nib.Nifti1Image
        Lesion mask on the grid of the template.
    atlas : Atlas or ProbabilityAtlas
        For probabilities P, the volume of a region is the sum of P times the voxel volume; the lesion
        volume in it is the same sum over the lesion; ``outside`` is the sum of 1 minus the sum of P.

    Returns
    -------
    pandas.DataFrame
        As returned by :func:`bids_stroke.atlases.regions.measure_regions`.

    Raises
    ------
    ImageError
        If the lesion is on another grid, or the atlas is damaged or does not contain probabilities.
    """
    if isinstance(atlas, Atlas):
        return measure_regions(lesion_img, atlas)
    reference = templates.template_grid()
    mask = grid.data_on_grid(lesion_img, reference, "lesion mask") > 0
    field = template_transforms.load_transform(atlas.space, TEMPLATE)
    points = template_transforms.source_points(_points(mask, reference), field)
    brain = np.asanyarray(template().brain.dataobj)[mask] > 0
    scale, *region_sums = _scale_and_sums(atlas, reference, field)
    sums, rest = [], np.ones(len(points))
    for probability in _sampled(atlas, points):
        sums.append([scale * probability[where].sum(dtype=float) for where in (slice(None), brain)])
        rest -= scale * probability
    ml = grid.voxel_volume(reference) / 1000
    outside = np.clip(rest, 0, None).sum()
    overlaps, in_brain = np.array([*sums, [outside, np.nan]]).T * ml
    volumes = np.array([*region_sums, np.nan]) * ml
    return region_table([*atlas.names, "outside"], volumes, overlaps, in_brain, len(points) * ml)


def _scale_and_sums(
    atlas: ProbabilityAtlas, reference: nib.Nifti1Image, field: nib.Nifti1Image | None
) -> NDArray[np.float64]:
    """Return the scale of the stored probabilities and their sums in the brain; cached."""

    def build() -> list[nib.Nifti1Image]:
        brain = np.asanyarray(template().brain.dataobj) > 0
        points = template_transforms.source_points(_points(brain, reference), field)
        sums, low, high = [], 0.0, 0.0
        for probability in _sampled(atlas, points):
            sums.append(probability.sum(dtype=float))
            low, high = min(low, probability.min()), max(high, probability.max())
        scale = _scale(atlas, low, high)
        numbers = np.array([scale, *np.multiply(scale, sums)])
        return [nib.Nifti1Image(numbers[:, None, None], np.eye(4))]

    (cached,) = cached_images(f"{atlas.label}-volumes", [stamp(atlas.path), atlas.space], build)
    return np.asarray(cached.dataobj, np.float64)[:, 0, 0]


def _scale(atlas: ProbabilityAtlas, low: float, high: float) -> float:
    """Return the factor that converts stored values to probabilities."""
    if high <= 0 and low >= 0:
        raise _no_overlap(atlas.path)
    scales = [scale for limit, scale in _SCALES.items() if high <= limit * (1 + masks.ROUNDING)]
    if low < -masks.ROUNDING or not scales:
        raise ImageError(
            f"{atlas.path} contains values from {low:g} to {high:g}, but an atlas with several volumes "
            "must contain probabilities (0-1 or percent); rescale it."
        )
    return scales[0]


def _sampled(atlas: ProbabilityAtlas, points: NDArray[np.float64]) -> Iterator[NDArray[np.float32]]:
    """Yield the stored values of each region at points in the atlas space (mm), volume by volume."""
    with image.verified(image.open_image(atlas.path), atlas.path) as img:  # one pass over the file
        for number in range(img.shape[3]):
            volume = _volume(img, number, atlas.path)
            (values,) = template_transforms.sample([volume], img.affine, points, mode="constant")
            yield values


def _volume(img: SpatialImage, number: int, path: Path) -> NDArray[np.float32]:
    """Read one volume of a 4D image."""
    try:
        volume = np.asarray(img.dataobj[..., number], np.float32)
    except Exception as error:
        raise headers.unreadable_error(path, error) from None
    if not np.isfinite(volume).all():
        raise ImageError(f"{path} contains NaN or infinite values; replace them with 0.")
    return volume


def _points(mask: NDArray[np.bool_], reference: nib.Nifti1Image) -> NDArray[np.float64]:
    return apply_affine(reference.affine, np.argwhere(mask))


def _probability_atlas(path: Path, labels: PathLike, names: dict[int, str]) -> ProbabilityAtlas:
    check_atlas(path)
    number = image.open_image(path).shape[3]
    if len(names) == number + 1:  # label tables start with the background
        names.pop(0, None)
    if len(names) != number:
        raise ResourceError(
            f"{labels} lists {len(names)} regions, but {path} has {number} volumes; use one row for "
            "each volume."
        )
    ordered = tuple(names[index] for index in sorted(names))
    return ProbabilityAtlas(label_of(path), ordered, path, space_of(path))


def _is_4d(path: PathLike) -> bool:
    return len(headers.shape_of(image.open_image(path))) == 4


def read_region_names(path: PathLike) -> dict[int, str]:
    """Read the region names by label from a table or an atlas card.

    Raises
    ------
    UsageError
        If the file is not a table of regions, nor a valid card.
    """
    if is_card(path):
        return dict(load_card(path).regions)
    try:
        table = read_table(path)
        numbers = table["index"].astype(float)
        checks = {"duplicated": numbers.duplicated(), "not an integer": numbers % 1 != 0}
        for reason, invalid in checks.items():
            if invalid.any():
                raise ValueError(f"index {numbers[invalid].iloc[0]:g} is {reason}")
        return dict(zip(numbers.astype(int), table["name"], strict=True))
    except (OSError, ValueError, KeyError) as error:
        raise UsageError(
            f"{path} is not a table with the columns index and name ({error}); correct it."
        ) from None


def _no_overlap(path: PathLike) -> ImageError:
    return ImageError(f"{path} has no label in the template; check its header and space- in its name.")
