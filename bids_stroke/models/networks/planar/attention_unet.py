"""Attention U-Net (Oktay et al., MIDL 2018) as in MONAI: attention gates on the skip connections.

7,939,745 parameters, receptive field of 143 pixels. Its merging layers also normalize by statistics of
the whole slice.
"""

from monai.networks.nets import AttentionUnet


def build(in_channels: int = 1, out_channels: int = 1, features: int = 32) -> AttentionUnet:
    """Build the network; ``features`` (maps at full resolution) double with each downsampling."""
    return AttentionUnet(
        spatial_dims=2,
        in_channels=in_channels,
        out_channels=out_channels,
        channels=[features * 2**level for level in range(5)],
        strides=(2, 2, 2, 2),
    )
