"""Where networks run, and how."""

import copy

import pytest
import torch
from torch import nn

from bids_stroke.compute import devices


class Preactivated(nn.Module):
    """A block that needs the input of its norm afterwards."""

    def __init__(self):
        super().__init__()
        self.first = nn.Conv3d(2, 3, 3)
        self.kept = nn.InstanceNorm3d(3, affine=True)
        self.last = nn.InstanceNorm3d(3)

    def forward(self, image):
        image = self.first(image)
        return self.last(image + nn.functional.relu(self.kept(image)))


@pytest.mark.parametrize("images", [1, 2])
@pytest.mark.parametrize("by", ["image", "training"])
def test_a_placed_network_answers_the_same(images, by):
    torch.manual_seed(0)
    network = Preactivated()
    nn.init.uniform_(network.kept.weight)
    if by == "training":  # norms by what they have seen
        network.kept = nn.InstanceNorm3d(3, affine=True, track_running_stats=True)
        network(torch.randn(4, 2, 8, 9, 10))
        network.eval()
    batch = torch.randn(images, 2, 8, 9, 10)
    with torch.inference_mode():
        expected = copy.deepcopy(network)(batch)
        torch.testing.assert_close(
            devices.place_network(network, "cpu", over=["last"])(batch), expected
        )


def test_a_placed_norm_keeps_the_layout():
    layout = {"memory_format": torch.channels_last_3d}
    norm = devices.place_network(nn.Sequential(nn.InstanceNorm3d(4)), "cpu")
    assert norm(torch.randn(1, 4, 8, 8, 8).to(**layout)).is_contiguous(**layout)


def test_a_placed_network_has_no_denormal_weights():
    network = nn.Conv3d(1, 1, 1)
    nn.init.constant_(network.weight, 1e-39)
    nn.init.constant_(network.bias, 1e-37)
    devices.place_network(network, "cpu")
    assert network.weight.item() == 0
    assert network.bias.item() == pytest.approx(1e-37)


@pytest.mark.parametrize(("fast", "precision"), [(True, "bf16-mixed"), (False, "32-true")])
def test_a_processor_trains_in_half_precision_only_where_that_is_fast(monkeypatch, fast, precision):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: fast)
    assert devices.precision() == precision
