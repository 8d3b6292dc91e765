"""Building blocks shared by several networks."""

import torch
from torch import nn


def convolutions(in_channels: int, out_channels: int, number: int = 2) -> nn.Sequential:
    """Return a sequence of 3x3 convolutions, each with batch normalization and ReLU."""
    layers: list[nn.Module] = []
    for n in range(number):
        layers += [
            nn.Conv2d(out_channels if n else in_channels, out_channels, 3, padding=1, bias=False),
            nn.BatchNorm2d(out_channels),
            nn.ReLU(inplace=True),
        ]
    return nn.Sequential(*layers)


class Up(nn.Module):
    """Upsampling block: transposed convolution, concatenation with a skip connection (optional), and
    two convolutions."""

    def __init__(self, in_channels: int, skipped: int, out_channels: int) -> None:
        super().__init__()
        self.up = nn.ConvTranspose2d(in_channels, out_channels, 2, stride=2)
        self.convolutions = convolutions(out_channels + skipped, out_channels)

    def forward(self, x: torch.Tensor, skip: torch.Tensor | None = None) -> torch.Tensor:
        """Map ``(slices, in_channels, rows, columns)`` and the skip ``(slices, skipped, 2 rows,
        2 columns)`` to ``(slices, out_channels, 2 rows, 2 columns)``."""
        x = self.up(x)
        return self.convolutions(x if skip is None else torch.cat([x, skip], 1))
