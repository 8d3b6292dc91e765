"""The 3D-ResU-Net of Tomita et al. (NeuroImage Clin 2020): residual blocks, group normalization.

The paper counts 52 layers and leaves out how they are shared among the stages. Here they are the
convolutions of MONAI's SegResNet (Myronenko 2018): one at the input, two in each of 13 residual blocks
of the encoder and 8 of the decoder, four that halve the resolution, four that project before it is
doubled, and one at the output (1 + 26 + 16 + 4 + 4 + 1).
"""

from collections.abc import Sequence

import torch
from monai.networks.nets import SegResNet
from torch import nn
from torch.nn import functional


class ResUNet3D(nn.Module):
    """``(batch, in_channels, x, y, z)`` to logits ``(batch, out_channels, x, y, z)``.

    Inputs of any size are padded with zeros, the mean of the brain, to multiples of the coarsest
    voxel.
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
        """``(batch, in_channels, x, y, z)`` to logits ``(batch, out_channels, x, y, z)``."""
        sides = x.shape[2:]
        missing = [-side % self.multiple for side in sides]
        padding = [side for pad in reversed(missing) for side in (pad // 2, pad - pad // 2)]
        kept = [slice(pad // 2, pad // 2 + side) for pad, side in zip(missing, sides, strict=True)]
        return self.net(functional.pad(x, padding))[(..., *kept)]


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
        Feature maps at full resolution; they double with every halving.
    encoder, decoder : sequence of int
        Residual blocks of each stage.
    groups : int
        Of the normalization.
    """
    return ResUNet3D(in_channels, out_channels, features, tuple(encoder), tuple(decoder), groups)
