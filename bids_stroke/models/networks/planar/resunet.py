"""ResUNet: U-Net of residual blocks (Zhang et al., GRSL 2018) as in MONAI (Kerfoot et al. 2018).

6,499,582 parameters, receptive field of 203 pixels.
"""

from monai.networks.nets import UNet


def build(in_channels: int = 1, out_channels: int = 1, features: int = 32) -> UNet:
    """Build the network; ``features`` (maps at full resolution) double with each downsampling."""
    return UNet(
        spatial_dims=2,
        in_channels=in_channels,
        out_channels=out_channels,
        channels=[features * 2**level for level in range(5)],
        strides=(2, 2, 2, 2),
        num_res_units=2,
        norm="batch",
    )
