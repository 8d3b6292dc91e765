"""Pairs of a manual and a predicted mask, matched by session or file name."""

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

    ``problem`` states why they cannot be compared, ``note`` how they were chosen of several.
    """

    participant: str
    session: str | None
    model: str
    truth: Mask
    prediction: Mask | None
    problem: str | None = None
    note: str | None = None


def pairs(
    predictions: Mapping[str, PathLike],
    truth: PathLike,
    wanted: Callable[[str], bool] = lambda _: True,
    orientation: str | None = None,
) -> list[Pair]:
    """Match the masks of models with the true ones.

    Parameters
    ----------
    predictions : mapping of str to path
        Folder of each model.
    truth : path
        Folder of the true masks.
    wanted : callable
        Whether a session is compared, by its name.
    orientation : {"RAS", "LAS"}, optional
        That of masks whose headers state none.

    Raises
    ------
    DatasetError
        If there is no true mask.
    """
    true = find_masks(truth)
    if not true.of:
        reason = next(iter(true.failures.values()), "name the folder of the manual masks.")
        raise DatasetError(f"{truth} holds no lesion mask; {reason}")
    true = true.select(wanted)
    matched = []
    for model, folder in predictions.items():
        predicted = find_masks(folder).select(wanted)
        for scan in sorted(true.of, key=lambda scan: (scan[0], scan[1] or "")):
            matched.append(_match(scan, model, true.of[scan], predicted, folder, orientation))
        for scan in sorted(predicted.of.keys() - true.of.keys(), key=str):
            missing = f"There is no true mask of {join_session_name(*scan)} in {truth}."
            problem = true.failures.get(scan, missing)
            matched.append(Pair(*scan, model, Mask(Path(truth)), predicted.of[scan][0], problem))
    return matched


def _match(
    scan: Scan,
    model: str,
    true: Sequence[Mask],
    predicted: Masks,
    folder: PathLike,
    orientation: str | None,
) -> Pair:
    """The pair of a scan whose masks lie on one grid."""
    name, candidates = join_session_name(*scan), predicted.of.get(scan)
    if not candidates:
        missing = f"There is no predicted mask of {name} in {folder}."
        return Pair(*scan, model, true[0], None, predicted.failures.get(scan, missing))
    truth, fitting = _first_fitting(true, candidates, orientation)
    if truth is None:  # the measurement reports what is wrong, or how the grids differ
        return Pair(*scan, model, true[0], candidates[0])
    alike = [mask for mask in true if mask is truth or _on_one_grid(truth, mask, orientation)]
    predicted_best = _best(fitting, truth.space)
    of_image = [mask for mask in alike if mask.is_of(predicted_best[0].image)] or alike
    best = {"true": _best(of_image, truth.space), "predicted": predicted_best}
    for kind, several in (("true", alike), ("predicted", fitting)):
        if len(best[kind]) > 1:
            problem = (
                f"{name} has several {kind} masks on one grid: {_listing(several)}; keep one of "
                "them, or join the parts of one lesion in one file."
            )
            return Pair(*scan, model, true[0], candidates[0], problem)
    (chosen,), (prediction,) = best.values()
    others = [mask for mask in true if mask in alike or not mask.resampled]
    notes = [
        *(f"Of the {kind} masks {_listing(several)}, {mask.path.name} is compared."
          for kind, several, mask in (("true", others, chosen), ("predicted", fitting, prediction))
          if len(several) > 1),
        *_notes_on_images(chosen, prediction),
    ]  # fmt: skip
    return Pair(*scan, model, chosen, prediction, note=" ".join(notes) or None)


def _listing(masks: Sequence[Mask]) -> str:
    return ", ".join(str(mask.path) for mask in masks)


def _notes_on_images(truth: Mask, prediction: Mask) -> Iterator[str]:
    """A sentence if masks of one grid belong to different images."""
    how = "which have one grid: they are compared as they lie."
    if truth.space and prediction.space and truth.space != prediction.space:
        images = f"of the {truth.space}, the predicted one of the {prediction.space}"
        yield f"The true mask is {images}, {how}"
    elif truth.supplied and prediction.image and not truth.is_of(prediction.image):
        images = f"of an image with {truth.supplied.image_description}, the predicted one of "
        yield f"The true mask is {images}{prediction.image.name}, {how}"


def _first_fitting(
    true: Sequence[Mask], candidates: Sequence[Mask], orientation: str | None
) -> tuple[Mask | None, list[Mask]]:
    """The first true mask with a prediction on its grid, and the predictions there."""
    for truth in true:
        fitting = [mask for mask in candidates if _on_one_grid(truth, mask, orientation)]
        if fitting:
            return truth, fitting
    return None, []


def _best(masks: Sequence[Mask], space: str | None) -> list[Mask]:
    """The masks of a grid that are taken: those in a space by their names, of the lowest rank."""

    def key(mask: Mask) -> tuple[bool, int]:
        return (mask.space not in (None, space), mask.rank)

    lowest = min(map(key, masks))
    return [mask for mask in masks if key(mask) == lowest]


def _on_one_grid(first: Mask, second: Mask, orientation: str | None) -> bool:
    """Whether two masks can be read and lie on one grid."""
    try:
        one, other = (conform(open_image(mask.path, orientation)) for mask in (first, second))
        return same_grid(one, other)
    except Exception:  # an unreadable file is named when it is measured
        return False
