"""3D-ResU-Net of Tomita et al. (NeuroImage Clin 2020): residual blocks with group normalization.

The paper reports 52 layers but not their distribution among the stages. This implementation uses the
convolutions of MONAI's SegResNet (Myronenko 2018): one at the input, two in each of 13 residual blocks
of the encoder and 8 of the decoder, four for downsampling, four for projection before upsampling, and
one at the output (1 + 26 + 16 + 4 + 4 + 1).
"""

from collections.abc import Sequence

import torch
from monai.networks.nets import SegResNet
from torch import nn
from torch.nn import functional


class ResUNet3D(nn.Module):
    """Network from ``(batch, in_channels, x, y, z)`` to logits ``(batch, out_channels, x, y, z)``.

    Inputs of any size are padded with zeros (the mean of the standardized brain) to multiples of the
    coarsest voxel.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        features: int,
        encoder: tuple[int, ...],
        decoder: tuple[int, ...],
        groups: int,
    ) -> None:
        super().__init__()
        self.multiple = 2 ** (len(encoder) - 1)
        self.net = SegResNet(
            spatial_dims=3,
            init_filters=features,
            in_channels=in_channels,
            out_channels=out_channels,
            norm=("GROUP", {"num_groups": groups}),
            blocks_down=encoder,
            blocks_up=decoder,
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map ``(batch, in_channels, x, y, z)`` to logits ``(batch, out_channels, x, y, z)``."""
        sides = x.shape[2:]
        missing = [-side % self.multiple for side in sides]
        padding = [side for pad in reversed(missing) for side in (pad // 2, pad - pad // 2)]
        unpadded = [slice(pad // 2, pad // 2 + side) for pad, side in zip(missing, sides, strict=True)]
        return self.net(functional.pad(x, padding))[(..., *unpadded)]


def build(
    in_channels: int = 1,
    out_channels: int = 1,
    features: int = 16,
    encoder: Sequence[int] = (1, 2, 2, 4, 4),
    decoder: Sequence[int] = (2, 2, 2, 2),
    groups: int = 8,
) -> ResUNet3D:
    """Build the network.

    Parameters
    ----------
    features : int
        Number of feature maps at full resolution, doubled with every downsampling.
    encoder, decoder : sequence of int
        Number of residual blocks of each stage.
    groups : int
        Groups of the normalization.
    """
    return ResUNet3D(in_channels, out_channels, features, tuple(encoder), tuple(decoder), groups)
