"""Repeatable registration with ANTs.

Transforms are ANTs files (:mod:`bids_stroke.spatial.transforms`).
"""

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:  # slow to load
    from ants import ANTsImage

#: Environment variable with the number of threads, which ANTs reads at startup.
THREADS = "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS"
#: Default random seed of registrations.
SEED = 1
#: Options of SyN: large gradient steps, and few iterations at 2 mm, where each takes seconds.
SYN: Mapping[str, Any] = {
    "syn_metric": "mattes",
    "syn_sampling": 32,
    "grad_step": 1.0,
    "reg_iterations": (60, 30, 5),
}


class Registration(NamedTuple):
    """Transform files from the moving image to the fixed image (``forward``) and back (``inverse``), in
    the order of ANTs: the last transform is applied first."""

    forward: tuple[str, ...]
    inverse: tuple[str, ...]


def register(
    fixed: "ANTsImage", moving: "ANTsImage", seed: int = SEED, **options: object
) -> Registration:
    """Run ``ants.registration`` with ``options`` and a fixed random seed.

    The results of SyN are bitwise identical for the same number of threads
    (:data:`bids_stroke.spatial.registration.THREADS`). Rigid and affine registrations are repeatable
    only with one thread: use :func:`bids_stroke.spatial.linear_registration.register_linear`.
    """
    import ants

    threads = os.environ.get(THREADS)
    # Only this function sets the seed of ANTs; it also sets the number of threads, which is restored.
    ants.config.set_ants_deterministic(True, seed_value=seed)
    if threads is None:
        del os.environ[THREADS]
    else:
        os.environ[THREADS] = threads
    result = ants.registration(fixed, moving, **options)
    return Registration(*(_paths(result[key]) for key in ("fwdtransforms", "invtransforms")))


def _paths(transforms: str | list[str]) -> tuple[str, ...]:
    """Return the paths of transforms as a tuple; for a composite transform, ANTs returns a string."""
    return (transforms,) if isinstance(transforms, str) else tuple(transforms)
