"""Groups of patients for the stages of intermediate-task training (Mohapatra et al. 2023)."""

from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np

from bids_stroke.models import ensembles
from bids_stroke.spatial import templates
from bids_stroke.spatial.grid import regrid

from .patient import Parts, Patient

SOURCE, TARGET = "source", "target"


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
