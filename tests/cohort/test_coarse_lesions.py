"""Lesions in coarse cells, and their short form."""

from base64 import b64decode

import numpy as np
import pytest

from bids_stroke.cohort.coarse_lesions import FACTOR, coarse_cells, coarse_shape, encode

SHAPE = (18, 13, 9)


def decode(text):
    """Return the indices of the cells."""
    numbers, shift = [0], 0
    for byte in b64decode(text):
        numbers[-1] |= (byte & 127) << shift
        shift = shift + 7 if byte & 128 else 0
        if not shift:
            numbers.append(0)
    cells, at = [], 0
    for gap, length in zip(numbers[:-1:2], numbers[1::2], strict=True):
        cells += range(at + gap, at + gap + length)
        at += gap + length
    return cells


@pytest.mark.parametrize("share", [0.001, 0.1, 0.6, 1])
def test_cells_are_decoded(share):
    cells = np.flatnonzero(np.random.default_rng(0).random(40_000) < share)
    assert decode(encode(cells)) == cells.tolist()


def cells_of(mask):
    """Return the cells of a mask as a volume."""
    cells = coarse_cells(np.flatnonzero(mask.ravel(order="F")), mask.shape)
    volume = np.zeros(coarse_shape(mask.shape), bool)
    volume[np.unravel_index(cells, volume.shape, order="F")] = True
    return volume


def test_a_cell_is_covered_by_half_of_its_voxels():
    mask = np.zeros(SHAPE, bool)
    mask[FACTOR : 2 * FACTOR, :FACTOR, FACTOR : FACTOR + 2] = True  # half of a cell
    mask[:FACTOR, :FACTOR, :1] = True  # a quarter of another cell
    assert np.argwhere(cells_of(mask)).tolist() == [[1, 0, 1]]
    mask[FACTOR, 0, FACTOR] = False
    assert np.argwhere(cells_of(mask)).tolist() == [[1, 0, 1]], (
        "the most covered cell, if there is none"
    )
    assert cells_of(np.ones(SHAPE, bool))[:4, :3, :2].all()
    assert not cells_of(np.zeros(SHAPE, bool)).any()
