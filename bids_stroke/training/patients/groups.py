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
    """Patients of a stage.

    Parameters
    ----------
    group : str or sequence of str, optional
        ``source``, the training part of all datasets but the last; ``target``, that of the last; or
        the names of super-regions, for those patients of the part ``intermediate`` whose lesion lies
        mostly in them. By default, all who train.
    parts : dict of str to list of Patient
    target : str, optional
        Name of the last dataset.
    region_of : callable
        Gives the super-region of a patient.

    Returns
    -------
    list of Patient
    """
    if group is None:
        return parts["training"] + parts["intermediate"]
    if group in (SOURCE, TARGET):
        of_target = group == TARGET
        return [patient for patient in parts["training"] if (patient.dataset == target) == of_target]
    return [patient for patient in parts["intermediate"] if region_of(patient) in group]


class RegionLocator:
    """The super-region of a lesion: that with its largest share.

    Parameters
    ----------
    spacing : sequence of float
        mm; of a grid over all of the template.
    """

    def __init__(self, spacing: Sequence[float]) -> None:
        grid = regrid(templates.template().brain, spacing, order=0)
        self.labels, self.names = ensembles.region_labels(grid), ensembles.region_names()

    def locate(self, lesion: np.ndarray) -> str | None:
        """Name for a mask on the grid; None where it is empty."""
        counts = Counter(self.labels[np.asarray(lesion) > 0].tolist())
        return self.names[counts.most_common(1)[0][0] - 1] if counts else None
