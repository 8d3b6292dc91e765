"""Residual 3D U-Net on folded voxels: every 2x2x2 block is rearranged into channels.

Folding keeps the full detail of the input, while every convolution runs on an eighth of the voxels: a
whole brain at 2 mm takes a fraction of a second on a laptop. The unfolding at the end is the sub-pixel
convolution of Shi et al. (CVPR 2016).
"""

from collections.abc import Sequence

import torch
from monai.networks.nets import UNet
from monai.networks.utils import pixelshuffle, pixelunshuffle
from torch import nn

FOLD = 2


class FoldedUNet(nn.Module):
    """Network from ``(batch, in_channels, x, y, z)`` to logits ``(batch, out_channels, x, y, z)``.

    Each side of the input must be a multiple of ``2 * prod(strides)``.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        channels: Sequence[int],
        strides: Sequence[int],
        residual_units: int,
        activation: str,
    ) -> None:
        super().__init__()
        self.unet = UNet(
            spatial_dims=3,
            in_channels=in_channels * FOLD**3,
            out_channels=out_channels * FOLD**3,
            channels=channels,
            strides=strides,
            num_res_units=residual_units,
            norm="instance",
            act=activation,
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map ``(batch, in_channels, x, y, z)`` to logits ``(batch, out_channels, x, y, z)``."""
        folded = pixelunshuffle(x, 3, FOLD)
        return pixelshuffle(self.unet(folded), 3, FOLD)


def build(
    in_channels: int = 1,
    out_channels: int = 1,
    channels: Sequence[int] = (24, 48, 96, 192),
    strides: Sequence[int] = (1, 2, 2),
    residual_units: int = 2,
    activation: str = "prelu",
) -> FoldedUNet:
    """Build the network.

    Parameters
    ----------
    channels : sequence of int
        Number of feature maps of each level.
    strides : sequence of int
        Downsampling between levels (one value less than ``channels``). A first stride of 1 keeps the
        folded resolution.
    residual_units : int
        Number of convolutions in each residual block.
    activation : str
        Name of the activation in MONAI. On a CPU, ``leakyrelu`` trains faster than the default.
    """
    levels = tuple(channels), tuple(strides)
    return FoldedUNet(in_channels, out_channels, *levels, residual_units, activation)
