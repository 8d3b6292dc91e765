"""FC-DenseNet56 (Jégou et al., CVPRW 2017): dense blocks of four layers, five downsamplings.

1,372,513 parameters, receptive field of 823 pixels.
"""

import torch
from torch import nn


def layer(in_channels: int, growth: int, kernel: int = 3) -> nn.Sequential:
    """Return a sequence of normalization, ReLU and convolution."""
    return nn.Sequential(
        nn.BatchNorm2d(in_channels),
        nn.ReLU(),
        nn.Conv2d(in_channels, growth, kernel, padding=kernel // 2, bias=False),
    )


class Block(nn.Module):
    """Dense block: each layer receives the input and all earlier features; returns the new features."""

    def __init__(self, in_channels: int, growth: int, layers: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(layer(in_channels + n * growth, growth) for n in range(layers))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map ``(slices, in_channels, rows, columns)`` to ``(slices, layers * growth, …)``."""
        features: list[torch.Tensor] = []
        for layer in self.layers:
            features.append(layer(torch.cat([x, *features], 1)))
        return torch.cat(features, 1)


class FCDenseNet(nn.Module):
    """Encoder and decoder of dense blocks with skip connections; only new features are upsampled."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        features: int,
        growth: int,
        layers: int,
        depth: int,
    ) -> None:
        super().__init__()
        made = growth * layers
        self.first = nn.Conv2d(in_channels, features, 3, padding=1)
        widths = [features + made * n for n in range(depth + 1)]
        self.downs = nn.ModuleList(Block(width, growth, layers) for width in widths)
        self.shrink = nn.ModuleList(
            nn.Sequential(layer(width, width, 1), nn.MaxPool2d(2)) for width in widths[1:]
        )
        self.grow = nn.ModuleList(
            nn.ConvTranspose2d(made, made, 3, 2, padding=1, output_padding=1) for _ in range(depth)
        )
        self.ups = nn.ModuleList(Block(made + width, growth, layers) for width in widths[:0:-1])
        self.head = nn.Conv2d(made + made + widths[1], out_channels, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map ``(slices, in_channels, rows, columns)`` to logits ``(slices, out_channels, …)``."""
        x, skips = self.first(x), []
        for block, shrink in zip(self.downs, self.shrink, strict=False):
            skips.append(torch.cat([x, block(x)], 1))
            x = shrink(skips[-1])
        new = self.downs[-1](x)
        for grow, block, skip in zip(self.grow, self.ups, skips[::-1], strict=True):
            x = torch.cat([grow(new), skip], 1)
            new = block(x)
        return self.head(torch.cat([x, new], 1))


def build(
    in_channels: int = 1,
    out_channels: int = 1,
    features: int = 48,
    growth: int = 12,
    layers: int = 4,
    depth: int = 5,
) -> FCDenseNet:
    """Build the network.

    Parameters
    ----------
    features : int
        Number of feature maps of the first convolution.
    growth : int
        Number of feature maps that each layer adds.
    layers : int
        Number of layers of each dense block.
    depth : int
        Number of downsamplings.
    """
    return FCDenseNet(in_channels, out_channels, features, growth, layers, depth)
