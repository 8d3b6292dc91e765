"""Registration with ANTs, repeatable.

A transform is a file that ANTs applies (:mod:`bids_stroke.spatial.transforms`).
"""

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:  # slow to load
    from ants import ANTsImage

#: Environment variable with the number of threads, which ANTs reads when it starts.
THREADS = "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS"
#: Of the random numbers that registrations start from.
SEED = 1
#: Options for SyN: long steps, and few of them at 2 mm, where each takes seconds.
SYN: Mapping[str, Any] = {
    "syn_metric": "mattes",
    "syn_sampling": 32,
    "grad_step": 1.0,
    "reg_iterations": (60, 30, 5),
}


class Registration(NamedTuple):
    """Files of the transforms that bring the moving image to the fixed one (``forward``) and back
    (``inverse``), in the order of ANTs: the last is applied first."""

    forward: tuple[str, ...]
    inverse: tuple[str, ...]


def register(
    fixed: "ANTsImage", moving: "ANTsImage", seed: int = SEED, **options: object
) -> Registration:
    """Run ``ants.registration`` with ``options``, from the same random numbers each time.

    The results of SyN are the same to the last bit with the same number of threads
    (:data:`bids_stroke.spatial.registration.THREADS`). Those of rigid and affine
    registrations are so with one thread alone: use
    :func:`bids_stroke.spatial.linear_registration.register_linear`.
    """
    import ants

    kept = os.environ.get(THREADS)
    ants.config.set_ants_deterministic(True, seed_value=seed)  # the only way in which ANTs takes a seed
    if kept is None:
        del os.environ[THREADS]
    else:
        os.environ[THREADS] = kept
    result = ants.registration(fixed, moving, **options)
    return Registration(*(_paths(result[key]) for key in ("fwdtransforms", "invtransforms")))


def _paths(transforms: str | list[str]) -> tuple[str, ...]:
    """Paths of transforms; ANTs returns the one of a composite transform as it is."""
    return (transforms,) if isinstance(transforms, str) else tuple(transforms)
