"""Groups of patients for the stages of intermediate-task training (Mohapatra et al. 2023)."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence

import numpy as np

from bids_stroke.errors import DatasetError
from bids_stroke.models import ensembles
from bids_stroke.spatial import templates
from bids_stroke.spatial.grid import regrid
from bids_stroke.training.recipe_settings import Stage

from .patient import Parts, Patient

SOURCE, TARGET = "source", "target"


def check_stages(stages: Iterable[Stage], parts: Parts, target: str | None) -> None:
    """Check that a split has patients for every group of the stages of a recipe.

    A stage of a super-region needs patients in the part ``intermediate``, but not in its region.

    Raises
    ------
    DatasetError
        If a group has no patients.
    """
    stages = list(stages)
    by_region = [stage.name for stage in stages if isinstance(stage.group, list)]
    if by_region and not parts["intermediate"]:
        raise DatasetError(
            f"The split has no subject for intermediate, the part of the stages "
            f"{', '.join(dict.fromkeys(by_region))}; add subjects of this part to the split, or use a "
            "recipe without these stages."
        )
    for group in (SOURCE, TARGET):
        names = [stage.name for stage in stages if stage.group == group]
        if names and not select_patients(group, parts, target, lambda _: None):
            raise DatasetError(
                f"The {group} has no subject for training, which the stage {names[0]} needs; change "
                "the split, or give the datasets of the source before that of the target."
            )


def select_patients(
    group: str | Sequence[str] | None,
    parts: Parts,
    target: str | None,
    region_of: Callable[[Patient], str | None],
) -> list[Patient]:
    """Select the patients of a stage.

    Parameters
    ----------
    group : str or sequence of str, optional
        ``source`` selects the part ``training`` of all datasets except the last, and ``target`` that of
        the last dataset. Names of super-regions select the patients of the part ``intermediate`` whose
        lesion is mostly in one of them. By default, all training patients are selected.
    parts : dict of str to list of Patient
    target : str, optional
        Name of the last dataset.
    region_of : callable
        Function that returns the super-region of a patient.

    Returns
    -------
    list of Patient
    """
    if group is None:
        return parts["training"] + parts["intermediate"]
    if group in (SOURCE, TARGET):
        in_target = group == TARGET
        return [patient for patient in parts["training"] if (patient.dataset == target) == in_target]
    return [patient for patient in parts["intermediate"] if region_of(patient) in group]


class RegionLocator:
    """Locator of the super-region with the largest share of a lesion.

    Parameters
    ----------
    spacing : sequence of float
        Voxel size (mm) of the grid, which covers the whole template.
    """

    def __init__(self, spacing: Sequence[float]) -> None:
        grid = regrid(templates.template().brain, spacing, order=0)
        self.labels, self.names = ensembles.region_labels(grid), ensembles.region_names()

    def locate(self, lesion: np.ndarray) -> str | None:
        """Return the name of the super-region of a mask on the grid, or None for an empty mask."""
        counts = Counter(self.labels[np.asarray(lesion) > 0].tolist())
        return self.names[counts.most_common(1)[0][0] - 1] if counts else None
