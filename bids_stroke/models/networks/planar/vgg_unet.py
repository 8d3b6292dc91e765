"""VGG U-Net: U-Net with a VGG16 encoder (Simonyan and Zisserman, ICLR 2015; as an encoder: Iglovikov
and Shvets 2018) and batch normalization.

6,468,385 parameters, receptive field of 260 pixels.
"""

import torch
from torch import nn

from .blocks import Up, convolutions

STAGES = ((1, 2), (2, 2), (4, 3), (8, 3), (8, 3))  # multiple of features, number of convolutions


class VGGUNet(nn.Module):
    """Encoder of thirteen convolutions with max pooling, and a decoder of transposed convolutions."""

    def __init__(self, in_channels: int, out_channels: int, features: int) -> None:
        super().__init__()
        widths = [features * times for times, _ in STAGES]
        inputs = [in_channels, *widths]
        self.stages = nn.ModuleList(
            convolutions(before, after, number)
            for before, after, (_, number) in zip(inputs, widths, STAGES, strict=False)
        )
        self.pool = nn.MaxPool2d(2)
        self.ups = nn.ModuleList(
            Up(below, width, width) for below, width in zip(widths[:0:-1], widths[-2::-1], strict=True)
        )
        self.head = nn.Conv2d(features, out_channels, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map ``(slices, in_channels, rows, columns)`` to logits ``(slices, out_channels, …)``."""
        skips: list[torch.Tensor] = []
        for stage in self.stages:
            x = stage(self.pool(x) if skips else x)
            skips.append(x)
        for up, skip in zip(self.ups, skips[-2::-1], strict=True):
            x = up(x, skip)
        return self.head(x)


def build(in_channels: int = 1, out_channels: int = 1, features: int = 32) -> VGGUNet:
    """Build the network; ``features`` is the number of maps at full resolution (64 in VGG16)."""
    return VGGUNet(in_channels, out_channels, features)
