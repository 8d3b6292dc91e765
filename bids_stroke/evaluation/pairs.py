"""Pairs of a true and a predicted mask, matched by session or file name."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bids_stroke.bids.names import join_session_name
from bids_stroke.errors import DatasetError
from bids_stroke.spatial.grid import same_grid
from bids_stroke.spatial.image import conform, open_image
from bids_stroke.utils.files import PathLike

from .masks import Mask, Masks, Scan, find_masks


@dataclass(frozen=True)
class Pair:
    """A true mask and the prediction of a model.

    ``problem`` states why the masks cannot be compared, ``note`` how they were selected from several
    masks.
    """

    participant: str
    session: str | None
    model: str
    truth: Mask
    prediction: Mask | None
    problem: str | None = None
    note: str | None = None


def match_masks(
    predictions: Mapping[str, PathLike],
    truth: PathLike,
    wanted: Callable[[str], bool] = lambda _: True,
    orientation: str | None = None,
) -> list[Pair]:
    """Match the predicted masks of models with the true masks.

    Parameters
    ----------
    predictions : mapping of str to path
        Prediction folder of each model.
    truth : path
        Folder of the true masks.
    wanted : callable
        Called with a session name; returns whether the session is compared.
    orientation : {"RAS", "LAS"}, optional
        Orientation of masks whose header does not define one.

    Raises
    ------
    DatasetError
        If there are no true masks.
    """
    true = find_masks(truth)
    if not true.by_scan:
        reason = next(iter(true.failures.values()), "check the path and the names of the masks.")
        raise DatasetError(f"{truth} contains no lesion mask; {reason}")
    true = true.select(wanted)
    matched = []
    for model, folder in predictions.items():
        predicted = find_masks(folder).select(wanted)
        for scan in sorted(true.by_scan, key=lambda scan: (scan[0], scan[1] or "")):
            matched.append(_match(scan, model, true.by_scan[scan], predicted, folder, orientation))
        for scan in sorted(predicted.by_scan.keys() - true.by_scan.keys(), key=str):
            missing = f"{truth} contains no true mask of {join_session_name(*scan)}."
            problem = true.failures.get(scan, missing)
            matched.append(Pair(*scan, model, Mask(Path(truth)), predicted.by_scan[scan][0], problem))
    return matched


def _match(
    scan: Scan,
    model: str,
    true: Sequence[Mask],
    predicted: Masks,
    folder: PathLike,
    orientation: str | None,
) -> Pair:
    """Match the masks of a scan that are on the same grid."""
    name, candidates = join_session_name(*scan), predicted.by_scan.get(scan)
    if not candidates:
        missing = f"{folder} contains no predicted mask of {name}."
        return Pair(*scan, model, true[0], None, predicted.failures.get(scan, missing))
    truth, on_grid = _first_match(true, candidates, orientation)
    if truth is None:  # the measurement reports unreadable masks and different grids
        return Pair(*scan, model, true[0], candidates[0])
    true_on_grid = [mask for mask in true if mask is truth or _on_one_grid(truth, mask, orientation)]
    predicted_best = _best(on_grid, truth.space)
    same_image = [mask for mask in true_on_grid if mask.belongs_to(predicted_best[0].image)]
    best = {"true": _best(same_image or true_on_grid, truth.space), "predicted": predicted_best}
    for kind, several in (("true", true_on_grid), ("predicted", on_grid)):
        if len(best[kind]) > 1:
            problem = (
                f"{name} has several {kind} masks on the same grid: {_listing(several)}; keep one of "
                "them, or combine the parts of a lesion in one file."
            )
            return Pair(*scan, model, true[0], candidates[0], problem)
    (chosen,), (prediction,) = best.values()
    originals = [mask for mask in true if mask in true_on_grid or not mask.resampled]
    notes = [
        *(
            f"{mask.path.name} was selected from the {kind} masks {_listing(several)}."
            for kind, several, mask in (("true", originals, chosen), ("predicted", on_grid, prediction))
            if len(several) > 1
        ),
        *_notes_on_images(chosen, prediction),
    ]
    return Pair(*scan, model, chosen, prediction, note=" ".join(notes) or None)


def _listing(masks: Sequence[Mask]) -> str:
    return ", ".join(str(mask.path) for mask in masks)


def _notes_on_images(truth: Mask, prediction: Mask) -> Iterator[str]:
    """Yield a note if masks on the same grid belong to different images."""
    suffix = "both on the same grid, and compared without registration."
    if truth.space and prediction.space and truth.space != prediction.space:
        yield (
            f"The true mask is of the {truth.space}, the predicted mask of the {prediction.space}, "
            f"{suffix}"
        )
    elif truth.supplied and prediction.image and not truth.belongs_to(prediction.image):
        yield (
            f"The true mask is of an image with {truth.supplied.image_description}, the predicted mask "
            f"of {prediction.image.name}, {suffix}"
        )


def _first_match(
    true: Sequence[Mask], candidates: Sequence[Mask], orientation: str | None
) -> tuple[Mask | None, list[Mask]]:
    """Find the first true mask with predictions on its grid, and these predictions."""
    for truth in true:
        on_grid = [mask for mask in candidates if _on_one_grid(truth, mask, orientation)]
        if on_grid:
            return truth, on_grid
    return None, []


def _best(masks: Sequence[Mask], space: str | None) -> list[Mask]:
    """Select the preferred masks on a grid: in the given space (or an unknown one), of lowest rank."""

    def key(mask: Mask) -> tuple[bool, int]:
        return (mask.space not in (None, space), mask.rank)

    lowest = min(map(key, masks))
    return [mask for mask in masks if key(mask) == lowest]


def _on_one_grid(first: Mask, second: Mask, orientation: str | None) -> bool:
    """Check whether two masks can be read and are on the same grid."""
    try:
        first_img, second_img = (
            conform(open_image(mask.path, orientation)) for mask in (first, second)
        )
        return same_grid(first_img, second_img)
    except Exception:  # unreadable files are reported when the pair is measured
        return False
