"""Brain mask and lesion probability of an earlier run, which a corrected mask does not change.

The record of a session contains the checksums of both files, and of everything that they depend on.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from bids_stroke.utils.files import PathLike, checksum

from .record import Record

_IDENTITY = "identity"
#: Roles of the lesion probability of the model: that of a session with, and without, a correction.
_PROBABILITIES = ("model_lesion_probability", "lesion_probability")


class Segmentation(NamedTuple):
    """Brain mask and lesion probability of a session, on the grid of the reference image."""

    brain_mask: Path
    probability: Path


def describe_segmentation(record: Record, output_dir: PathLike, identity: str) -> dict[str, str]:
    """Return the checksums of the segmentation of a session for its record; empty without one.

    Parameters
    ----------
    record : Record
    output_dir : path
    identity : str
        Checksum of everything that the segmentation depends on.
    """
    segmentation = _segmentation(record, output_dir)
    return {_IDENTITY: identity, **dict(_checksums(segmentation))} if segmentation else {}


def find_segmentation(record: Record, output_dir: PathLike, identity: str) -> Segmentation | None:
    """Return the segmentation of an earlier run if it is complete, unchanged and still valid.

    Parameters are those of :func:`bids_stroke.bids.reusable.describe_segmentation`.
    """
    if record.segmentation.get(_IDENTITY) != identity or not record.complete(output_dir):
        return None
    is_unchanged = record.segmentation == describe_segmentation(record, output_dir, identity)
    return _segmentation(record, output_dir) if is_unchanged else None


def _segmentation(record: Record, output_dir: PathLike) -> Segmentation | None:
    brain = record.path(output_dir, "brain_mask")
    paths = (record.path(output_dir, role) for role in _PROBABILITIES)
    probability = next(filter(None, paths), None)
    return Segmentation(brain, probability) if brain and probability else None


def _checksums(segmentation: Segmentation) -> Iterator[tuple[str, str]]:
    return ((path.name, checksum(path)) for path in segmentation)
