"""Tests of the optimization of networks for a device, and of the training precision."""

import copy

import pytest
import torch
from torch import nn

from bids_stroke.compute import devices


class Preactivated(nn.Module):
    """A block that uses the input of its first normalization layer afterwards."""

    def __init__(self):
        super().__init__()
        self.first = nn.Conv3d(2, 3, 3)
        self.skipped = nn.InstanceNorm3d(3, affine=True)
        self.last = nn.InstanceNorm3d(3)

    def forward(self, image):
        image = self.first(image)
        return self.last(image + nn.functional.relu(self.skipped(image)))


@pytest.mark.parametrize("images", [1, 2])
@pytest.mark.parametrize("statistics", ["image", "training"])
def test_placed_network_predicts_the_same(images, statistics):
    torch.manual_seed(0)
    network = Preactivated()
    nn.init.uniform_(network.skipped.weight)
    if statistics == "training":  # normalize by running statistics
        network.skipped = nn.InstanceNorm3d(3, affine=True, track_running_stats=True)
        network(torch.randn(4, 2, 8, 9, 10))
        network.eval()
    batch = torch.randn(images, 2, 8, 9, 10)
    with torch.inference_mode():
        expected = copy.deepcopy(network)(batch)
        torch.testing.assert_close(
            devices.place_network(network, "cpu", in_place=["last"])(batch), expected
        )


def test_placed_normalization_keeps_the_memory_layout():
    layout = {"memory_format": torch.channels_last_3d}
    norm = devices.place_network(nn.Sequential(nn.InstanceNorm3d(4)), "cpu")
    assert norm(torch.randn(1, 4, 8, 8, 8).to(**layout)).is_contiguous(**layout)


def test_placed_network_has_no_denormal_weights():
    network = nn.Conv3d(1, 1, 1)
    nn.init.constant_(network.weight, 1e-39)
    nn.init.constant_(network.bias, 1e-37)
    devices.place_network(network, "cpu")
    assert network.weight.item() == 0
    assert network.bias.item() == pytest.approx(1e-37)


@pytest.mark.parametrize(("fast", "precision"), [(True, "bf16-mixed"), (False, "32-true")])
def test_cpu_trains_in_half_precision_only_with_hardware_support(monkeypatch, fast, precision):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: fast)
    assert devices.precision() == precision


def test_a_lack_of_memory_falls_back_to_the_cpu(caplog):
    def run(device):
        if device != "cpu":
            raise torch.OutOfMemoryError("out of memory")
        return f"result of the {device}"

    assert devices.with_fallback(run, "cuda", "a network") == "result of the cpu"
    assert "cuda ran out of memory; a network runs on the CPU." in caplog.text
