"""U-Net++ (Zhou et al., DLMIA 2018) as in MONAI: nested skip connections, with the deepest output.

2,410,180 parameters, receptive field of 204 pixels.
"""

import torch
from monai.networks.nets import BasicUNetPlusPlus


class UNetPlusPlus(BasicUNetPlusPlus):
    """MONAI's network, returning its only output instead of a list."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map ``(slices, in_channels, rows, columns)`` to logits ``(slices, out_channels, …)``."""
        return super().forward(x)[0]


def build(in_channels: int = 1, out_channels: int = 1, features: int = 32) -> UNetPlusPlus:
    """Build the network; ``features`` is the number of maps at full resolution."""
    return UNetPlusPlus(
        spatial_dims=2,
        in_channels=in_channels,
        out_channels=out_channels,
        features=[features * n for n in (1, 1, 2, 4, 8, 1)],
        norm="batch",
    )
