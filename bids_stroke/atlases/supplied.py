"""Atlases of the user: label images, and probabilities of regions in the volumes of a 4D image."""

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
from bids_stroke.errors import ImageError, ResourceError
from bids_stroke.spatial import grid, headers, image, masks, template_transforms, templates
from bids_stroke.spatial.templates import TEMPLATE, template
from bids_stroke.utils.cache import cached_images
from bids_stroke.utils.files import PathLike, stamp
from bids_stroke.utils.tables import read_table

from .regions import Atlas, measure_regions, region_table

#: Largest value of percentages, and of probabilities.
_SCALES = {1.0: 1.0, 100.0: 0.01}


@dataclass(frozen=True)
class ProbabilityAtlas:
    """Probabilities of regions: ``label`` is the value of the ``atlas-`` entity, ``names`` the regions'
    in the order of the volumes of the file ``path`` in the template ``space``."""

    label: str
    names: tuple[str, ...]
    path: Path
    space: str


def load_atlas(path: PathLike, labels: PathLike) -> Atlas | ProbabilityAtlas:
    """Load an atlas of the user.

    Parameters
    ----------
    path : path
        Labels (whole numbers, 0 for none), 3D, or probabilities (0-1 or percent), 4D with a volume for
        each region; in the template space of the ``space-`` in its name.
    labels : path
        Table with the columns ``index`` and ``name``, as BIDS has it (``_dseg.tsv``). For
        probabilities, the regions by rising index are those of the volumes.

    Returns
    -------
    Atlas or ProbabilityAtlas

    Raises
    ------
    ImageError, ResourceError
        If the file is no atlas, the table is not that of the file, or its space has no transform to
        the template.
    """
    names = _names(labels)
    if _is_4d(path):
        return _probability_atlas(Path(path), labels, names)
    img = image.load_supplied(path)
    data = masks.whole_numbers(np.asanyarray(img.dataobj))
    if data is None or data.min() < 0:
        raise ImageError(
            f"{path} holds values that are no labels (0, 1, 2, …); give whole numbers, or a 4D image "
            "with a volume of probabilities for each region."
        )
    numbers = np.unique(data[data > 0]).astype(int)
    if missing := sorted(set(numbers.tolist()) - names.keys()):
        raise ResourceError(
            f"{labels} does not name the labels {', '.join(map(str, missing[:10]))} of its atlas; add "
            "them."
        )
    reference = templates.template_grid()
    field = template_transforms.load_transform(space_of(path), TEMPLATE)
    moved = template_transforms.warp([image.like(data, img, np.int32)], reference, field, order=0)[0]
    if not moved.any():
        raise _out_of_reach(path)
    kept = {number: name for number, name in names.items() if number > 0}
    return Atlas(label_of(path), kept, image.like(moved, reference, np.int32))


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
    """Measure a lesion region by region.

    Parameters
    ----------
    lesion_img : nib.Nifti1Image
        Lesion mask on the template's grid.
    atlas : Atlas or ProbabilityAtlas
        Of probabilities P, the volume of a region is the sum of P times the voxel volume, that of the
        lesion in it the same sum over the lesion, and ``outside`` the sum of what P lack to 1.

    Returns
    -------
    pandas.DataFrame
        As :func:`bids_stroke.atlases.regions.measure_regions` returns it.
    """
    if isinstance(atlas, Atlas):
        return measure_regions(lesion_img, atlas)
    reference = templates.template_grid()
    mask = grid.data_on_grid(lesion_img, reference, "lesion mask") > 0
    field = template_transforms.load_transform(atlas.space, TEMPLATE)
    points = template_transforms.source_points(_points(mask, reference), field)
    scale, *in_brain = _survey(atlas, reference, field)
    inside, rest = [], np.ones(len(points))
    for probability in _sampled(atlas, points):
        inside.append(scale * probability.sum())
        rest -= scale * probability
    ml = grid.voxel_volume(reference) / 1000
    volumes = np.array([*in_brain, np.nan]) * ml
    hit = np.array([*inside, np.clip(rest, 0, None).sum()]) * ml
    return region_table([*atlas.names, "outside"], volumes, hit, len(points) * ml)


def _survey(
    atlas: ProbabilityAtlas, reference: nib.Nifti1Image, field: nib.Nifti1Image | None
) -> NDArray[np.float64]:
    """The scale of the stored probabilities, then their sums in the template's brain; kept."""

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

    (kept,) = cached_images(f"{atlas.label}-volumes", [stamp(atlas.path), atlas.space], build)
    return np.asarray(kept.dataobj, np.float64)[:, 0, 0]


def _scale(atlas: ProbabilityAtlas, low: float, high: float) -> float:
    """The factor that makes stored values probabilities."""
    if high <= 0 and low >= 0:
        raise _out_of_reach(atlas.path)
    scales = [scale for most, scale in _SCALES.items() if high <= most * (1 + masks.ROUNDING)]
    if low < -masks.ROUNDING or not scales:
        raise ImageError(
            f"{atlas.path} holds values from {low:g} to {high:g}, but an atlas with several volumes "
            "needs probabilities (0-1 or percent); rescale it."
        )
    return scales[0]


def _sampled(atlas: ProbabilityAtlas, points: NDArray[np.float64]) -> Iterator[NDArray[np.float32]]:
    """Stored values of each region at points of the atlas's space (mm); one volume is in memory."""
    # The file is kept open, so that a compressed one is read once, from its start to its end.
    kept_open = nib.Nifti1Image.from_filename(atlas.path, keep_file_open=True)
    with image.verified(kept_open, atlas.path) as img:
        for number in range(img.shape[3]):
            volume = _volume(img, number, atlas.path)
            (values,) = template_transforms.sample([volume], img.affine, points, mode="constant")
            yield values


def _volume(img: SpatialImage, number: int, path: Path) -> NDArray[np.float32]:
    """A volume of a 4D image."""
    try:
        volume = np.asarray(img.dataobj[..., number], np.float32)
    except Exception as error:
        raise headers.unreadable_error(path, error) from None
    if not np.isfinite(volume).all():
        raise ImageError(f"{path} holds values that are no numbers; replace them by 0.")
    return volume


def _points(mask: NDArray[np.bool_], reference: nib.Nifti1Image) -> NDArray[np.float64]:
    return apply_affine(reference.affine, np.argwhere(mask))


def _probability_atlas(path: Path, labels: PathLike, names: dict[int, str]) -> ProbabilityAtlas:
    check_atlas(path)
    number = image.open_image(path).shape[3]
    if len(names) == number + 1:  # tables of label images begin with the background
        names.pop(0, None)
    if len(names) != number:
        raise ResourceError(
            f"{labels} names {len(names)} regions, but {path} has {number} volumes; give one row for "
            "each volume."
        )
    ordered = tuple(names[index] for index in sorted(names))
    return ProbabilityAtlas(label_of(path), ordered, path, space_of(path))


def _is_4d(path: PathLike) -> bool:
    return len(headers.shape_of(image.open_image(path))) == 4


def _names(path: PathLike) -> dict[int, str]:
    """Names of the regions by their number, from a table."""
    try:
        table = read_table(path)
        numbers = table["index"].astype(float)
        for bad, what in ((numbers.duplicated(), "there twice"), (numbers % 1 != 0, "no whole number")):
            if bad.any():
                raise ValueError(f"index {numbers[bad].iloc[0]:g} is {what}")
        return dict(zip(numbers.astype(int), table["name"], strict=True))
    except (OSError, ValueError, KeyError) as error:
        raise ResourceError(
            f"{path} is not a table with the columns index and name ({error}); correct it."
        ) from None


def _out_of_reach(path: PathLike) -> ImageError:
    return ImageError(f"{path} has no label in the template; check its header and space- in its name.")
