"""Slice-by-slice inference."""

import numpy as np
import pytest
import torch

from bids_stroke.models import slice_inference


class Bright(torch.nn.Module):
    """Return the scaled input as logits and record the shape of each batch."""

    def __init__(self):
        super().__init__()
        self.shapes = []

    def forward(self, x):
        self.shapes.append(tuple(x.shape))
        return 8 * (x[:, :1] - 0.5)


@pytest.fixture
def volume():
    """Two channels of a box of brain with random voxel values."""
    data = np.zeros((2, 20, 24, 16), np.float32)
    data[:, 3:15, 5:20, 4:12] = np.random.default_rng(0).random((2, 12, 15, 8)) + 0.1
    return data


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_slices_keep_their_position(volume, axis, monkeypatch):
    network = Bright()
    # Batches of five slices, so that the last batch is not full.
    monkeypatch.setattr(
        slice_inference, "MAX_BATCH_PIXELS", 5 * volume[0].size // volume.shape[axis + 1]
    )
    probability = slice_inference.predict_slices(network, volume, axis, "cpu")
    inside = volume.any((0, *(n + 1 for n in range(3) if n != axis)))
    expected = 1 / (1 + np.exp(-8 * (volume[0] - 0.5)))
    expected *= inside.reshape([-1 if n == axis else 1 for n in range(3)])
    np.testing.assert_allclose(probability, expected, atol=0.02)
    assert sum(shape[0] for shape in network.shapes) == inside.sum()
    assert all(shape[0] <= 5 for shape in network.shapes)


def test_a_mirrored_head_is_averaged_on_the_right_side(volume):
    class Left(torch.nn.Module):
        def forward(self, x):
            logits = torch.full_like(x[:, :1], -20)
            logits[:, :, : x.shape[2] // 2] = 20
            return logits

    filled = np.ones_like(volume)
    plain = slice_inference.predict_slices(Left(), filled, 2, "cpu")
    assert (plain[:10] > 0.99).all() and (plain[10:] < 0.01).all()
    np.testing.assert_allclose(
        slice_inference.predict_slices(Left(), filled, 2, "cpu", mirror=True), 0.5, atol=1e-3
    )
